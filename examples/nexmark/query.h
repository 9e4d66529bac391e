// SPDX-License-Identifier: Apache-2.0
// What all queries share: where events come from, how a query picks those it wants, where its rows go.
#pragma once

#include <penstock/topology.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "events.h"
#include "rows.h"
#include "sources.h"

namespace nexmark {

/// Builds the topology of a query over these events; its rows go to `out`.
using query_maker = penstock::topology (*)(const event_input& in, const rows& out);

/// All of them, by name.
std::span<const std::pair<std::string_view, query_maker>> queries();
/// The one of this name, which must be among them.
query_maker query_named(std::string_view name);

penstock::topology q0(const event_input& in, const rows& out);
penstock::topology q1(const event_input& in, const rows& out);
penstock::topology q2(const event_input& in, const rows& out);
penstock::topology q3(const event_input& in, const rows& out);
penstock::topology q4(const event_input& in, const rows& out);
penstock::topology q5(const event_input& in, const rows& out);
penstock::topology q7(const event_input& in, const rows& out);
penstock::topology q8(const event_input& in, const rows& out);
penstock::topology q9(const event_input& in, const rows& out);
penstock::topology q11(const event_input& in, const rows& out);
penstock::topology q12(const event_input& in, const rows& out);
penstock::topology q15(const event_input& in, const rows& out);
penstock::topology q16(const event_input& in, const rows& out);
penstock::topology q17(const event_input& in, const rows& out);
penstock::topology q18(const event_input& in, const rows& out);
penstock::topology q19(const event_input& in, const rows& out);
penstock::topology q20(const event_input& in, const rows& out);
penstock::topology q22(const event_input& in, const rows& out);

/// Event time: the watermark is the newest event's time less four seconds. (Of a watermark w everything up to
/// and including w has come: hence the millisecond.)
inline constexpr penstock::watermark_options disorder{.max_lag = std::chrono::milliseconds(3'999)};

/// A topology that reads the events and does with them what add(events) says. `events` is the beginning of an
/// expression, so it can be gone on with once.
template <typename Add>
penstock::topology over_events(const char* name, const event_input& in, Add add) {
  penstock::topology topo(name);
  if (const auto* memory = std::get_if<events_in_memory>(&in.from)) {
    add(topo.generate("events", memory->count, *memory, memory->splits)
            .assign_timestamps(event_ms, disorder));
  } else {
    add(topo.read("events", in, event_format{}).assign_timestamps(event_ms, disorder));
  }
  return topo;
}

/// The events of these kinds, each as f makes it: `select<bid>(events, &bid::price)`.
template <typename... Kinds, typename Events, typename F>
auto select(const Events& events, F f) {
  using out = std::common_type_t<std::decay_t<std::invoke_result_t<F&, const Kinds&>>...>;
  return events.template flat_map<out>([f](const event& e, auto emit) {
    const auto emit_if = [&](const auto* one) {
      if (one != nullptr) emit(out(std::invoke(f, *one)));
    };
    (emit_if(std::get_if<Kinds>(&e)), ...);
  });
}

}  // namespace nexmark
