// SPDX-License-Identifier: Apache-2.0
// The pipelines whose output must be the same however often they were crashed: something of every operator
// with state. Over topics in memory (exactly_once_test.cc) and over Kafka (tests/fault/pipelines.cc).
#pragma once

#include <fmt/format.h>
#include <penstock/joins.h>
#include <penstock/statistics.h>
#include <penstock/topology.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace penstock::golden {

using namespace std::chrono_literals;

/// "KEY:AMOUNT:TIME"; anything else throws.
struct event {
  std::string key;
  std::int64_t amount = 0;
  std::int64_t ts = 0;
};
struct event_format {
  using value_type = event;
  result<event> decode(std::string_view bytes) const {
    const auto a = bytes.find(':'), b = bytes.rfind(':');
    return event{std::string(bytes.substr(0, a)), std::stoll(std::string(bytes.substr(a + 1, b - a - 1))),
                 std::stoll(std::string(bytes.substr(b + 1)))};
  }
};

using events = keyed<std::string, event>;
/// Builds a pipeline from its keyed input to a sink.
template <typename Sink>
using build_job = std::function<void(events, const Sink& out)>;

template <typename K, typename V>
std::string shown(const window_result<K, V>& r) {
  return fmt::format("{} {} {} {}", r.key, r.start_ms, r.end_ms, r.value);
}

/// Something of everything that a function may keep.
struct bookkeeper {
  using output = std::string;
  value_state<std::int64_t> sum;
  list_state<std::string> recent;
  map_state<std::int64_t, std::int64_t> by_amount;
  aggregating_state<event, decltype(count())> seen;
  explicit bookkeeper(auto& state)
      : sum(state, "sum"),
        recent(state, "recent"),
        by_amount(state, "by amount"),
        seen(state, "seen", count()) {}
  void process(const event& e, auto& ctx) {
    sum.set(sum.value_or(0) + e.amount);
    recent.add(std::to_string(e.amount));
    if (recent.get().size() > 4) recent.clear();
    const auto* n = by_amount.get(e.amount % 7);
    if (e.amount % 11 == 0) {
      by_amount.erase(e.amount % 7);
    } else {
      by_amount.put(e.amount % 7, n == nullptr ? 1 : *n + 1);
    }
    seen.add(e);
    ctx.set_event_timer(e.ts + 90);
    if (e.amount % 3 == 0) ctx.delete_event_timer(e.ts + 90);
    if (e.amount % 13 == 0) sum.clear();
    std::string all;
    for (const auto& r : recent.get()) all += r + ",";
    by_amount.for_each([&](std::int64_t k, std::int64_t v) { all += fmt::format(" {}={}", k, v); });
    ctx.emit(fmt::format("{} {} {} {}", ctx.key(), sum.value_or(-1), *seen.get(), all));
  }
  void on_timer(const timer& t, auto& ctx) {
    ctx.emit(fmt::format("{} timer {}", ctx.key(), t.timestamp_ms));
  }
};

template <typename Sink>
const std::map<std::string, build_job<Sink>>& jobs() {
  static const std::map<std::string, build_job<Sink>> all{
      {"running",
       [](events in, const Sink& out) {
         in.aggregate("count", all_of(count(), sum(&event::amount)))
             .map([](const auto& r) {
               return fmt::format("{} {} {}", r.first, std::get<0>(r.second), std::get<1>(r.second));
             })
             .write("out", out, text);
       }},
      {"reduce",
       [](events in, const Sink& out) {
         in.reduce("most", [](const event& a, const event& b) { return a.amount >= b.amount ? a : b; })
             .map([](const event& e) { return fmt::format("{} {}", e.key, e.amount); })
             .write("out", out, text);
       }},
      {"tumbling",
       [](events in, const Sink& out) {
         in.window(tumbling{.size = 100ms})
             .aggregate("sum", sum(&event::amount))
             .map([](const auto& r) { return shown(r); })
             .write("out", out, text);
       }},
      {"hopping",
       [](events in, const Sink& out) {
         in.window(hopping{.size = 300ms, .slide = 60ms})
             .aggregate("sum", sum(&event::amount))
             .map([](const auto& r) { return shown(r); })
             .write("out", out, text);
       }},
      {"hopping_unsliced",
       [](events in, const Sink& out) {
         in.window(hopping{.size = 300ms, .slide = 100ms, .allowed_lateness = 1ms})
             .aggregate("max", max(&event::amount))
             .map([](const auto& r) { return shown(r); })
             .write("out", out, text);
       }},
      {"session",
       [](events in, const Sink& out) {
         in.window(session{.gap = 40ms})
             .aggregate("count", count())
             .map([](const auto& r) { return shown(r); })
             .write("out", out, text);
       }},
      {"count_windows",
       [](events in, const Sink& out) {
         in.window(global_window{})
             .trigger(triggers::count{3})
             .aggregate("sum", sum(&event::amount))
             .map([](const auto& r) { return shown(r); })
             .write("out", out, text);
       }},
      {"cascade",
       [](events in, const Sink& out) {
         using first = window_result<std::string, std::int64_t>;
         in.window(tumbling{.size = 100ms})
             .aggregate("sum", sum(&event::amount))
             .key_by(&first::key)
             .window(tumbling{.size = 500ms})
             .aggregate("total", sum(&first::value))
             .map([](const auto& r) { return shown(r); })
             .write("out", out, text);
       }},
      {"function",
       [](events in, const Sink& out) { in.process<bookkeeper>("books").write("out", out, text); }},
      {"deduplicate",
       [](events in, const Sink& out) {
         in.deduplicate("once", 200ms, time_domain::event)
             .map([](const event& e) { return fmt::format("{} {}", e.key, e.ts); })
             .write("out", out, text);
       }},
      {"interval_join",
       [](events in, const Sink& out) {
         in.interval_join(in, between{.lower = 1ms, .upper = 60ms})
             .left_join("pairs",
                        [](const event& a, const event* b) {
                          return fmt::format("{} {} {}", a.key, a.ts, b == nullptr ? -1 : b->ts);
                        })
             .write("out", out, text);
       }},
      {"sketches",
       [](events in, const Sink& out) {
         in.window(tumbling{.size = 200ms})
             .aggregate("figures", all_of(approximate_distinct(&event::amount),
                                          quantiles(&event::amount, {0.5}), top<event>(2, &event::amount)))
             .map([](const auto& r) {
               return fmt::format("{} {} {} {} {}", r.key, r.start_ms, std::get<0>(r.value),
                                  std::get<1>(r.value)[0].value_or(-1), std::get<2>(r.value)[0].amount);
             })
             .write("out", out, text);
       }},
  };
  return all;
}

}  // namespace penstock::golden
