// SPDX-License-Identifier: Apache-2.0
#include "client/consumer_impl.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "wire/error_code.h"

namespace penstock::kafka {

result<> consumer::impl::start() {
  auto c = client::cluster::create(loop, settings.bootstrap_servers, settings.connection);
  if (!c) return fail(c.error());
  cluster = std::move(*c);
  client::fetcher_settings f;
  f.isolation = settings.isolation_level;
  f.min_bytes = settings.fetch_min_bytes;
  f.max_bytes = settings.fetch_max_bytes;
  f.partition_max_bytes = settings.max_partition_fetch_bytes;
  f.max_wait = settings.fetch_max_wait;
  f.max_buffered_bytes = settings.max_buffered_bytes;
  f.check_crcs = settings.check_crcs;
  f.reset = settings.auto_offset_reset;
  f.rack = settings.client_rack;
  fetcher = std::make_unique<client::fetcher>(*cluster, f);
  regularly.start(loop, settings.connection, [this] { return metrics(); });
  return {};
}

result<> consumer::impl::check_open() const {
  if (closed) return fail(errc::closed, "the consumer is closed");
  return {};
}

result<> consumer::impl::check_outside(const char* call) const {
  if (auto open = check_open(); !open) return open;
  if (in_callback)
    return fail(
        errc::invalid_argument,
        fmt::format("{} was called from within a callback of the consumer: call it after poll", call));
  return {};
}

result<> consumer::impl::check_group() const {
  if (auto open = check_open(); !open) return open;
  if (settings.group_id.empty())
    return fail(errc::invalid_argument,
                "group.id is not set, and without a group there are no committed offsets");
  return {};
}

result<> consumer::impl::not_assigned(const topic_partition& tp) const {
  return fail(errc::invalid_argument, to_string(tp) + " is not assigned to this consumer");
}

// Partitions.

void consumer::impl::take_partitions(const std::vector<start_position>& partitions) {
  for (const auto& p : partitions) {
    auto& state = assigned[p.partition];
    state = {};
    if (p.at_time)
      fetcher->assign_at_time(p.partition, *p.at_time);
    else if (p.offset == no_offset)
      state.wanted = no_offset;
    else
      fetcher->assign(p.partition, p.offset);
  }
  look_up_committed();
}

void consumer::impl::drop_partitions() {
  for (const auto& [tp, state] : assigned) fetcher->remove(tp);
  assigned.clear();
  leftover.clear();
  fetched.clear();
}

void consumer::impl::drop_partitions(const std::vector<topic_partition>& partitions) {
  for (const auto& tp : partitions) {
    fetcher->remove(tp);
    assigned.erase(tp);
    std::erase_if(leftover, [&](const auto& f) { return *f.partition == tp; });
    std::erase_if(fetched, [&](const auto& f) { return *f.partition == tp; });
  }
}

void consumer::impl::look_up_committed() {
  if (looking_up) return;
  std::vector<topic_partition> asked;
  for (const auto& [tp, state] : assigned)
    if (state.wanted) asked.push_back(tp);
  if (asked.empty()) return;
  if (settings.group_id.empty()) {
    for (const auto& tp : asked) start_at(tp, {});
    return;
  }
  looking_up = true;
  client::fetch_committed(*cluster, settings.group_id, asked, deadline(),
                          [this, asked, guard = std::weak_ptr<void>(alive)](auto offsets) {
                            if (guard.expired()) return;
                            looking_up = false;
                            if (offsets)
                              for (const auto& o : *offsets) start_at(o.partition, o.position);
                            else if (!offsets.error().retriable())
                              no_position(asked, offsets.error());
                            look_up_committed();  // for what was assigned meanwhile, or once more
                          });
}

// A failure that passes is no matter for the application: the lookup goes on, however long brokers are away.
void consumer::impl::no_position(const std::vector<topic_partition>& of, const error& why) {
  errors.push_back(why);
  for (const auto& tp : of)
    if (const auto it = assigned.find(tp); it != assigned.end()) it->second.wanted.reset();
}

// Begins at the committed offset, or where auto.offset.reset says if there is none.
void consumer::impl::start_at(const topic_partition& tp, const offset_and_metadata& at) {
  const auto it = assigned.find(tp);
  if (it == assigned.end() || !it->second.wanted) return;
  it->second.wanted.reset();
  if (at.offset >= 0) {
    it->second.committed = at.offset;
    fetcher->assign(tp, at.offset, 0, at.leader_epoch);
  } else if (settings.auto_offset_reset == offset_reset::none) {
    errors.push_back(
        {errc::not_found, fmt::format("group '{}' has no committed offset for {}, and auto.offset.reset "
                                      "is none",
                                      settings.group_id, to_string(tp))});
    return;
  } else {
    fetcher->assign(tp,
                    settings.auto_offset_reset == offset_reset::earliest ? earliest_offset : latest_offset);
  }
  if (it->second.paused) fetcher->pause(tp);
}

result<std::vector<std::int64_t>> consumer::impl::list_offsets(const std::vector<topic_partition>& partitions,
                                                               std::int64_t at) {
  if (auto open = check_open(); !open) return fail(open.error());
  std::vector<client::offset_query> queries;
  for (const auto& tp : partitions) queries.push_back({tp, at});
  const auto until = deadline();
  auto found = client::wait_for<std::vector<result<std::int64_t>>>(
      loop, until + std::chrono::seconds(1), "offsets", [&](auto done) {
        client::list_offsets(*cluster, std::move(queries), settings.isolation_level, until, std::move(done));
      });
  if (!found) return fail(found.error());
  std::vector<std::int64_t> all;
  for (const auto& one : *found) {
    if (!one) return fail(one.error());
    all.push_back(*one);
  }
  return all;
}

// How long a topic has to be denied until it is not there: it may be about to be made. And brokers with
// ZooKeeper deny every topic for a moment after their start, until the controller has told them.
std::chrono::milliseconds consumer::impl::patience_for_topics() const {
  if (settings.allow_auto_create_topics) return std::chrono::seconds(5);
  return std::chrono::milliseconds(cluster->has_zookeeper() ? 1500 : 0);
}

result<std::vector<topic_partition>> consumer::impl::partitions_of(const std::string& topic) {
  if (auto open = check_open(); !open) return fail(open.error());
  const auto until = deadline();
  auto denied_since = io::instant::max();  // not denied
  cluster->watch_topic(topic, settings.allow_auto_create_topics);
  for (;;) {
    const auto* t = cluster->metadata().find(topic);
    if (t != nullptr && !t->partitions.empty()) {
      std::vector<topic_partition> all;
      for (std::size_t p = 0; p < t->partitions.size(); ++p)
        all.push_back({topic, static_cast<std::int32_t>(p)});
      return all;
    }
    if (t != nullptr && t->error != wire::error_code::none && !wire::retriable(t->error))
      return fail(wire::make_error(t->error, fmt::format("topic '{}'", topic)));
    if (t == nullptr || t->error != wire::error_code::unknown_topic_or_partition)
      denied_since = io::instant::max();
    else if (denied_since == io::instant::max())
      denied_since = loop.time().now();
    if (denied_since != io::instant::max() && loop.time().now() - denied_since >= patience_for_topics())
      return fail(errc::not_found, fmt::format("topic '{}' does not exist", topic));
    if (cluster->refusal()) return fail(*cluster->refusal());
    if (loop.time().now() >= until)
      return fail(errc::timeout,
                  fmt::format("topic '{}': no metadata in time from {}", topic, settings.bootstrap_servers),
                  recovery::retriable);
    loop.run_some_until(until);
  }
}

// Records.

void consumer::impl::handed_out(const topic_partition& tp, std::int64_t next_offset,
                                std::int32_t leader_epoch) {
  const auto it = assigned.find(tp);
  if (it == assigned.end()) return;
  it->second.position = next_offset;
  it->second.leader_epoch = leader_epoch;
}

result<> consumer::impl::poll(std::chrono::milliseconds timeout) {
  if (auto possible = check_outside("poll"); !possible) return possible;
  if (group_failure) return fail(*group_failure);
  const auto until = loop.time().now() + timeout;
  measure_poll();
  for (bool first = true;; first = false) {
    if (group) group->polled();
    if (first) auto_commit();
    loop.poll();
    finish_commits();
    while (group) {
      auto event = group->take_event();
      if (!event) break;
      measure_group(event->what);
      if (auto handled = handle(std::move(*event)); !handled) return handled;
    }
    if (auto broken = std::exchange(*damage, std::nullopt)) return fail(std::move(*broken));
    if (!errors.empty()) {
      auto why = std::move(errors.front());
      errors.pop_front();
      return fail(std::move(why));
    }
    const auto before = fetched.size();
    auto taken = fetcher->poll(fetched, settings.max_poll_bytes);
    if (!taken) return fail(taken.error());
    measure_batches(before);
    if (*taken == 0 && cluster->refusal()) return fail(*cluster->refusal());
    if (*taken > 0 || woken.exchange(false) || loop.time().now() >= until) return {};
    loop.run_some_until(until);
  }
}

// A courtesy that the application does not wait for very long.
void consumer::impl::close_fetch_sessions(io::instant until) {
  until = std::min(until, loop.time().now() + std::chrono::milliseconds(500));
  const auto closed_all = std::make_shared<bool>(false);
  fetcher->close_sessions([closed_all] { *closed_all = true; });
  while (!*closed_all && loop.time().now() < until) loop.run_some_until(until);
}

result<std::vector<record>> consumer::impl::own_records(std::size_t max_records) {
  std::vector<record> records;
  record_view view;
  while (!leftover.empty() && records.size() < max_records) {
    auto& f = leftover.front();
    while (records.size() < max_records && f.records.next(view)) {
      auto& r = records.emplace_back();
      r.topic = f.partition->topic;
      r.partition = f.partition->partition;
      r.offset = view.offset;
      r.timestamp_ms = view.timestamp_ms;
      if (view.has_key()) r.key = view.key;
      if (!view.is_tombstone()) r.value = view.value;
      for (const auto& h : view.headers)
        r.headers.emplace_back(
            h.key, h.value.data() == nullptr ? std::optional<std::string>() : std::string(h.value));
      handed_out(*f.partition, view.offset + 1, f.header.leader_epoch);
    }
    if (f.records.left() > 0) break;
    if (f.records.damaged())
      errors.push_back(f.records.damage().with_context(to_string(*f.partition)));
    else
      handed_out(*f.partition, f.next_offset, f.header.leader_epoch);
    leftover.pop_front();
  }
  return records;
}

}  // namespace penstock::kafka
