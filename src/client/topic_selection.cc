// SPDX-License-Identifier: Apache-2.0
#include "client/topic_selection.h"

#include <fmt/format.h>

#include <algorithm>
#include <regex>
#include <utility>

namespace penstock::client {

struct topic_selection::matcher {
  std::regex expression;
};

topic_selection topic_selection::names(std::vector<std::string> topics) {
  topic_selection s;
  s.names_ = std::move(topics);
  std::sort(s.names_.begin(), s.names_.end());
  s.names_.erase(std::unique(s.names_.begin(), s.names_.end()), s.names_.end());
  return s;
}

result<topic_selection> topic_selection::matching(std::string pattern) {
  topic_selection s;
  try {
    s.matcher_ = std::make_shared<const matcher>(matcher{std::regex(pattern)});
  } catch (const std::regex_error& e) {
    return fail(errc::invalid_argument,
                fmt::format("the topic pattern '{}' is not a regular expression: {}", pattern, e.what()));
  }
  s.pattern_ = std::move(pattern);
  return s;
}

bool topic_selection::includes(std::string_view topic) const {
  if (!matcher_) return std::binary_search(names_.begin(), names_.end(), topic);
  try {
    return std::regex_match(topic.begin(), topic.end(), matcher_->expression);
  } catch (const std::regex_error&) {
    return false;  // too hard a pattern for this name
  }
}

void topic_selection::watch(cluster& c) const {
  if (is_pattern()) c.watch_all_topics();
  for (const auto& t : names_) c.watch_topic(t);
}

std::vector<std::string> topic_selection::topics(const cluster& c) const {
  if (!is_pattern()) return names_;
  std::vector<std::string> found;
  for (const auto& [name, topic] : c.metadata().topics())
    if (!topic.internal && !topic.partitions.empty() && includes(name)) found.push_back(name);
  return found;
}

}  // namespace penstock::client
