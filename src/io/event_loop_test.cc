// SPDX-License-Identifier: Apache-2.0
#include "io/event_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <future>
#include <map>
#include <numeric>
#include <optional>
#include <thread>

#include "io/random.h"
#include "io/recent_clock.h"
#include "io/signals.h"
#include "io/test_support.h"

namespace penstock::io {
namespace {

TEST(a_recent_wall_clock, tells_the_same_as_the_clock_itself) {
  recent_wall_clock recent;
  const auto end = clock::system().wall_ms() + 25;
  for (std::int64_t before = 0; before < end;) {
    before = clock::system().wall_ms();
    const auto told = recent.ms();
    const auto after = clock::system().wall_ms();
    ASSERT_GE(told, before);
    ASSERT_LE(told, after);
  }
}

using namespace std::chrono_literals;
using testing::ElementsAre;

TEST(event_loop, runs_posted_functions_in_order_and_only_from_the_loop) {
  event_loop loop;
  std::vector<int> order;
  loop.post([&] {
    loop.post([&] { order.push_back(3); });
    order.push_back(1);
  });
  loop.post([&] { order.push_back(2); });
  EXPECT_TRUE(order.empty());
  EXPECT_EQ(loop.poll(), 3u);
  EXPECT_THAT(order, ElementsAre(1, 2, 3));
  EXPECT_EQ(loop.poll(), 0u);
}

TEST(event_loop, run_goes_on_until_stop) {
  event_loop loop;
  int left = 100;
  unique_function<void()> again = [&] { --left > 0 ? loop.post([&] { again(); }) : loop.stop(); };
  loop.post([&] { again(); });
  loop.run();
  EXPECT_EQ(left, 0);
}

TEST(event_loop, a_stop_before_run_ends_that_run_and_no_other) {
  event_loop loop;
  loop.stop();
  loop.run();
  bool ran = false;
  loop.post([&] {
    ran = true;
    loop.stop();
  });
  loop.run();
  EXPECT_TRUE(ran);
}

TEST(event_loop, run_until_keeps_to_its_deadline_and_stops_early) {
  event_loop loop;
  const auto began = clock::system().now();
  EXPECT_EQ(loop.run_until(began + 20ms), 0u);
  EXPECT_GE(clock::system().now() - began, 20ms);
  loop.post([&] { loop.stop(); });
  EXPECT_GE(loop.run_until(clock::system().now() + 1h), 1u);
}

TEST(event_loop, takes_posts_of_several_threads_each_in_its_order) {
  constexpr int threads = 4, posts = 5'000;
  event_loop loop;
  std::vector<int> next(threads, 0);
  int in_order = 0;
  std::vector<std::thread> posting;
  for (int t = 0; t < threads; ++t) {
    posting.emplace_back([&, t] {
      for (int i = 0; i < posts; ++i) {
        loop.post([&, t, i] {
          if (next[t]++ == i) ++in_order;
          if (std::accumulate(next.begin(), next.end(), 0) == threads * posts) loop.stop();
        });
      }
    });
  }
  loop.run();
  for (auto& t : posting) t.join();
  EXPECT_EQ(in_order, threads * posts);
}

TEST(event_loop, a_post_wakes_a_loop_that_waits) {
  event_loop loop;
  bool ran = false;
  std::thread poster([&] { loop.post([&] { ran = true; }); });
  EXPECT_EQ(loop.run_some_until(clock::system().now() + 1h), 1u);
  poster.join();
  EXPECT_TRUE(ran);
}

TEST(event_loop, stop_of_another_thread_ends_a_run_that_waits) {
  event_loop loop;
  std::promise<void> ended;
  std::thread runner([&] {
    loop.run();
    ended.set_value();
  });
  loop.stop();
  EXPECT_EQ(ended.get_future().wait_for(30s), std::future_status::ready);
  runner.join();
}

TEST(event_loop, run_some_until_takes_all_that_is_ready_without_waiting_more) {
  event_loop loop;
  int ran = 0;
  for (int i = 0; i < 10; ++i) loop.post([&] { ++ran; });
  EXPECT_EQ(loop.run_some_until(clock::system().now() + 1h), 10u);
  EXPECT_EQ(ran, 10);
  EXPECT_EQ(loop.run_some_until(clock::system().now() + 5ms), 0u);
  EXPECT_EQ(loop.run_some_until(clock::system().now() - 1ms), 0u);
}

TEST(event_loop, handlers_that_post_themselves_hold_up_neither_timers_nor_poll) {
  event_loop loop;
  bool stop = false;
  unique_function<void()> again = [&] {
    if (!stop) loop.post([&] { again(); });
  };
  again();
  EXPECT_GT(loop.poll(), 0u);
  timer t(loop);
  t.arm(1ms, [&] { stop = true; });
  ASSERT_TRUE(run_until_true(loop, [&] { return stop; }));
}

TEST(event_loop, drops_what_is_left_uncalled) {
  auto token = std::make_shared<int>(0);
  struct posts_when_dropped {
    event_loop* loop;
    std::shared_ptr<int> token;
    posts_when_dropped(event_loop* l, std::shared_ptr<int> t) : loop(l), token(std::move(t)) {}
    posts_when_dropped(posts_when_dropped&&) = default;
    ~posts_when_dropped() {
      if (token) loop->post([t = token] {});
    }
    void operator()() {}
  };
  std::optional<timer> outlives;
  {
    event_loop loop;
    outlives.emplace(loop);
    outlives->arm(1h, [token] {});
    loop.post(posts_when_dropped(&loop, token));
  }
  EXPECT_EQ(token.use_count(), 1);
  EXPECT_FALSE(outlives->armed());
  outlives->arm(1ms, [token] {});
  EXPECT_EQ(token.use_count(), 1) << "a loop that is gone takes no timers";
}

class held_time : public ::testing::Test {
 protected:
  manual_clock time_;
  event_loop loop_{time_};
};

TEST_F(held_time, timers_go_by_the_loops_clock_and_in_order) {
  std::vector<int> fired;
  timer a(loop_), b(loop_), c(loop_), d(loop_);
  a.arm(30ms, [&] { fired.push_back(30); });
  b.arm(10ms, [&] { fired.push_back(10); });
  c.arm(10ms, [&] { fired.push_back(11); });
  d.arm(0ms, [&] { fired.push_back(0); });
  EXPECT_TRUE(fired.empty());
  loop_.poll();
  EXPECT_THAT(fired, ElementsAre(0));
  time_.advance(9ms);
  loop_.poll();
  EXPECT_THAT(fired, ElementsAre(0));
  time_.advance(1ms);
  loop_.poll();
  EXPECT_THAT(fired, ElementsAre(0, 10, 11)) << "equal times fire as armed";
  EXPECT_TRUE(a.armed());
  EXPECT_FALSE(b.armed());
  time_.advance(1h);
  loop_.poll();
  EXPECT_THAT(fired, ElementsAre(0, 10, 11, 30));
}

TEST_F(held_time, arming_again_cancelling_and_destroying_drop_the_handler) {
  auto token = std::make_shared<int>(0);
  const auto never = [token] { ADD_FAILURE() << "called"; };
  bool fired = false;
  timer again(loop_), cancelled(loop_);
  again.arm(1ms, never);
  again.arm(5ms, [&] { fired = true; });
  cancelled.arm(1ms, never);
  cancelled.cancel();
  cancelled.cancel();
  {
    timer destroyed(loop_);
    destroyed.arm(1ms, never);
  }
  EXPECT_EQ(token.use_count(), 2) << "only `never` itself holds it";
  time_.advance(4ms);
  loop_.poll();
  EXPECT_FALSE(fired);
  time_.advance(1ms);
  loop_.poll();
  EXPECT_TRUE(fired);
}

TEST_F(held_time, a_timer_may_arm_itself_again_and_does_not_run_twice_in_a_round) {
  int fired = 0;
  timer t(loop_);
  unique_function<void()> again = [&] {
    ++fired;
    t.arm(0ms, [&] { again(); });
  };
  t.arm(0ms, [&] { again(); });
  loop_.poll();
  EXPECT_EQ(fired, 1);
  loop_.poll();
  EXPECT_EQ(fired, 2);
}

TEST_F(held_time, a_timer_may_destroy_itself_and_others_that_are_due) {
  auto a = std::make_unique<timer>(loop_), b = std::make_unique<timer>(loop_);
  bool ran = false;
  a->arm(1ms, [&] {
    a.reset();
    b.reset();
    ran = true;
  });
  b->arm(1ms, [] { ADD_FAILURE() << "called"; });
  time_.advance(1ms);
  loop_.poll();
  EXPECT_TRUE(ran);
}

TEST_F(held_time, a_moved_timer_keeps_its_handler) {
  bool fired = false;
  timer a(loop_);
  a.arm(1ms, [&] { fired = true; });
  timer b = std::move(a);
  EXPECT_TRUE(b.armed());
  time_.advance(1ms);
  loop_.poll();
  EXPECT_TRUE(fired);
}

TEST_F(held_time, random_timers_match_a_model) {
  seeded_random random(11);
  std::vector<std::unique_ptr<timer>> timers;
  for (int i = 0; i < 50; ++i) timers.push_back(std::make_unique<timer>(loop_));
  std::map<std::pair<std::int64_t, int>, std::size_t> model;  // {due, arming} -> timer
  std::vector<std::size_t> fired;
  std::int64_t now = 0;
  const auto forget = [&](std::size_t i) {
    std::erase_if(model, [&](const auto& m) { return m.second == i; });
  };
  for (int step = 0; step < 5'000; ++step) {
    const auto i = random.next() % timers.size();
    if (const auto what = random.next() % 8; what < 5) {
      const auto after = static_cast<std::int64_t>(random.next() % 40);
      forget(i);
      model[{now + after, step}] = i;
      timers[i]->arm(std::chrono::milliseconds(after), [&fired, i] { fired.push_back(i); });
    } else if (what == 5) {
      forget(i);
      timers[i]->cancel();
    } else {
      const auto by = static_cast<std::int64_t>(random.next() % 10);
      now += by;
      time_.advance(std::chrono::milliseconds(by));
      fired.clear();
      loop_.poll();
      std::vector<std::size_t> expected;
      while (!model.empty() && model.begin()->first.first <= now) {
        expected.push_back(model.begin()->second);
        model.erase(model.begin());
      }
      ASSERT_EQ(fired, expected) << "step " << step;
    }
  }
}

TEST_F(held_time, waiting_on_a_clock_that_stands_still_ends) {
  timer t(loop_);
  t.arm(1h, [] { ADD_FAILURE() << "called"; });
  EXPECT_EQ(loop_.run_some_until(time_.now() + 5ms), 0u);
  EXPECT_EQ(loop_.run_until(time_.now() + 5ms), 0u);
}

TEST(timer, is_not_early_on_the_machines_clock) {
  event_loop loop;
  timer t(loop);
  const auto began = clock::system().now();
  std::optional<instant> fired;
  t.arm(3ms, [&] { fired = clock::system().now(); });
  ASSERT_TRUE(run_until_true(loop, [&] { return fired.has_value(); }));
  EXPECT_GE(*fired - began, 3ms);
}

TEST(stop_signals, come_as_calls_on_the_loop) {
  event_loop loop;
  std::vector<int> seen;
  stop_signals signals(loop, [&](int number) { seen.push_back(number); });
  ::raise(SIGTERM);
  ASSERT_TRUE(run_until_true(loop, [&] { return seen.size() == 1; }));
  ::raise(SIGINT);
  ASSERT_TRUE(run_until_true(loop, [&] { return seen.size() == 2; }));
  EXPECT_THAT(seen, ElementsAre(SIGTERM, SIGINT));
  ::raise(SIGPIPE);  // ignored: the test goes on
}

}  // namespace
}  // namespace penstock::io
