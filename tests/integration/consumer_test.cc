// SPDX-License-Identifier: Apache-2.0
// Groups of the Kafka client against a broker: the embedded one, or, with KAFKA_BOOTSTRAP set, any other
// (then also what the embedded one cannot do). Each test makes topics and groups of its own.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <thread>

#include "kafka_fixture.h"

namespace penstock::kafka {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::SizeIs;

using testing::eventually;
using testing::good;
using testing::with_broker;

/// A member of a group that polls on a thread of its own and takes note of everything.
class polling_member {
 public:
  polling_member(consumer c, const std::function<result<>(consumer&, rebalance_listener)>& subscribe)
      : consumer_(std::move(c)) {
    good(subscribe(consumer_, {.assigned = [this](const auto& list) { note(list, 1); },
                               .revoked = [this](const auto& list) { note(list, -1); },
                               .lost = [this](const auto& list) { note(list, -1); }}));
    thread_ = std::thread([this] { run(); });
  }
  ~polling_member() { stop(); }

  void stop() {
    stopping_ = true;
    consumer_.wake_up();
    if (!thread_.joinable()) return;
    thread_.join();
    static_cast<void>(consumer_.close(10s));
  }
  std::size_t has() const {
    const std::lock_guard lock(mutex_);
    return mine_.size();
  }
  int given_up() const {
    const std::lock_guard lock(mutex_);
    return given_up_;
  }
  int failures() const {
    const std::lock_guard lock(mutex_);
    return failures_;
  }
  int rebalances() const {
    const std::lock_guard lock(mutex_);
    return rebalances_;
  }
  std::vector<std::string> values() const {
    const std::lock_guard lock(mutex_);
    return values_;
  }
  std::string failure() const {
    const std::lock_guard lock(mutex_);
    return failure_;
  }

 private:
  void note(const std::vector<topic_partition>& list, int change) {
    const std::lock_guard lock(mutex_);
    ++rebalances_;
    for (const auto& tp : list) {
      if (change > 0)
        mine_.insert(tp);
      else
        given_up_ += static_cast<int>(mine_.erase(tp));
    }
  }
  void run() {
    while (!stopping_) {
      auto batches = consumer_.poll(50ms);
      const std::lock_guard lock(mutex_);
      if (!batches) {
        ++failures_;
        if (batches.error().retriable()) continue;
        failure_ = batches.error().message();
        return;
      }
      for (const auto& b : *batches)
        for (const auto& r : b.records()) values_.emplace_back(r.value);
    }
  }

