// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "client/admin_client.h"
#include "wire/messages/alter_configs.h"
#include "wire/messages/describe_configs.h"
#include "wire/messages/incremental_alter_configs.h"
#include "wire/messages/list_config_resources.h"

namespace penstock::client {

using kafka::config_change;
using kafka::config_entry;
using kafka::config_key;
using kafka::config_resource;
using kafka::config_source;
using wire::error_code;

namespace {

std::string config_title(const config_key& k) {
  switch (k.kind) {
    case config_resource::topic: return "configuration of topic '" + k.name + "'";
    case config_resource::broker:
      return k.name.empty() ? "configuration of all brokers" : "configuration of broker '" + k.name + "'";
    case config_resource::broker_logger: return "loggers of broker '" + k.name + "'";
    case config_resource::client_metrics: return "client metrics '" + k.name + "'";
    case config_resource::group: return "configuration of group '" + k.name + "'";
  }
  return "configuration of '" + k.name + "'";
}

bool of_one_broker(const config_key& k) {
  return (k.kind == config_resource::broker || k.kind == config_resource::broker_logger) && !k.name.empty() &&
         k.name.size() < 10 && k.name.find_first_not_of("0123456789") == std::string::npos;
}
// A broker's own configuration is asked of that broker itself.
route reader_of(const config_key& k) {
  return of_one_broker(k) ? route::broker(static_cast<std::int32_t>(std::stol(k.name))) : route();
}
route writer_of(const config_key& k) { return of_one_broker(k) ? reader_of(k) : route::controller(); }

config_source source_of(std::int8_t answered, bool is_default) {
  // Version 0 only says whether it is a default.
  if (answered < 0) return is_default ? config_source::standard : config_source::unknown;
  return static_cast<config_source>(answered);
}

std::vector<config_entry> entries_of(wire::describe_configs_response::describe_configs_result& r) {
  std::vector<config_entry> entries;
  for (auto& c : r.configs) {
    auto& e = entries.emplace_back();
    e.name = std::move(c.name);
    e.value = std::move(c.value);
    e.read_only = c.read_only;
    e.sensitive = c.is_sensitive;
    e.source = source_of(c.config_source, c.is_default);
    e.is_default = c.is_default || e.source == config_source::standard;
    for (auto& s : c.synonyms)
      e.synonyms.push_back({std::move(s.name), std::move(s.value), static_cast<config_source>(s.source)});
    e.documentation = c.documentation.value_or(std::string());
  }
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return entries;
}

// The documentation came with version 3: asked of older brokers it is just not there.
struct describe_ask : wire::describe_configs_request {
  result<> encode(wire::writer& w, std::int16_t version) const {
    wire::describe_configs_request r = *this;
    r.include_documentation = r.include_documentation && version >= 3;
    r.include_synonyms = r.include_synonyms && version >= 1;
    return r.encode(w, version);
  }
};

error_code code_of_alter(const wire::incremental_alter_configs_response& r) {
  const auto code =
      r.responses.empty() ? error_code::none : static_cast<error_code>(r.responses.front().error_code);
  return code == error_code::not_controller ? code : error_code::none;
}
error_code code_of_replace(const wire::alter_configs_response& r) {
  const auto code =
      r.responses.empty() ? error_code::none : static_cast<error_code>(r.responses.front().error_code);
  return code == error_code::not_controller ? code : error_code::none;
}

template <typename Response>
result<> outcome_of(const result<Response>& r, const std::string& what) {
  if (!r) return fail(r.error());
  if (r->responses.empty()) return fail(errc::corrupt, what + ": the broker left out a result");
  const auto& a = r->responses.front();
  if (a.error_code != 0) return fail(answer_error(a.error_code, what, a.error_message));
  return {};
}

std::vector<std::string> list_of(const std::string& text) {
  std::vector<std::string> words;
  for (std::size_t at = 0; at < text.size();) {
    const auto comma = std::min(text.find(',', at), text.size());
    if (comma > at) words.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return words;
}

// What append and subtract make of a list.
std::string changed_list(const std::string& before, const config_change& c) {
  auto words = list_of(before);
  for (const auto& word : list_of(c.value)) {
    const auto there = std::find(words.begin(), words.end(), word);
    if (c.how == config_change::kind::append && there == words.end()) words.push_back(word);
    if (c.how == config_change::kind::subtract && there != words.end()) words.erase(there);
  }
  return fmt::format("{}", fmt::join(words, ","));
}

// The whole configuration after the changes, as AlterConfigs wants it: what is not named goes back to its
// default.
result<std::map<std::string, std::string>> replaced(const std::vector<config_entry>& now,
                                                    const std::vector<config_change>& changes,
                                                    const std::string& what) {
  std::map<std::string, std::string> own, effective;
  for (const auto& e : now) {
    if (e.value) effective[e.name] = *e.value;
    const bool set_here = e.source == config_source::topic || e.source == config_source::dynamic_broker ||
                          (e.source == config_source::unknown && !e.read_only);
    if (!set_here) continue;
    const bool changes_it =
        std::any_of(changes.begin(), changes.end(), [&](const auto& c) { return c.name == e.name; });
    if (!e.value && !changes_it)
      return fail(errc::unsupported,
                  fmt::format("{}: {} is a secret that AlterConfigs, all that brokers before "
                              "Kafka 2.3 have, would lose: give its value too",
                              what, e.name));
    if (e.value) own[e.name] = *e.value;
  }
  for (const auto& c : changes) {
    switch (c.how) {
      case config_change::kind::set: own[c.name] = c.value; break;
      case config_change::kind::reset: own.erase(c.name); break;
      default: own[c.name] = changed_list(effective[c.name], c);
    }
  }
  return own;
}

}  // namespace

void admin_client::describe_configs(std::vector<config_key> of, bool synonyms, bool documentation,
                                    done_with<each<std::vector<config_entry>>> done) {
  auto all = gathering<std::vector<config_entry>>::of(of.size(), std::move(done));
  for (std::size_t i = 0; i < of.size(); ++i) {
    describe_ask request;
    request.resources.push_back({static_cast<std::int8_t>(of[i].kind), of[i].name, std::nullopt});
    request.include_synonyms = synonyms;
    request.include_documentation = documentation;
    admin_call<wire::describe_configs_response>(
        cluster_, plan(reader_of(of[i]), config_title(of[i])), std::move(request),
        &no_code<wire::describe_configs_response>,
        [what = config_title(of[i]), slot = all->slot(i)](result<wire::describe_configs_response> r) mutable {
          if (!r) return slot(fail(r.error()));
          if (r->results.empty()) return slot(fail(errc::corrupt, what + ": the broker left out a result"));
          auto& answer = r->results.front();
          if (answer.error_code != 0)
            return slot(fail(answer_error(answer.error_code, what, answer.error_message)));
          slot(entries_of(answer));
        });
  }
}

void admin_client::alter_configs(std::vector<kafka::config_changes> changes, bool validate_only,
                                 done_with<each<>> done) {
  auto all = gathering<void>::of(changes.size(), std::move(done));
  for (std::size_t i = 0; i < changes.size(); ++i) {
    auto& one = changes[i];
    wire::incremental_alter_configs_request request;
    request.validate_only = validate_only;
    auto& r = request.resources.emplace_back();
    r.resource_type = static_cast<std::int8_t>(one.of.kind);
    r.resource_name = one.of.name;
    for (const auto& c : one.changes) {
      const bool reset = c.how == config_change::kind::reset;
      r.configs.push_back({c.name, static_cast<std::int8_t>(c.how),
                           reset ? std::nullopt : std::optional<std::string>(c.value)});
    }
    const auto to = writer_of(one.of);
    const auto what = config_title(one.of);
    admin_call<wire::incremental_alter_configs_response>(
        cluster_, plan(to, what), std::move(request), &code_of_alter,
        [this, validate_only, one = std::move(one), what,
         slot = all->slot(i)](result<wire::incremental_alter_configs_response> r) mutable {
          if (!r && r.error().kind() == errc::unsupported)
            return alter_legacy(std::move(one), validate_only, std::move(slot));
          slot(outcome_of(r, what));
        });
  }
}

// Before Kafka 2.3: read what is set, change it, write all of it. Two who do that at once may undo each
// other's changes.
void admin_client::alter_legacy(kafka::config_changes changes, bool validate_only, done_with<void> done) {
  const auto of = changes.of;
  describe_configs({of}, false, false,
                   [this, changes = std::move(changes), validate_only,
                    done = std::move(done)](result<each<std::vector<config_entry>>> now) mutable {
                     if (!now) return done(fail(now.error()));
                     if (!now->front()) return done(fail(now->front().error()));
                     const auto what = config_title(changes.of);
                     auto after = replaced(*now->front(), changes.changes, what);
                     if (!after) return done(fail(after.error()));
                     wire::alter_configs_request request;
                     request.validate_only = validate_only;
                     auto& r = request.resources.emplace_back();
                     r.resource_type = static_cast<std::int8_t>(changes.of.kind);
                     r.resource_name = changes.of.name;
                     for (auto& [name, value] : *after) r.configs.push_back({name, std::move(value)});
                     admin_call<wire::alter_configs_response>(
                         cluster_, plan(writer_of(changes.of), what), std::move(request), &code_of_replace,
                         [what, done = std::move(done)](result<wire::alter_configs_response> r) mutable {
                           done(outcome_of(r, what));
                         });
                   });
}

void admin_client::list_config_resources(std::vector<config_resource> kinds,
                                         done_with<std::vector<config_key>> done) {
  wire::list_config_resources_request request;
  for (const auto k : kinds) request.resource_types.push_back(static_cast<std::int8_t>(k));
  const bool old_is_enough = kinds.size() == 1 && kinds.front() == config_resource::client_metrics;
  if (old_is_enough) request.resource_types.clear();  // all that version 0 lists
  admin_call<wire::list_config_resources_response>(
      cluster_, plan({}, "configuration resources", old_is_enough ? 0 : 1), std::move(request),
      &top_code<wire::list_config_resources_response>,
      [kinds = std::move(kinds),
       done = std::move(done)](result<wire::list_config_resources_response> r) mutable {
        if (!r) return done(fail(r.error()));
        if (r->error_code != 0) return done(fail(answer_error(r->error_code, "configuration resources")));
        std::vector<config_key> all;
        for (auto& c : r->config_resources) {
          const auto kind = static_cast<config_resource>(c.resource_type);
          if (kinds.empty() || std::find(kinds.begin(), kinds.end(), kind) != kinds.end())
            all.push_back({kind, std::move(c.resource_name)});
        }
        done(std::move(all));
      });
}

}  // namespace penstock::client
