// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <penstock/kafka/consumer.h>

#include <algorithm>
#include <atomic>

#include "client/batch_data.h"
#include "client/consumer_impl.h"

namespace penstock::kafka {

using client::wait_for;

result<consumer> consumer::create(consumer_settings settings) {
  if (auto valid = client::validate(settings); !valid) return fail(valid.error());
  auto p = std::make_unique<impl>(std::move(settings));
  if (auto started = p->start(); !started) return fail(started.error());
  return consumer(std::move(p));
}

consumer::consumer(std::unique_ptr<impl> p) : impl_(std::move(p)) {}
consumer::consumer(consumer&&) noexcept = default;

consumer& consumer::operator=(consumer&& other) noexcept {
  consumer old(std::move(other));
  std::swap(impl_, old.impl_);
  return *this;
}

consumer::~consumer() {
  if (!impl_) return;
  impl_->listener = {};  // what its functions refer to may be gone already
  static_cast<void>(close(std::chrono::seconds(3)));
}

result<> consumer::subscribe(std::vector<std::string> topics, rebalance_listener listener) {
  return impl_->subscribe(client::topic_selection::names(std::move(topics)), std::move(listener));
}

result<> consumer::subscribe_matching(std::string pattern, rebalance_listener listener) {
  auto topics = client::topic_selection::matching(std::move(pattern));
  if (!topics) return fail(topics.error());
  return impl_->subscribe(std::move(*topics), std::move(listener));
}

result<> consumer::assign(std::vector<start_position> partitions) {
  if (auto possible = impl_->check_outside("assign"); !possible) return possible;
  impl_->leave_group();
  impl_->drop_partitions();
  impl_->take_partitions(partitions);
  return {};
}

result<> consumer::unsubscribe() {
  if (auto possible = impl_->check_outside("unsubscribe"); !possible) return possible;
  impl_->leave_group();
  impl_->drop_partitions();
  return {};
}

std::vector<topic_partition> consumer::assignment() const { return impl_->all_assigned(); }

result<std::vector<record_batch>> consumer::poll(std::chrono::milliseconds timeout) {
  std::vector<record_batch> batches;
  auto polled = impl_->poll(timeout);
  if (!polled) return fail(polled.error());
  batches.reserve(impl_->fetched.size());
  for (auto& f : impl_->fetched) {
    impl_->handed_out(*f.partition, f.next_offset, f.header.leader_epoch);
    if (f.records.left() == 0) continue;  // only the position moved
    batches.emplace_back(
        std::make_shared<const record_batch::data>(record_batch::data{std::move(f), impl_->damage}));
  }
  impl_->fetched.clear();
  return batches;
}

result<std::vector<record>> consumer::poll_records(std::chrono::milliseconds timeout,
                                                   std::size_t max_records) {
  if (auto possible = impl_->check_outside("poll_records"); !possible) return fail(possible.error());
  if (impl_->leftover.empty()) {
    auto polled = impl_->poll(timeout);
    if (!polled) return fail(polled.error());
    std::move(impl_->fetched.begin(), impl_->fetched.end(), std::back_inserter(impl_->leftover));
    impl_->fetched.clear();
  }
  return impl_->own_records(max_records);
}

void consumer::wake_up() {
  impl_->woken = true;
  impl_->loop.post([] {});
}

result<> consumer::seek(const topic_partition& tp, std::int64_t offset) {
  const auto it = impl_->assigned.find(tp);
  if (it == impl_->assigned.end()) return impl_->not_assigned(tp);
  std::erase_if(impl_->leftover, [&](const auto& f) { return *f.partition == tp; });
  it->second.wanted = std::nullopt;
  it->second.position = offset >= 0 ? std::optional(offset) : std::nullopt;
  it->second.leader_epoch = -1;
  impl_->fetcher->assign(tp, offset);
  return {};
}

result<> consumer::pause(const std::vector<topic_partition>& partitions) {
  for (const auto& tp : partitions) {
    const auto it = impl_->assigned.find(tp);
    if (it == impl_->assigned.end()) return impl_->not_assigned(tp);
    it->second.paused = true;
    impl_->fetcher->pause(tp);
  }
  return {};
}

result<> consumer::resume(const std::vector<topic_partition>& partitions) {
  for (const auto& tp : partitions) {
    const auto it = impl_->assigned.find(tp);
    if (it == impl_->assigned.end()) return impl_->not_assigned(tp);
    it->second.paused = false;
    impl_->fetcher->resume(tp);
  }
  return {};
}

result<std::int64_t> consumer::position(const topic_partition& tp) const {
  const auto it = impl_->assigned.find(tp);
  if (it == impl_->assigned.end()) return fail(impl_->not_assigned(tp).error());
  if (it->second.position) return *it->second.position;
  return impl_->fetcher->position(tp).value_or(no_offset);
}

result<> consumer::commit_sync() { return commit_sync(impl_->positions()); }

result<> consumer::commit_sync(const std::vector<partition_offset>& offsets) {
  if (auto possible = impl_->check_group(); !possible) return possible;
  if (offsets.empty()) return {};
  auto committed = impl_->commit(offsets, impl_->deadline());
  impl_->finish_commits();
  return committed;
}

void consumer::commit_async(const std::vector<partition_offset>& offsets,
                            std::function<void(const result<>&)> done) {
  impl_->commit_async(offsets, std::move(done));
}

result<std::vector<partition_offset>> consumer::committed(const std::vector<topic_partition>& partitions) {
  if (auto possible = impl_->check_group(); !possible) return fail(possible.error());
  const auto deadline = impl_->deadline();
  return wait_for<std::vector<partition_offset>>(
      impl_->loop, deadline + std::chrono::seconds(1), "committed offsets", [&](auto done) {
        client::fetch_committed(*impl_->cluster, impl_->settings.group_id, partitions, deadline,
                                std::move(done));
      });
}

result<std::vector<std::int64_t>> consumer::beginning_offsets(
    const std::vector<topic_partition>& partitions) {
  return impl_->list_offsets(partitions, earliest_offset);
}

result<std::vector<std::int64_t>> consumer::end_offsets(const std::vector<topic_partition>& partitions) {
  return impl_->list_offsets(partitions, latest_offset);
}

result<std::vector<std::int64_t>> consumer::offsets_for_time(const std::vector<topic_partition>& partitions,
                                                             std::int64_t timestamp_ms) {
  if (timestamp_ms < 0) return fail(errc::invalid_argument, "a time before 1970 cannot be looked up");
  return impl_->list_offsets(partitions, timestamp_ms);
}

result<std::vector<topic_partition>> consumer::partitions_of(const std::string& topic) {
  return impl_->partitions_of(topic);
}

consumer::membership consumer::group_membership() const {
  const auto now = impl_->committer();
  return {now.group_id, now.member_id, now.generation, impl_->settings.group_instance_id};
}

metric_list consumer::metrics() const { return impl_->metrics(); }

result<> consumer::close(std::chrono::milliseconds timeout) {
  if (impl_->closed) return {};
  if (auto possible = impl_->check_outside("close"); !possible) return possible;
  const auto deadline = impl_->loop.time().now() + timeout;
  result<> committed;
  if (impl_->commits_by_itself()) {
    const auto offsets = impl_->uncommitted();
    if (!offsets.empty()) committed = impl_->commit(offsets, deadline);
  }
  impl_->finish_commits();
  if (impl_->group) {
    if (!impl_->assigned.empty()) impl_->tell(impl_->listener.revoked, impl_->all_assigned());
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - impl_->loop.time().now());
    impl_->group->leave(std::max(left, std::chrono::milliseconds(0)));
    impl_->group.reset();
  }
  impl_->drop_partitions();
  impl_->close_fetch_sessions(deadline);
  impl_->closed = true;
  return committed;
}

}  // namespace penstock::kafka
