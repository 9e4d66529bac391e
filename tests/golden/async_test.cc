// SPDX-License-Identifier: Apache-2.0
// Requests to other systems: order, capacity, time, retries, and what an epoch has to do with them (S13).
#include <atomic>
#include <deque>
#include <map>
#include <thread>

#include "golden.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using golden::at;
using golden::pick_key;
using golden::problem;
using testing::collector;
using testing::driver;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::topic;

/// A service that answers when the test says so.
struct service {
  struct request {
    std::string text;
    async_result<std::string> done;
  };
  std::shared_ptr<std::deque<request>> open = std::make_shared<std::deque<request>>();
  std::shared_ptr<std::vector<std::string>> asked = std::make_shared<std::vector<std::string>>();

  auto client() const {
    return [open = open, asked = asked](const std::string& record, async_result<std::string> done) {
      asked->push_back(record);
      open->push_back({record, std::move(done)});
    };
  }
  request take(const std::string& text) const {
    for (auto r = open->begin(); r != open->end(); ++r) {
      if (r->text != text) continue;
      request found = std::move(*r);
      open->erase(r);
      return found;
    }
    throw std::runtime_error("nobody asked for " + text);
  }
  void answer(const std::string& text) const { take(text).done.complete(text + "!"); }
};

struct async_job {
  topic in{"in"};
  service s;
  topology topo{"t"};
  collector<std::string> out;
  auto read(bool bounded = false) {
    auto source = in.source();
    source.poll_size = 1;
    source.bounded = bounded;
    return topo.read("in", source, text);
  }
  void ask(async_options options, bool bounded = false) {
    read(bounded).async_map<std::string>("ask", s.client(), options).for_each("out", out);
  }
};

TEST(S13_async, ordered_results_come_in_the_order_of_the_records) {
  async_job job;
  job.ask({.order = async_order::ordered});
  job.in.append_values({"a", "b", "c"});
  driver d(job.topo);
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(*job.s.asked, ElementsAre("a", "b", "c"));
  job.s.answer("c");
  job.s.answer("b");
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(job.out.values(), IsEmpty());
  job.s.answer("a");
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(job.out.values(), ElementsAre("a!", "b!", "c!"));
  EXPECT_EQ(job.out.with_timestamps()[2].second, 2);
}

/// Says for each record which watermark was there before it.
struct watermarks_seen {
  using output = std::string;
  void process(const std::string& s, auto& ctx) {
    ctx.emit(fmt::format("{} wm {}", s,
                         ctx.watermark() == min_watermark ? "none" : std::to_string(ctx.watermark())));
  }
};

TEST(S13_async, unordered_results_never_cross_a_watermark) {
  async_job job;
  auto source = job.in.source();
  source.bounded = false;
  source.poll_size = 2;
  job.topo.read("in", source, text)
      .async_map<std::string>("ask", job.s.client(), {.order = async_order::unordered})
      .process<watermarks_seen>("seen")
      .for_each("out", job.out);
  job.in.append(at("a", 10)).append(at("b", 9)).append(at("c", 20)).append(at("d", 5));
  driver d(job.topo);
  ASSERT_EQ(problem(d.run()), "");
  job.s.answer("d");  // behind the watermark of a and b
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(job.out.values(), IsEmpty());
  job.s.answer("b");
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(job.out.values(), ElementsAre("b! wm none"));
  job.s.answer("a");
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(job.out.values(), ElementsAre("b! wm none", "a! wm none", "d! wm 9"));
  job.s.answer("c");
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_EQ(job.out.values().back(), "c! wm 9");
}

TEST(S13_async, one_request_a_key_at_a_time) {
  async_job job;
  job.read().key_by(pick_key).async_map<std::string>("ask", job.s.client()).for_each("out", job.out);
  job.in.append(at("a 1", 1)).append(at("a 2", 1)).append(at("b 1", 1)).append(at("a 3", 1));
  driver d(job.topo);
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(*job.s.asked, ElementsAre("a 1", "b 1"));
  job.s.answer("b 1");
  job.s.answer("a 1");
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(*job.s.asked, ElementsAre("a 1", "b 1", "a 2"));
  job.s.answer("a 2");
  ASSERT_EQ(problem(d.run()), "");
  job.s.answer("a 3");
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(job.out.values(), ElementsAre("a 1!", "b 1!", "a 2!", "a 3!"));
}

TEST(S13_async, capacity_holds_the_source_back) {
  for (const auto order : {async_order::ordered, async_order::unordered}) {
    async_job job;
    job.ask({.order = order, .capacity = 3});
    for (int i = 0; i < 10; ++i) job.in.append(at(std::to_string(i), 0));
    driver d(job.topo);
    ASSERT_EQ(problem(d.run()), "");
    EXPECT_EQ(job.s.open->size(), 3u);
    EXPECT_EQ(d.progress().records_read, 3u);
    for (int i = 0; i < 10; ++i) {
      job.s.answer(std::to_string(i));
      ASSERT_EQ(problem(d.run()), "");
      EXPECT_LE(job.s.open->size(), 3u);
    }
    EXPECT_EQ(job.out.values().size(), 10u);
  }
}

