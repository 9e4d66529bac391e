// SPDX-License-Identifier: Apache-2.0
// The consumer as a member of its group: what comes and goes, and commits.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "client/consumer_impl.h"
#include "wire/error_code.h"

namespace penstock::kafka {
namespace {

// Whether a commit came under a name that the member does not have any more, though it may still own what it
// commits: members keep their partitions through cooperative rebalances, and get new generations meanwhile.
bool came_under_an_old_name(const penstock::error& why) {
  switch (static_cast<wire::error_code>(why.kafka_code())) {
    case wire::error_code::illegal_generation:
    case wire::error_code::stale_member_epoch:
    case wire::error_code::rebalance_in_progress: return true;
    default: return false;
  }
}

constexpr std::chrono::milliseconds look_again_after{20};

}  // namespace

result<> consumer::impl::subscribe(client::topic_selection topics, rebalance_listener l) {
  if (auto possible = check_outside("subscribe"); !possible) return possible;
  if (auto possible = check_group(); !possible) return possible;
  if (topics.empty()) return fail(errc::invalid_argument, "subscribe names no topic");
  leave_group();
  drop_partitions();
  listener = std::move(l);
  auto started = client::group_session::start(settings, std::move(topics), [this] { loop.post([] {}); });
  if (!started) return fail(started.error());
  group = std::move(*started);
  return {};
}

void consumer::impl::tell(const std::function<void(const std::vector<topic_partition>&)>& f,
                          const std::vector<topic_partition>& partitions) {
  if (!f) return;
  struct scope {
    bool& flag;
    explicit scope(bool& b) : flag(b) { flag = true; }
    ~scope() { flag = false; }
  } const inside(in_callback);
  f(partitions);
}

std::vector<topic_partition> consumer::impl::all_assigned() const {
  std::vector<topic_partition> all;
  for (const auto& [tp, state] : assigned) all.push_back(tp);
  return all;
}

void consumer::impl::leave_group() {
  if (!group) return;
  if (!assigned.empty()) {
    if (commits_by_itself()) commit_before_revocation(uncommitted());
    tell(listener.revoked, all_assigned());
  }
  group->leave(std::chrono::seconds(3));
  group.reset();
  group_failure.reset();
}

result<> consumer::impl::handle(client::group_event event) {
  const auto mine = all_assigned();
  switch (event.what) {
    case client::group_event::kind::assigned: take_generation(event.generation); return {};
    case client::group_event::kind::rebalance:
      if (commits_by_itself()) commit_before_revocation(uncommitted());
      if (!mine.empty()) tell(listener.revoked, mine);
      drop_partitions();
      group->rejoin();
      return {};
    case client::group_event::kind::lost:
      drop_partitions();
      if (!mine.empty()) tell(listener.lost, mine);
      group->rejoin();
      return {};
    case client::group_event::kind::failed:
      drop_partitions();
      if (!mine.empty()) tell(listener.lost, mine);
      group_failure = event.why;
      return fail(*event.why);
  }
  return {};
}

// What is not in the generation goes, what is new comes; the rest is read on.
void consumer::impl::take_generation(const client::group_generation& g) {
  std::vector<topic_partition> gone, come;
  for (const auto& [tp, state] : assigned)
    if (!std::binary_search(g.partitions.begin(), g.partitions.end(), tp)) gone.push_back(tp);
  for (const auto& tp : g.partitions)
    if (!assigned.contains(tp)) come.push_back(tp);
  if (!gone.empty()) {
    if (commits_by_itself()) {
      auto offsets = uncommitted();
      std::erase_if(
          offsets, [&](const auto& o) { return !std::binary_search(gone.begin(), gone.end(), o.partition); });
      commit_before_revocation(offsets);
    }
    tell(listener.revoked, gone);
    drop_partitions(gone);
  }
  std::vector<start_position> starts;
  for (const auto& tp : come) starts.push_back({tp, no_offset});
  take_partitions(starts);
  tell(listener.assigned, come);
  if (g.incremental) group->reconciled();
}

client::committer consumer::impl::committer() const {
  if (!group) return {.group_id = settings.group_id};
  const auto now = group->current();
  return {settings.group_id, now.member_id, settings.group_instance_id, now.generation};
}

// A commit that does not succeed costs a repetition, as after a crash; the rebalance must go on.
void consumer::impl::commit_before_revocation(const std::vector<partition_offset>& offsets) {
  if (!offsets.empty()) static_cast<void>(commit(offsets, loop.time().now() + settings.session_timeout / 2));
}

result<> consumer::impl::commit(const std::vector<partition_offset>& offsets, io::instant until) {
  while (!commits.empty() && loop.time().now() < until) loop.run_some_until(until);
  for (;;) {
    const auto who = committer();
    auto done = client::wait_for<void>(loop, until + std::chrono::seconds(1), "commit", [&](auto f) {
      client::commit_offsets(*cluster, who, offsets, until, std::move(f));
    });
    if (done) {
      committed(offsets);
      return done;
    }
    // While a rebalance that takes nothing away is under way a commit has to wait for its end.
    if (!group || !came_under_an_old_name(done.error())) return done;
    const auto next = std::min(until, loop.time().now() + look_again_after);
    const bool keeps_partitions = settings.group_protocol == group_protocol::consumer || cooperative;
    if (!keeps_partitions || loop.time().now() >= until || group->current().generation < 0) return done;
    loop.run_until(next);
  }
}

std::vector<partition_offset> consumer::impl::positions() const {
  std::vector<partition_offset> all;
  for (const auto& [tp, state] : assigned)
    if (state.position) all.push_back({tp, {.offset = *state.position, .leader_epoch = state.leader_epoch}});
  return all;
}

std::vector<partition_offset> consumer::impl::uncommitted() const {
  auto all = positions();
  std::erase_if(all, [&](const auto& o) { return assigned.at(o.partition).committed == o.position.offset; });
  return all;
}

void consumer::impl::committed(const std::vector<partition_offset>& offsets) {
  for (const auto& o : offsets)
    if (const auto it = assigned.find(o.partition); it != assigned.end())
      it->second.committed = o.position.offset;
}

void consumer::impl::commit_async(const std::vector<partition_offset>& offsets,
                                  std::function<void(const result<>&)> done) {
  if (auto possible = check_group(); !possible) {
    if (done) done(possible);
    return;
  }
  commits.push_back({offsets, std::move(done)});
  if (commits.size() == 1) begin_commit();
}

// One after the other: a commit that is tried again must not undo one that was asked for after it.
void consumer::impl::begin_commit() {
  client::commit_offsets(*cluster, committer(), commits.front().offsets, deadline(),
                         [this, guard = std::weak_ptr<void>(alive)](result<> r) {
                           if (guard.expired()) return;
                           auto ended = std::move(commits.front());
                           commits.pop_front();
                           if (r) committed(ended.offsets);
                           if (ended.done) finished_commits.emplace_back(std::move(ended.done), std::move(r));
                           if (!commits.empty()) begin_commit();
                         });
}

void consumer::impl::finish_commits() {
  while (!finished_commits.empty()) {
    const auto [done, outcome] = std::move(finished_commits.front());
    finished_commits.pop_front();
    done(outcome);
  }
}

// Commits what earlier polls handed out: by polling again the application says that it is done with it.
void consumer::impl::auto_commit() {
  const auto now = loop.time().now();
  if (!commits_by_itself() || now < next_auto_commit) return;
  if (next_auto_commit != io::instant{}) {
    if (const auto offsets = uncommitted(); !offsets.empty() && commits.empty()) commit_async(offsets, {});
  }
  next_auto_commit = now + settings.auto_commit_interval;
}

}  // namespace penstock::kafka
