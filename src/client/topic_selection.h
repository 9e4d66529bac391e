// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "client/cluster.h"

namespace penstock::client {

/// What a subscription asks for: topics by name, or all whose whole name a pattern matches.
class topic_selection {
 public:
  topic_selection() = default;
  static topic_selection names(std::vector<std::string> topics);
  /// errc::invalid_argument when `pattern` is not a regular expression (ECMAScript).
  static result<topic_selection> matching(std::string pattern);

  bool is_pattern() const noexcept { return matcher_ != nullptr; }
  const std::string& pattern() const noexcept { return pattern_; }
  bool empty() const noexcept { return !is_pattern() && names_.empty(); }
  bool includes(std::string_view topic) const;

  /// Has the cluster keep what is needed to know the topics.
  void watch(cluster& c) const;
  /// The topics, sorted: as named, or those that match and exist as far as the cluster knows. Kafka's
  /// internal ones match no pattern.
  std::vector<std::string> topics(const cluster& c) const;

 private:
  struct matcher;
  std::vector<std::string> names_;  // sorted
  std::string pattern_;
  std::shared_ptr<const matcher> matcher_;
};

}  // namespace penstock::client
