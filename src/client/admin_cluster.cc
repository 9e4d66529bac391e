// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "client/admin_client.h"
#include "wire/messages/api_versions.h"
#include "wire/messages/describe_cluster.h"
#include "wire/messages/describe_log_dirs.h"
#include "wire/messages/describe_quorum.h"
#include "wire/messages/update_features.h"

namespace penstock::client {

using wire::error_code;

namespace {

constexpr const char* quorum_topic = "__cluster_metadata";

template <typename Broker>
kafka::broker_info broker_of(Broker& b, std::int32_t id) {
  return {id, std::move(b.host), b.port, b.rack.value_or(std::string())};
}

kafka::log_dir directory_of(wire::describe_log_dirs_response::describe_log_dirs_result& d) {
  kafka::log_dir out{std::move(d.log_dir), d.total_bytes, d.usable_bytes, {}};
  if (d.error_code != 0) out.failure = answer_error(d.error_code, "directory " + out.path);
  for (auto& t : d.topics)
    for (auto& p : t.partitions)
      out.replicas.push_back({{t.name, p.partition_index}, p.partition_size, p.offset_lag, p.is_future_key});
  return out;
}

std::vector<kafka::quorum_replica> replicas_of(
    const std::vector<wire::describe_quorum_response::replica_state>& all) {
  std::vector<kafka::quorum_replica> out;
  for (const auto& r : all)
    out.push_back({r.replica_id, r.log_end_offset, r.last_fetch_timestamp, r.last_caught_up_timestamp});
  return out;
}

// The last version takes back a flag of the first in another form.
struct update_ask {
  static constexpr auto key = wire::update_features_request::key;
  static constexpr std::int16_t min_version = 0;
  static constexpr std::int16_t max_version = wire::update_features_request::max_version;
  std::vector<kafka::feature_update> updates;
  bool validate_only = false;
  std::int32_t timeout_ms = 0;