TEST(S13_async, a_batch_larger_than_the_capacity_waits_its_turn) {
  async_job job;
  auto source = job.in.source();
  source.poll_size = 100;
  job.topo.read("in", source, text)
      .async_map<std::string>("ask", job.s.client(), {.capacity = 2})
      .for_each("out", job.out);
  for (int i = 0; i < 50; ++i) job.in.append(at(std::to_string(i), 0));
  driver d(job.topo);
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_EQ(job.s.open->size(), 2u);
  for (int i = 0; i < 50; ++i) {
    job.s.answer(std::to_string(i));
    ASSERT_EQ(problem(d.run()), "");
    EXPECT_LE(job.s.open->size(), 2u);
  }
  EXPECT_EQ(problem(d.finish()), "");
  EXPECT_EQ(job.out.values().size(), 50u);
}

TEST(async, tries_again_with_growing_pauses) {
  async_job job;
  job.ask({.timeout = 10s, .max_attempts = 3, .retry_backoff = 100ms});
  job.in.append(at("a", 0));
  driver d(job.topo);
  ASSERT_EQ(problem(d.run()), "");
  job.s.take("a").done.fail("busy");
  ASSERT_EQ(problem(d.run()), "");
  ASSERT_EQ(problem(d.advance(99ms)), "");
  EXPECT_EQ(job.s.asked->size(), 1u);
  ASSERT_EQ(problem(d.advance(2ms)), "");
  EXPECT_EQ(job.s.asked->size(), 2u);
  job.s.take("a").done.fail("busy");
  ASSERT_EQ(problem(d.run()), "");
  ASSERT_EQ(problem(d.advance(150ms)), "");
  EXPECT_EQ(job.s.asked->size(), 2u);
  ASSERT_EQ(problem(d.advance(51ms)), "");
  EXPECT_EQ(job.s.asked->size(), 3u);
  job.s.take("a").done.fail("busy");
  EXPECT_EQ(problem(d.run()), "ask (async_map): after 3 attempts: busy");
}

TEST(async, an_attempt_that_takes_too_long_is_made_again_and_its_answer_dropped) {
  async_job job;
  job.ask({.timeout = 10s, .attempt_timeout = 1s, .max_attempts = 2, .retry_backoff = 0ms});
  job.in.append(at("a", 0));
  driver d(job.topo);
  ASSERT_EQ(problem(d.run()), "");
  const auto first = job.s.take("a");
  ASSERT_EQ(problem(d.advance(1001ms)), "");
  ASSERT_EQ(job.s.asked->size(), 2u);
  first.done.complete("of the first");
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(job.out.values(), IsEmpty());
  job.s.answer("a");
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(job.out.values(), ElementsAre("a!"));
}

TEST(async, a_record_without_an_answer_in_time_meets_the_error_policy) {
  async_job job;
  job.topo.on_error(error_policy::skip_and_count);
  job.ask({.timeout = 2s});
  job.in.append(at("a", 0)).append(at("b", 0));
  driver d(job.topo);
  ASSERT_EQ(problem(d.run()), "");
  job.s.answer("b");
  ASSERT_EQ(problem(d.advance(2001ms)), "");
  EXPECT_THAT(job.out.values(), ElementsAre("b!"));
  EXPECT_EQ(d.metrics("ask").skipped, 1u);
  job.s.answer("a");  // nobody waits any more
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(job.out.values(), ElementsAre("b!"));

  async_job strict;
  strict.ask({.timeout = 2s});
  strict.in.append(at("a", 0));
  driver e(strict.topo);
  ASSERT_EQ(problem(e.run()), "");
  EXPECT_EQ(problem(e.advance(2001ms)), "ask (async_map): no answer within 2000 ms");
}

TEST(async, what_is_thrown_or_let_go_of_fails_the_record) {
  const auto run = [](auto f) {
    topology topo("t");
    topo.read_elements("in", {1}).async_map<int>("ask", f, {.max_attempts = 5}).print("out");
    return problem(driver(topo).finish());
  };
  EXPECT_EQ(run([](int, async_result<int>) { throw std::runtime_error("no such host"); }),
            "ask (async_map): no such host");
  EXPECT_EQ(run([](int, const async_result<int>&) {}),
            "ask (async_map): the request was let go of without an answer");
}

