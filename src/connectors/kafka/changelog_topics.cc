// SPDX-License-Identifier: Apache-2.0
#include "connectors/kafka/changelog_topics.h"

#include <fmt/format.h>
#include <penstock/kafka/admin.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <utility>

#include "connectors/kafka/offset_marks.h"
#include "io/failpoint.h"
#include "wire/topic_name.h"

namespace penstock::connectors {
namespace {

using namespace std::chrono_literals;
constexpr std::int32_t changelog_partitions = 4;

/// Rows stay until they are replaced; with "delete", also beside "compact", they go by age.
result<> check_policy(kafka::admin& admin, const std::string& topic, const std::string& op) {
  auto configs = admin.describe_configs(kafka::config_resource::topic, topic);
  if (!configs)
    return fail(
        configs.error().with_context(fmt::format("the settings of the topic for the state of '{}'", op)));
  for (const kafka::config_entry& c : *configs) {
    if (c.name != "cleanup.policy" || c.value == "compact") continue;
    return fail(errc::invalid_argument,
                fmt::format("topic {} keeps the state of '{}' and has cleanup.policy={}: rows would go by "
                            "age; set it to compact (penstock topic alter), or delete the topic if it is not "
                            "this application's",
                            topic, op, c.value.value_or("")));
  }
  return {};
}

std::string lost(const std::string& application, const std::string& op) {
  return fmt::format(
      "so the state of '{}' is gone and nothing was read; to begin anew without it, delete the "
      "application's offsets (penstock group delete {}) and its other changelogs",
      op, application);
}

/// Eight letters: of a name, its FNV-1a hash.
std::string short_name(std::string_view name) {
  std::uint32_t hash = 0x811c9dc5;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x01000193;
  return fmt::format("{:08x}", hash);
}

std::string_view short_id(const changelog_topic& t) { return std::string_view(t.id).substr(0, 8); }

std::string mark_of(const changelog_topic& t) {
  return fmt::format("{}.{}.{}", short_name(t.name), short_id(t), t.partitions);
}

class preparation {
 public:
  preparation(kafka::admin& admin, const std::string& application,
              const std::vector<kafka::partition_offset>& committed)
      : admin_(admin), application_(application) {
    for (const auto& o : committed) {
      std::string_view marks = decode_marks(o.position.metadata).state;
      while (!marks.empty()) {
        const std::string_view one = marks.substr(0, marks.find(','));
        marks.remove_prefix(std::min(marks.size(), one.size() + 1));
        known_[std::string(one.substr(0, one.find('.')))].emplace(one);
      }
    }
  }

  result<changelog_topic> find_or_make(const std::string& name, const std::string& op) {
    auto there = admin_.describe_topics({name});
    if (!there && there.error().kind() == errc::not_found) {
      if (auto r = may_make(name, op); !r) return fail(std::move(r.error()));
      if (auto r = make(name, op); !r) return fail(std::move(r.error()));
      there = admin_.describe_topics({name});
    }
    if (!there) return fail(there.error());
    changelog_topic topic{name, static_cast<std::int32_t>(there->front().partitions.size()),
                          there->front().id};
    if (auto r = check_policy(admin_, name, op); !r) return fail(std::move(r.error()));
    if (auto r = check_known(topic, op); !r) return fail(std::move(r.error()));
    return topic;
  }

 private:
  result<> may_make(const std::string& name, const std::string& op) const {
    if (!known_.contains(short_name(name))) return {};
    return fail(errc::data_loss, fmt::format("topic {} of the application '{}' does not exist any more, {}",
                                             name, application_, lost(application_, op)));
  }

  result<> make(const std::string& name, const std::string& op) {
    auto made = admin_.create_topics({{.name = name,
                                       .partitions = changelog_partitions,
                                       .configs = {{"cleanup.policy", "compact"},
                                                   {"segment.bytes", "67108864"},
                                                   {"min.cleanable.dirty.ratio", "0.2"}}}});
    if (!made && made.error().kind() != errc::already_exists)
      return fail(made.error().with_context(fmt::format("the topic for the state of '{}'", op)));
    return admin_.await_topics({name}, 30s);
  }