  consumer consumer_;
  mutable std::mutex mutex_;
  std::set<topic_partition> mine_;
  std::vector<std::string> values_;
  std::string failure_;
  int given_up_ = 0, rebalances_ = 0, failures_ = 0;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

class a_consumer : public with_broker {
 protected:
  void produce(const std::string& t, int from, int to, std::int32_t partitions) {
    auto p = producer();
    for (int i = from; i < to; ++i)
      good(p.send({.topic = t, .key = {}, .value = fmt::format("{}", i), .partition = i % partitions}));
    good(p.flush(30s));
  }
  consumer_settings settings(const std::string& group) {
    consumer_settings s{
        .bootstrap_servers = bootstrap, .group_id = group, .auto_offset_reset = offset_reset::earliest};
    s.heartbeat_interval = 100ms;
    s.session_timeout = session_timeout();
    s.auto_commit_interval = 100ms;
    s.connection.metadata_max_age = 200ms;
    return s;
  }
  std::unique_ptr<polling_member> join(consumer_settings s, std::vector<std::string> topics) {
    return std::make_unique<polling_member>(
        good(consumer::create(std::move(s))),
        [&](consumer& c, rebalance_listener l) { return c.subscribe(std::move(topics), std::move(l)); });
  }
  // Each value of [0, n) exactly once over all members.
  static bool each_once(const std::vector<polling_member*>& members, int n) {
    std::multiset<std::string> all;
    for (const auto* m : members)
      for (auto& v : m->values()) all.insert(v);
    if (all.size() != static_cast<std::size_t>(n)) return false;
    for (int i = 0; i < n; ++i)
      if (all.count(fmt::format("{}", i)) != 1) return false;
    return true;
  }
  // Two members, of which the second comes and goes: only what moves stops, and nothing comes twice.
  void share_without_stopping(const consumer_settings& s) {
    const auto t = topic(4);
    produce(t, 0, 200, 4);
    auto first = join(s, {t});
    ASSERT_TRUE(eventually([&] { return first->has() == 4 && each_once({first.get()}, 200); }))
        << first->failure();
    auto second = join(s, {t});
    ASSERT_TRUE(eventually([&] { return first->has() == 2 && second->has() == 2; }))
        << first->has() << " " << second->has() << first->failure() << second->failure();
    EXPECT_EQ(first->given_up(), 2);
    EXPECT_EQ(second->given_up(), 0);
    produce(t, 200, 400, 4);
    ASSERT_TRUE(eventually([&] { return each_once({first.get(), second.get()}, 400); }));
    EXPECT_EQ(second->values().size(), 100u);
    second->stop();
    ASSERT_TRUE(eventually([&] { return first->has() == 4; })) << first->failure();
    produce(t, 400, 440, 4);
    ASSERT_TRUE(eventually([&] { return each_once({first.get(), second.get()}, 440); }));
    EXPECT_EQ(first->given_up(), 2);
  }
  // A static member that comes back in time: the other one notices nothing.
  void come_back(consumer_settings s) {
    const auto t = topic(2);
    s.session_timeout = broker ? 5s : 10s;
    s.group_instance_id = "one";
    auto first = join(s, {t});
    s.group_instance_id = "two";
    auto second = join(s, {t});
    ASSERT_TRUE(eventually([&] { return first->has() == 1 && second->has() == 1; }))
        << first->failure() << second->failure();
    const auto rebalances = first->rebalances();
    second->stop();
    second = join(s, {t});
    ASSERT_TRUE(eventually([&] { return second->has() == 1; })) << second->failure();
    EXPECT_EQ(first->rebalances(), rebalances);
    produce(t, 0, 20, 2);
    ASSERT_TRUE(eventually([&] { return each_once({first.get(), second.get()}, 20); }));
  }
  void follow_a_pattern(const consumer_settings& s) {
    const auto prefix = name("p");
    make(prefix + "-a", 1);
    make("not-" + prefix, 1);
    polling_member m(good(consumer::create(s)), [&](consumer& c, rebalance_listener l) {
      return c.subscribe_matching(prefix + "-.*", std::move(l));
    });
    ASSERT_TRUE(eventually([&] { return m.has() == 1; })) << m.failure();
    make(prefix + "-b", 2);
    ASSERT_TRUE(eventually([&] { return m.has() == 3; }, 60s)) << m.failure();
    produce(prefix + "-b", 0, 10, 2);
    ASSERT_TRUE(eventually([&] { return each_once({&m}, 10); }));
  }
};

TEST_F(a_consumer, shares_a_group_without_stopping) {
  auto s = settings(name("g"));
  s.assignors = {assignor::cooperative_sticky};
  share_without_stopping(s);
}

TEST_F(a_consumer, comes_back_as_a_static_member) { come_back(settings(name("g"))); }

TEST_F(a_consumer, follows_a_pattern) { follow_a_pattern(settings(name("g"))); }

TEST_F(a_consumer, may_be_called_from_its_callbacks) {
  const auto t = topic(2);
  produce(t, 0, 20, 2);
  auto c = good(consumer::create(settings(name("g"))));
  std::vector<std::string> refused;
  result<> committed = fail(errc::internal, "not asked");
  std::size_t offsets = 0, revoked = 0;
  good(c.subscribe({t},
                   {.assigned =
                        [&](const auto& list) {
                          if (list.empty()) return;
                          if (auto found = c.committed(list)) offsets = found->size();
                          static_cast<void>(c.seek(list[0], 5));
                          for (const auto& r : {c.close(1s), c.unsubscribe(), c.subscribe({t}), c.assign({})})
                            refused.push_back(r ? "" : r.error().message());
                          const auto polled = c.poll(1s);
                          refused.push_back(polled ? "" : polled.error().message());
                        },
                    .revoked =
                        [&](const auto& list) {
                          revoked = list.size();
                          committed = c.commit_sync();
                        }}));
  std::size_t n = 0;
  const auto until = std::chrono::steady_clock::now() + 30s;
  while (n < 15 && std::chrono::steady_clock::now() < until)
    for (const auto& b : good(c.poll(100ms)))
      for ([[maybe_unused]] const auto& r : b.records()) ++n;
  EXPECT_EQ(n, 15u);  // five were passed over by seek
  EXPECT_EQ(offsets, 2u);
  ASSERT_THAT(refused, SizeIs(5));
  for (const auto& r : refused) EXPECT_THAT(r, HasSubstr("from within a callback")) << r;
  // A callback of a commit may commit again.
  bool again = false, done = false;
  c.commit_async({{{t, 0}, {.offset = 1}}}, [&](const result<>& r) {
    again = r && c.commit_sync({{{t, 0}, {.offset = 2}}});
    done = true;
  });
  while (!done && std::chrono::steady_clock::now() < until) good(c.poll(10ms));
  EXPECT_TRUE(again);
  good(c.unsubscribe());
  EXPECT_EQ(revoked, 2u);
  EXPECT_TRUE(committed) << committed.error().message();
  // What was committed knows its leader's epoch, so that a log that was cut back is noticed.
  if (keeps_epochs()) {
    EXPECT_GE(good(c.committed({{t, 0}}))[0].position.leader_epoch, 0);
  }
}

TEST_F(a_consumer, starts_at_a_time) {
  const auto t = topic(1);
  auto p = producer();
  for (int i = 0; i < 10; ++i)
    good(p.send({.topic = t,
                 .key = {},
                 .value = fmt::format("{}", i),
                 .partition = 0,
                 .timestamp_ms = 1'000'000 + i}));
  good(p.flush(30s));
  auto c = good(consumer::create({.bootstrap_servers = bootstrap}));
  good(c.assign({{.partition = {t, 0}, .at_time = 1'000'007}}));
  std::vector<std::string> values;
  const auto until = std::chrono::steady_clock::now() + 30s;
  while (values.size() < 3 && std::chrono::steady_clock::now() < until)
    for (const auto& r : good(c.poll_records(100ms))) values.push_back(*r.value);
  EXPECT_EQ(values, (std::vector<std::string>{"7", "8", "9"}));
}

// The broker is away for longer than anything that a consumer asks of it may take, and than its session: it
// waits, and goes on by itself, as a new member if need be; no poll answers an error.
TEST_F(a_consumer, outlives_a_long_absence_of_its_broker) {
  if (!broker) GTEST_SKIP() << "stops and starts the broker";
  const auto t = topic(2), other = topic(1), g = name("g");
  auto s = settings(g);
  s.connection.default_api_timeout = 300ms;
  s.connection.request_timeout = 300ms;
  for (const auto how : {assignor::range, assignor::cooperative_sticky}) {
    SCOPED_TRACE(static_cast<int>(how));
    s.group_id = name("g");
    s.assignors = {how};
    produce(t, 0, 100, 2);
    auto m = join(s, {t, other});
    ASSERT_TRUE(eventually([&] { return m->has() == 3 && m->values().size() >= 100; })) << m->failure();
    // This one has only just begun: its first lookups fall into the absence. In a group of its own, or it
    // would begin behind what the member commits meanwhile.
    auto alone = s;
    alone.group_id = name("g");
    auto late = good(consumer::create(alone));
    good(late.assign({{{t, 0}, no_offset}}));
    const auto port = broker->port();
    ASSERT_TRUE(broker->stop());
    broker.reset();
    const auto until = std::chrono::steady_clock::now() + 2s;
    while (std::chrono::steady_clock::now() < until) good(late.poll(50ms));
    start_broker({.directory = directory.string(),
                  .port = port,
                  .auto_create_topics = false,
                  .group_min_session_timeout = 100ms});
    const auto before = m->values().size();
    produce(t, 100, 200, 2);
    EXPECT_TRUE(eventually([&] { return m->has() == 3 && m->values().size() >= before + 100; }))
        << m->failure() << m->values().size();
    EXPECT_EQ(m->failures(), 0);
    std::size_t read = 0;
    EXPECT_TRUE(eventually([&] { return (read += good(late.poll_records(50ms)).size()) >= 50; }));
  }
}

// A commit that is tried again for long must not undo one that was asked for after it.
TEST_F(a_consumer, commits_in_the_order_asked) {
  const auto t = topic(1);
  auto c = good(consumer::create(settings(name("g"))));
  int done = 0;
  for (int i = 1; i <= 50; ++i)
    c.commit_async({{{t, 0}, {.offset = i}}}, [&](const result<>& r) { done += r ? 1 : 0; });
  good(c.commit_sync({{{t, 0}, {.offset = 51}}}));  // waits for them
  EXPECT_EQ(done, 50);
  EXPECT_EQ(good(c.committed({{t, 0}}))[0].position.offset, 51);
}

TEST_F(a_consumer, says_that_settings_cannot_be) {
  auto s = settings("g");
  s.assignors = {assignor::range, assignor::range};
  EXPECT_THAT(consumer::create(s).error().message(), HasSubstr("names 'range' twice"));
  s.assignors = {};
  EXPECT_THAT(consumer::create(s).error().message(), HasSubstr("must name at least one of"));
  s.assignors = {assignor::range};
  s.group_remote_assignor = "uniform";
  EXPECT_THAT(consumer::create(s).error().message(), HasSubstr("group.protocol=consumer only"));
}

// The embedded broker does not share partitions out itself: these need Apache Kafka 4.0 or newer.

TEST_F(a_consumer, says_that_its_broker_shares_nothing_out) {
  if (!broker) GTEST_SKIP() << "is about the embedded broker";
  auto s = settings(name("g"));
  s.group_protocol = group_protocol::consumer;
  auto m = join(s, {topic(1)});
  ASSERT_TRUE(eventually([&] { return !m->failure().empty(); }));
  EXPECT_THAT(m->failure(), HasSubstr("group.protocol=consumer needs Kafka 4.0 or newer"));
}

TEST_F(a_consumer, is_assigned_by_the_broker_without_stopping) {
  auto s = settings(name("g"));
  s.group_protocol = group_protocol::consumer;
  if (broker) GTEST_SKIP() << "needs Apache Kafka 4.0 or newer";
  share_without_stopping(s);
}

TEST_F(a_consumer, comes_back_as_a_static_member_that_the_broker_assigns) {
  if (broker) GTEST_SKIP() << "needs Apache Kafka 4.0 or newer";
  auto s = settings(name("g"));
  s.group_protocol = group_protocol::consumer;
  come_back(s);
}

TEST_F(a_consumer, lets_the_broker_match_a_pattern) {
  if (broker) GTEST_SKIP() << "needs Apache Kafka 4.0 or newer";
  auto s = settings(name("g"));
  s.group_protocol = group_protocol::consumer;
  s.group_remote_assignor = "range";
  follow_a_pattern(s);
}

}  // namespace
}  // namespace penstock::kafka
