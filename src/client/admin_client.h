// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/admin_types.h>
#include <penstock/kafka/security_types.h>
#include <penstock/kafka/settings.h>

#include <string>
#include <vector>

#include "client/admin_call.h"
#include "client/cluster.h"

namespace penstock::client {

/// What kafka::admin does, without waiting: each operation finds its brokers (controller, coordinators,
/// leaders, every broker), falls back to what older ones have, and calls back once on the loop, within
/// default_api_timeout or a little later. The cluster must outlive what is under way. What the operations
/// mean is said at kafka::admin.
class admin_client {
 public:
  explicit admin_client(cluster& c) : cluster_(c) {}

  // The cluster: admin_cluster.cc.
  void describe_cluster(bool with_fenced, done_with<kafka::cluster_info> done);
  void describe_features(done_with<std::vector<kafka::feature_info>> done);
  void update_features(std::vector<kafka::feature_update> updates, bool validate_only,
                       done_with<each<>> done);
  void describe_quorum(done_with<kafka::quorum_info> done);
  void describe_log_dirs(std::vector<std::int32_t> brokers, done_with<each<kafka::broker_log_dirs>> done);

  // Topics and partitions: admin_topics.cc, admin_partitions.cc.
  void create_topics(std::vector<kafka::new_topic> topics, bool validate_only, done_with<each<>> done);
  void delete_topics(std::vector<std::string> names, done_with<each<>> done);
  void delete_topics_by_id(std::vector<std::string> ids, done_with<each<>> done);
  void list_topics(bool with_internal, done_with<std::vector<std::string>> done);
  void describe_topics(std::vector<std::string> names, done_with<each<kafka::topic_info>> done);
  void create_partitions(std::vector<kafka::more_partitions> topics, bool validate_only,
                         done_with<each<>> done);
  void elect_leaders(kafka::election how, std::vector<kafka::topic_partition> partitions,
                     done_with<each<>> done);
  void alter_reassignments(std::vector<kafka::reassignment> wanted, done_with<each<>> done);
  void list_reassignments(std::vector<kafka::topic_partition> partitions,
                          done_with<std::vector<kafka::ongoing_reassignment>> done);
  void delete_records(std::vector<kafka::start_position> below, done_with<each<std::int64_t>> done);

  // Configurations: admin_configs.cc.
  void describe_configs(std::vector<kafka::config_key> of, bool synonyms, bool documentation,
                        done_with<each<std::vector<kafka::config_entry>>> done);
  void alter_configs(std::vector<kafka::config_changes> changes, bool validate_only, done_with<each<>> done);
  void list_config_resources(std::vector<kafka::config_resource> kinds,
                             done_with<std::vector<kafka::config_key>> done);

  // Groups: admin_groups.cc.
  void list_groups(kafka::group_filter filter, done_with<std::vector<kafka::group_listing>> done);
  void describe_groups(std::vector<std::string> ids, done_with<each<kafka::group_info>> done);
  void delete_groups(std::vector<std::string> ids, done_with<each<>> done);
  void remove_members(std::string group_id, std::vector<kafka::member_name> members, std::string reason,
                      done_with<each<>> done);
  void alter_group_offsets(std::string group_id, std::vector<kafka::partition_offset> offsets,
                           done_with<each<>> done);
  void delete_group_offsets(std::string group_id, std::vector<kafka::topic_partition> partitions,
                            done_with<each<>> done);

  // Rights, users, quotas: admin_security.cc, admin_quotas.cc.
  void describe_acls(kafka::acl_filter filter, done_with<std::vector<kafka::acl>> done);
  void create_acls(std::vector<kafka::acl> acls, done_with<each<>> done);
  void delete_acls(std::vector<kafka::acl_filter> filters, done_with<each<std::vector<kafka::acl>>> done);
  void describe_scram_users(std::vector<std::string> users, done_with<each<kafka::scram_user>> done);
  void alter_scram_users(std::vector<kafka::scram_change> changes, done_with<each<>> done);
  void describe_client_quotas(kafka::quota_filter filter, done_with<std::vector<kafka::client_quota>> done);
  void alter_client_quotas(std::vector<kafka::quota_change> changes, bool validate_only,
                           done_with<each<>> done);

  // Transactions: admin_transactions.cc.
  void list_transactions(kafka::transaction_filter filter,
                         done_with<std::vector<kafka::transaction_listing>> done);
  void describe_transactions(std::vector<std::string> ids, done_with<each<kafka::transaction_info>> done);
  void describe_producers(std::vector<kafka::topic_partition> partitions,
                          done_with<each<std::vector<kafka::active_producer>>> done);
  void abort_transaction(kafka::hanging_transaction which, done_with<void> done);
  void fence_producers(std::vector<std::string> ids, done_with<each<kafka::fenced_producer>> done);

 private:
  io::instant deadline() const { return cluster_.now() + cluster_.settings().default_api_timeout; }
  std::int32_t broker_timeout() const {
    return static_cast<std::int32_t>(cluster_.settings().request_timeout.count());
  }
  call_plan plan(route to, std::string what, std::int16_t min_version = 0) const {
    return {std::move(to), std::move(what), deadline(), {.min_version = min_version}};
  }
  /// Every broker of the cluster gets `send`; done with what all of them answered.
  template <typename T>
  void ask_every_broker(std::function<void(std::int32_t broker, done_with<T> done)> send,
                        done_with<each<T>> done) {
    ask_metadata(cluster_, {std::vector<std::string>()}, deadline(),
                 [send = std::move(send), done = std::move(done)](result<wire::metadata_response> r) mutable {
                   if (!r) return done(fail(r.error()));
                   auto all = gathering<T>::of(r->brokers.size(), std::move(done));
                   for (std::size_t i = 0; i < r->brokers.size(); ++i)
                     send(r->brokers[i].node_id, all->slot(i));
                 });
  }
  void describe_by_metadata(std::vector<std::string> names, done_with<each<kafka::topic_info>> done);
  void describe_classic_group(const std::string& id, done_with<kafka::group_info> done);
  void name_coordinator(kafka::group_info info, done_with<kafka::group_info> done);
  void alter_legacy(kafka::config_changes changes, bool validate_only, done_with<void> done);

  cluster& cluster_;
};

/// Puts answers that name their things back into the order asked; what was not answered is an error.
template <typename T, typename Key>
each<T> in_order(const std::vector<Key>& keys, std::map<Key, result<T>> found, std::string_view what) {
  each<T> all;
  for (const auto& k : keys) {
    const auto it = found.find(k);
    if (it == found.end())
      all.push_back(fail(errc::corrupt, std::string(what) + ": the broker left out a result"));
    else
      all.push_back(it->second);
  }
  return all;
}

}  // namespace penstock::client