  result<> check_known(const changelog_topic& topic, const std::string& op) const {
    const auto before = known_.find(short_name(topic.name));
    if (before == known_.end()) return {};
    for (const std::string& was : before->second) {
      const auto id_at = was.find('.') + 1, count_at = was.rfind('.') + 1;
      const std::string_view id = std::string_view(was).substr(id_at, count_at - 1 - id_at);
      if (!id.empty() && !topic.id.empty() && id != short_id(topic))
        return fail(
            errc::data_loss,
            fmt::format("topic {} was deleted and made anew since the application '{}' wrote to it, {}",
                        topic.name, application_, lost(application_, op)));
      if (was.substr(count_at) != std::to_string(topic.partitions))
        return fail(
            errc::data_loss,
            fmt::format("topic {} has {} partitions, its rows were written to {}: a changelog must keep "
                        "its number of partitions, or the state of '{}' is not found again",
                        topic.name, topic.partitions, was.substr(count_at), op));
    }
    return {};
  }

  kafka::admin& admin_;
  const std::string& application_;
  std::map<std::string, std::set<std::string>> known_;  // marks of topics by their short names
};

}  // namespace

std::string changelog_name(std::string_view application, std::string_view op) {
  std::string name = fmt::format("{}-{}-changelog", application, op);
  for (char& c : name) {
    if (!wire::legal_in_topic_name(c)) c = '_';
  }
  return name;
}

result<std::vector<std::string>> changelog_names(std::string_view application,
                                                 const std::vector<std::string>& operators) {
  std::vector<std::string> names;
  std::map<std::string, std::string> used;
  for (const std::string& op : operators) {
    std::string name = changelog_name(application, op);
    if (name.size() > wire::longest_topic_name)
      return fail(
          errc::invalid_argument,
          fmt::format("the state of '{}' would be in a topic with a name of {} letters, {} are allowed: "
                      "give the operator or the application a shorter name",
                      op, name.size(), wire::longest_topic_name));
    // As metrics see it, where '.' and '_' are one, two topics may not differ in nothing else.
    std::string seen = name;
    for (char& c : seen) c = c == '.' ? '_' : c;
    const auto [before, is_new] = used.emplace(std::move(seen), op);
    if (!is_new)
      return fail(
          errc::invalid_argument,
          fmt::format("the operators '{}' and '{}' would keep their state in the same topic, {}: rename "
                      "one of them",
                      before->second, op, name));
    names.push_back(std::move(name));
  }
  return names;
}

result<std::vector<changelog_topic>> prepare_changelogs(
    kafka::admin& admin, const std::string& application, const std::vector<std::string>& operators,
    const std::vector<kafka::partition_offset>& committed) {
  auto names = changelog_names(application, operators);
  if (!names) return fail(std::move(names.error()));
  preparation work(admin, application, committed);
  std::vector<changelog_topic> topics;
  for (std::size_t i = 0; i < operators.size(); ++i) {
    auto topic = work.find_or_make((*names)[i], operators[i]);
    if (!topic) return fail(std::move(topic.error()));
    topics.push_back(std::move(*topic));
    if (auto r = io::failpoint("changelogs.made"); !r) return fail(std::move(r.error()));
  }
  return topics;
}

std::string changelog_mark(const std::vector<changelog_topic>& topics) {
  constexpr std::size_t longest_mark = 3000;  // brokers take 4096 bytes beside an offset
  std::string marks;
  for (const changelog_topic& t : topics) {
    if (marks.size() > longest_mark) break;
    marks += fmt::format("{}{}", marks.empty() ? "" : ",", mark_of(t));
  }
  return marks;
}

}  // namespace penstock::connectors
