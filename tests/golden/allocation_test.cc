// SPDX-License-Identifier: Apache-2.0
// Records that carry strings go from the source through the chain to the sink without an allocation each.
#include <penstock/avro.h>
#include <penstock/csv.h>
#include <penstock/json.h>

#include "golden.h"
#include "largest_allocation.h"

namespace allocation_test {
struct trade {
  std::string symbol;
  std::string venue;
  std::int64_t cents = 0;
};
BOOST_DESCRIBE_STRUCT(trade, (), (symbol, venue, cents))
}  // namespace allocation_test

namespace penstock {
namespace {

using allocation_test::trade;

/// Takes what is written and keeps nothing of it.
struct swallow {
  std::shared_ptr<std::uint64_t> bytes = std::make_shared<std::uint64_t>(0);

  struct writer final : sink_writer {
    explicit writer(std::shared_ptr<std::uint64_t> b) : bytes(std::move(b)) {}
    result<> write(std::span<const outgoing> records) override {
      for (const outgoing& r : records) *bytes += r.value.size();
      return {};
    }
    bool ready() const override { return true; }
    void flush(std::function<void(result<>)> done) override { done({}); }
    std::shared_ptr<std::uint64_t> bytes;
  };
  struct connector final : sink_connector {
    explicit connector(std::shared_ptr<std::uint64_t> b) : bytes(std::move(b)) {}
    std::string describe() const override { return "nowhere"; }
    void validate(std::vector<std::string>&) const override {}
    result<> prepare(const job_info&) override { return {}; }
    result<std::unique_ptr<sink_writer>> open_writer(const lane_context&) override {
      return std::make_unique<writer>(bytes);
    }
    std::shared_ptr<std::uint64_t> bytes;
  };
  std::unique_ptr<sink_connector> make_sink() const { return std::make_unique<connector>(bytes); }
};

trade trade_of(int i) {
  return {fmt::format("a symbol that is too long for a small string {}", i),
          "a venue that is too long as well", i};
}

/// Allocations a record of reading `n` records, and of what `build(expression, sink)` makes of them.
template <typename Format, typename T, typename Build>
double per_record(const Format& format, T (*make)(int), Build build) {
  constexpr int n = 20'000;
  testing::topic in("in");
  std::string bytes;
  for (int i = 0; i < n; ++i) {
    bytes.clear();
    format.encode(make(i), bytes);
    in.append({.value = bytes, .timestamp_ms = i});
  }
  topology topo("t");
  const swallow sink;
  build(topo.read("in", in.source(), format), sink);
  testing::driver d(topo);
  const std::size_t before = testing::allocations().load();
  EXPECT_TRUE(d.finish());
  const std::size_t made = testing::allocations().load() - before;
  EXPECT_GT(*sink.bytes, static_cast<std::uint64_t>(n));
  return static_cast<double>(made) / n;
}

class allocations : public ::testing::Test {
  void SetUp() override {
    const std::size_t before = testing::allocations().load();
    (void)std::string(100, 'x').size();
    delete new int(1);
    if (testing::allocations().load() == before) GTEST_SKIP() << "a sanitizer has operators of its own";
  }
};

TEST_F(allocations, none_for_text) {
  EXPECT_LT(per_record(
                text, +[](int i) { return trade_of(i).symbol; },
                [](auto lines, const swallow& sink) {
                  lines.filter([](const std::string& s) { return s.back() != '7'; }).write("out", sink, text);
                }),
            0.05);
}

TEST_F(allocations, none_for_structs_of_strings) {
  const auto through = [](const auto& format) {
    return per_record(format, &trade_of, [&](auto trades, const swallow& sink) {
      trades.filter([](const trade& t) { return t.cents % 10 != 7; })
          .assign_timestamps([](const trade& t) { return t.cents; })
          .write("out", sink, with_key(&trade::symbol, format));
    });
  };
  EXPECT_LT(through(json<trade>), 0.05);
  EXPECT_LT(through(csv<trade>), 0.05);
  EXPECT_LT(through(avro<trade>), 0.05);
}

TEST_F(allocations, a_copy_that_the_user_makes_is_one) {
  EXPECT_GT(per_record(
                text, +[](int i) { return trade_of(i).symbol; },
                [](auto lines, const swallow& sink) {
                  lines.map([](const std::string& s) { return s + "!"; }).write("out", sink, text);
                }),
            0.9);
}

}  // namespace
}  // namespace penstock