TEST(async, gives_any_number_of_results) {
  topology topo("t");
  collector<int> out;
  topo.read_elements("in", {0, 1, 2, 3})
      .async_map<int>("ask",
                      [](int n, const async_result<int>& done) {
                        done.complete_all(std::vector<int>(static_cast<std::size_t>(n), n));
                      })
      .for_each("out", out);
  ASSERT_EQ(problem(driver(topo).finish()), "");
  EXPECT_THAT(out.values(), ElementsAre(1, 2, 2, 3, 3, 3));
}

TEST(S13_async, a_barrier_waits_and_a_restart_asks_again_in_order) {
  async_job job;
  job.ask({.order = async_order::unordered});
  for (const char* v : {"a", "b", "c"}) job.in.append({.value = v});
  driver d(job.topo);
  ASSERT_EQ(problem(d.run()), "");
  job.s.answer("b");
  EXPECT_THAT(problem(d.commit()), HasSubstr("the epoch does not end"));
  EXPECT_EQ(job.in.committed(), std::nullopt);
  job.in.append({.value = "d"});  // of the next epoch: may be asked, but not come out
  ASSERT_EQ(problem(d.run()), "");
  job.s.answer("d");
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(job.out.values(), ElementsAre("b!"));
  job.s.answer("c");
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_EQ(job.in.committed(), std::nullopt);
  job.s.answer("a");
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(job.out.values(), ElementsAre("b!", "c!", "a!", "d!"));
  EXPECT_EQ(job.in.committed(), 3);

  job.in.append({.value = "e"});
  ASSERT_EQ(problem(d.run()), "");
  const auto lost = job.s.take("e");
  job.s.asked->clear();
  ASSERT_EQ(problem(d.crash_and_restore()), "");
  ASSERT_EQ(problem(d.run()), "");
  EXPECT_THAT(*job.s.asked, ElementsAre("d", "e"));
  lost.done.complete("to nobody");
  job.s.answer("e");
  job.s.answer("d");
  ASSERT_EQ(problem(d.stop()), "");
  EXPECT_THAT(job.out.values(), ElementsAre("b!", "c!", "a!", "d!", "e!", "d!"));
  EXPECT_EQ(job.in.committed(), 5);
}

TEST(async, options_that_make_no_sense_are_problems) {
  async_job job;
  job.ask({.timeout = 0ms});
  EXPECT_THAT(job.topo.validate(),
              ElementsAre(HasSubstr("ask: the timeout of async_map must be more than 0 (async_test.cc:")));
}

TEST(async, golden_on_any_number_of_lanes) {
  const std::string script = "a 1 @0; b 2 @3; a 3 @5; c 4 @9; b 5 @12; a 6 @15; d 7 @20; a 8 @21";
  for (const auto order : {async_order::ordered, async_order::unordered}) {
    golden::check(script, {"a 4", "b 2", "c 1", "d 1"}, [order](auto lines, auto& out) {
      lines
          .template async_map<std::string>(
              "ask",
              [](const std::string& record, const async_result<std::string>& done) { done.complete(record); },
              {.order = order, .capacity = 2})
          .key_by(pick_key)
          .window(tumbling{.size = 1h})
          .aggregate("count", count())
          .map([](const auto& w) { return fmt::format("{} {}", w.key, w.value); })
          .for_each("out", out);
    });
  }
}

TEST(async, blocking_functions_answer_from_their_threads) {
  topology topo("t");
  collector<std::pair<int, std::int64_t>> out;
  std::atomic<int> at_once{0}, most{0};
  auto slow = [&](int i) -> result<int> {
    const int now = ++at_once;
    int seen = most.load();
    while (seen < now && !most.compare_exchange_weak(seen, now)) {
    }
    std::this_thread::yield();
    --at_once;
    return i * 2;
  };
  topo.generate(
          "in", 5000, [](std::int64_t i) { return static_cast<int>(i); }, 4)
      .async_map<int>("ask", blocking(slow, 3), {.order = async_order::unordered, .capacity = 16})
      .key_by([](int i) { return i % 10; })
      .async_map<int>("again", blocking([](int i) { return i + 1; }, 2))
      .key_by([](int i) { return i % 10; })
      .aggregate("count", count())
      .for_each("out", out);
  auto running = job::start(topo, {.lanes = 2, .commit_interval = 5ms});
  ASSERT_TRUE(running);
  ASSERT_EQ(problem((*running)->wait()), "");
  EXPECT_LE(most.load(), 3);
  std::map<int, std::int64_t> counts;
  for (const auto& [key, n] : out.values()) counts[key] = std::max(counts[key], n);
  EXPECT_THAT(counts, ElementsAre(std::pair(1, 1000), std::pair(3, 1000), std::pair(5, 1000),
                                  std::pair(7, 1000), std::pair(9, 1000)));
}

}  // namespace
}  // namespace penstock
