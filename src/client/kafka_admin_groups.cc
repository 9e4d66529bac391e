// SPDX-License-Identifier: Apache-2.0
// The waiting face of client::admin_client: groups, rights, users, quotas, transactions.
#include "client/admin_impl.h"
#include "client/offsets.h"

namespace penstock::kafka {

result<std::vector<group_listing>> admin::list_groups(const group_filter& filter) {
  return impl_->wait<std::vector<group_listing>>(
      "groups", [&](auto done) { impl_->client->list_groups(filter, std::move(done)); });
}

result<group_info> admin::describe_group(const std::string& group_id) {
  auto one = describe_groups({group_id}).each().front();
  return one;
}

outcomes<group_info> admin::describe_groups(const std::vector<std::string>& group_ids) {
  return impl_->wait_each<group_info>(group_ids.size(), "groups", [&](auto done) {
    impl_->client->describe_groups(group_ids, std::move(done));
  });
}

result<> admin::delete_group(const std::string& group_id) {
  return delete_groups(std::vector<std::string>{group_id});
}

outcomes<> admin::delete_groups(const std::vector<std::string>& group_ids) {
  return impl_->wait_each<void>(group_ids.size(), "groups",
                                [&](auto done) { impl_->client->delete_groups(group_ids, std::move(done)); });
}

outcomes<> admin::remove_members(const std::string& group_id, const std::vector<member_name>& members,
                                 const std::string& reason) {
  return impl_->wait_each<void>(members.size(), "members", [&](auto done) {
    impl_->client->remove_members(group_id, members, reason, std::move(done));
  });
}

result<std::vector<partition_offset>> admin::group_offsets(const std::string& group_id) {
  return impl_->wait<std::vector<partition_offset>>("offsets of the group", [&](auto done) {
    client::fetch_all_committed(*impl_->cluster, group_id, impl_->deadline(), std::move(done));
  });
}

outcomes<> admin::alter_group_offsets(const std::string& group_id,
                                      const std::vector<partition_offset>& offsets) {
  return impl_->wait_each<void>(offsets.size(), "offsets of the group", [&](auto done) {
    impl_->client->alter_group_offsets(group_id, offsets, std::move(done));
  });
}

outcomes<> admin::delete_group_offsets(const std::string& group_id,
                                       const std::vector<topic_partition>& partitions) {
  return impl_->wait_each<void>(partitions.size(), "offsets of the group", [&](auto done) {
    impl_->client->delete_group_offsets(group_id, partitions, std::move(done));
  });
}

result<std::vector<acl>> admin::describe_acls(const acl_filter& filter) {
  return impl_->wait<std::vector<acl>>(
      "acls", [&](auto done) { impl_->client->describe_acls(filter, std::move(done)); });
}

outcomes<> admin::create_acls(const std::vector<acl>& acls) {
  return impl_->wait_each<void>(acls.size(), "acls",
                                [&](auto done) { impl_->client->create_acls(acls, std::move(done)); });
}

outcomes<std::vector<acl>> admin::delete_acls(const std::vector<acl_filter>& filters) {
  return impl_->wait_each<std::vector<acl>>(
      filters.size(), "acls", [&](auto done) { impl_->client->delete_acls(filters, std::move(done)); });
}

outcomes<scram_user> admin::describe_scram_users(const std::vector<std::string>& users) {
  return impl_->wait_each<scram_user>(
      users.size(), "users", [&](auto done) { impl_->client->describe_scram_users(users, std::move(done)); });
}

outcomes<> admin::alter_scram_users(const std::vector<scram_change>& changes) {
  return impl_->wait_each<void>(changes.size(), "users", [&](auto done) {
    impl_->client->alter_scram_users(changes, std::move(done));
  });
}

result<std::vector<client_quota>> admin::describe_client_quotas(const quota_filter& filter) {
  return impl_->wait<std::vector<client_quota>>(
      "client quotas", [&](auto done) { impl_->client->describe_client_quotas(filter, std::move(done)); });
}

outcomes<> admin::alter_client_quotas(const std::vector<quota_change>& changes, bool validate_only) {
  return impl_->wait_each<void>(changes.size(), "client quotas", [&](auto done) {
    impl_->client->alter_client_quotas(changes, validate_only, std::move(done));
  });
}

result<std::vector<transaction_listing>> admin::list_transactions(const transaction_filter& filter) {
  return impl_->wait<std::vector<transaction_listing>>(
      "transactions", [&](auto done) { impl_->client->list_transactions(filter, std::move(done)); });
}

outcomes<transaction_info> admin::describe_transactions(const std::vector<std::string>& transactional_ids) {
  return impl_->wait_each<transaction_info>(transactional_ids.size(), "transactions", [&](auto done) {
    impl_->client->describe_transactions(transactional_ids, std::move(done));
  });
}

outcomes<std::vector<active_producer>> admin::describe_producers(
    const std::vector<topic_partition>& partitions) {
  return impl_->wait_each<std::vector<active_producer>>(partitions.size(), "producers", [&](auto done) {
    impl_->client->describe_producers(partitions, std::move(done));
  });
}

result<> admin::abort_transaction(const hanging_transaction& which) {
  return impl_->wait<void>("abort of a transaction",
                           [&](auto done) { impl_->client->abort_transaction(which, std::move(done)); });
}

outcomes<fenced_producer> admin::fence_producers(const std::vector<std::string>& transactional_ids) {
  return impl_->wait_each<fenced_producer>(transactional_ids.size(), "producers", [&](auto done) {
    impl_->client->fence_producers(transactional_ids, std::move(done));
  });
}

}  // namespace penstock::kafka