  result<> encode(wire::writer& w, std::int16_t version) const {
    wire::update_features_request r;
    r.timeout_ms = timeout_ms;
    r.validate_only = validate_only;
    for (const auto& u : updates) {
      auto& out = r.feature_updates.emplace_back();
      out.feature = u.name;
      out.max_version_level = u.level;
      if (version == 0)
        out.allow_downgrade = u.how != kafka::feature_update::kind::upgrade;
      else
        out.upgrade_type = static_cast<std::int8_t>(u.how);
    }
    return r.encode(w, version);
  }
};

}  // namespace

void admin_client::describe_cluster(bool with_fenced, done_with<kafka::cluster_info> done) {
  wire::describe_cluster_request request;
  request.include_fenced_brokers = with_fenced;
  auto by_metadata = [this, with_fenced,
                      done = std::move(done)](result<wire::describe_cluster_response> r) mutable {
    if (!r && r.error().kind() == errc::unsupported && !with_fenced)
      return ask_metadata(
          cluster_, {std::vector<std::string>()}, deadline(),
          [done = std::move(done)](result<wire::metadata_response> m) mutable {
            if (!m) return done(fail(m.error()));
            kafka::cluster_info info{m->cluster_id.value_or(std::string()), m->controller_id, {}};
            for (auto& b : m->brokers) info.brokers.push_back(broker_of(b, b.node_id));
            done(std::move(info));
          });
    if (!r) return done(fail(r.error()));
    if (r->error_code != 0) return done(fail(answer_error(r->error_code, "cluster", r->error_message)));
    kafka::cluster_info info{r->cluster_id, r->controller_id, {}};
    for (auto& b : r->brokers) {
      info.brokers.push_back(broker_of(b, b.broker_id));
      info.brokers.back().fenced = b.is_fenced;
    }
    done(std::move(info));
  };
  admin_call<wire::describe_cluster_response>(cluster_, plan({}, "cluster", with_fenced ? 2 : 0),
                                              std::move(request), &top_code<wire::describe_cluster_response>,
                                              std::move(by_metadata));
}

void admin_client::describe_features(done_with<std::vector<kafka::feature_info>> done) {
  wire::api_versions_request request;
  request.client_software_name = "penstock";
  request.client_software_version = PENSTOCK_VERSION;
  // Version 4 also tells of features that may be switched off.
  auto how = plan({}, "features", 3);
  how.options.max_version = 4;
  admin_call<wire::api_versions_response>(
      cluster_, std::move(how), std::move(request), &top_code<wire::api_versions_response>,
      [done = std::move(done)](result<wire::api_versions_response> r) mutable {
        if (!r) return done(fail(r.error()));
        if (r->error_code != 0) return done(fail(answer_error(r->error_code, "features")));
        std::map<std::string, kafka::feature_info> by_name;
        for (const auto& f : r->supported_features)
          by_name.insert_or_assign(f.name, kafka::feature_info{f.name, f.min_version, f.max_version, -1});
        for (const auto& f : r->finalized_features) {
          auto& info = by_name[f.name];
          info.name = f.name;
          info.finalized = f.max_version_level;
        }
        std::vector<kafka::feature_info> all;
        for (auto& [name, f] : by_name) all.push_back(std::move(f));
        done(std::move(all));
      });
}

void admin_client::update_features(std::vector<kafka::feature_update> updates, bool validate_only,
                                   done_with<each<>> done) {
  std::vector<std::string> names;
  for (const auto& u : updates) names.push_back(u.name);
  admin_call<wire::update_features_response>(
      cluster_, plan(route::controller(), "features", validate_only ? 1 : 0),
      update_ask{std::move(updates), validate_only, broker_timeout()},
      &top_code<wire::update_features_response>,
      [names = std::move(names), done = std::move(done)](result<wire::update_features_response> r) mutable {
        if (!r) return done(fail(r.error()));
        if (r->error_code != 0) return done(fail(answer_error(r->error_code, "features", r->error_message)));
        std::map<std::string, result<>> found;
        // Since version 2 an answer without an error speaks for all of them.
        for (const auto& n : names) found.insert_or_assign(n, result<>());
        for (const auto& f : r->results)
          if (f.error_code != 0)
            found.insert_or_assign(
                f.feature, fail(answer_error(f.error_code, "feature '" + f.feature + "'", f.error_message)));
        done(in_order(names, std::move(found), "features"));
      });
}

void admin_client::describe_quorum(done_with<kafka::quorum_info> done) {
  wire::describe_quorum_request request;
  request.topics.push_back({quorum_topic, {{0}}});
  admin_call<wire::describe_quorum_response>(
      cluster_, plan({}, "quorum"), std::move(request), &top_code<wire::describe_quorum_response>,
      [done = std::move(done)](result<wire::describe_quorum_response> r) mutable {
        if (!r) return done(fail(r.error()));
        if (r->error_code != 0) return done(fail(answer_error(r->error_code, "quorum", r->error_message)));
        if (r->topics.empty() || r->topics.front().partitions.empty())
          return done(fail(errc::corrupt, "quorum: the broker left out a result"));
        const auto& p = r->topics.front().partitions.front();
        if (p.error_code != 0) return done(fail(answer_error(p.error_code, "quorum", p.error_message)));
        done(kafka::quorum_info{p.leader_id, p.leader_epoch, p.high_watermark, replicas_of(p.current_voters),
                                replicas_of(p.observers)});
      });
}

void admin_client::describe_log_dirs(std::vector<std::int32_t> brokers,
                                     done_with<each<kafka::broker_log_dirs>> done) {
  auto ask = [this](std::int32_t broker, done_with<kafka::broker_log_dirs> done) {
    admin_call<wire::describe_log_dirs_response>(
        cluster_, plan(route::broker(broker), fmt::format("directories of broker {}", broker)),
        wire::describe_log_dirs_request{}, &top_code<wire::describe_log_dirs_response>,
        [broker, done = std::move(done)](result<wire::describe_log_dirs_response> r) mutable {
          if (!r) return done(fail(r.error()));
          if (r->error_code != 0)
            return done(fail(answer_error(r->error_code, fmt::format("directories of broker {}", broker))));
          kafka::broker_log_dirs all{broker, {}};
          for (auto& d : r->results) all.directories.push_back(directory_of(d));
          done(std::move(all));
        });
  };
  if (brokers.empty()) return ask_every_broker<kafka::broker_log_dirs>(std::move(ask), std::move(done));
  auto all = gathering<kafka::broker_log_dirs>::of(brokers.size(), std::move(done));
  for (std::size_t i = 0; i < brokers.size(); ++i) ask(brokers[i], all->slot(i));
}

}  // namespace penstock::client
