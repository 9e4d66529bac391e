// SPDX-License-Identifier: Apache-2.0
// keyed.window(...): what windows do with their records. Included by <penstock/stream.h>.
// stream.h brings this file in behind its own declarations, and joins.h needs both: see detail/keyed_api.h.
#include <penstock/stream.h>
#ifndef PENSTOCK_WINDOWED_H
#define PENSTOCK_WINDOWED_H

#include <penstock/detail/general_window_op.h>
#include <penstock/detail/slice_op.h>
#include <penstock/detail/window_op.h>
#include <penstock/triggers.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace penstock {

/// What windows give, and the records that came too late for theirs.
template <typename Out, typename T>
class windowed_stream : public stream<Out> {
 public:
  windowed_stream(detail::graph& g, std::uint32_t node) : stream<Out>(g, {node, 0}), late_(g, {node, 1}) {}
  /// Records that no window took, and that are behind the watermark by more than the allowed lateness (S4).
  stream<T> late() const { return late_; }

 private:
  stream<T> late_;
};
template <typename K, typename R, typename T>
using windowed_results = windowed_stream<window_result<K, R>, T>;

template <typename K, typename T>
class sliding_windowed;

namespace detail {

struct default_trigger {};

/// How a window is declared, as the engine wants it. `sentence`: what is wrong with it.
template <typename T, typename Window>
struct window_traits {
  static constexpr bool known = false;
};
template <typename T>
struct window_traits<T, tumbling> {
  static constexpr bool known = true, merges = false;
  using trigger = triggers::event_time;
  static trigger default_trigger_of(const tumbling&) { return {}; }
  static window_rule<T> rule(const tumbling& w) {
    window_rule<T> r;
    r.shape = shape_of(w);
    r.lateness = r.shape.lateness;
    return r;
  }
  static std::string problem(const tumbling& w) { return std::string(shape_of(w).problem()); }
  static std::string describe(const tumbling& w) { return describe_window(w); }
};
template <typename T>
struct window_traits<T, hopping> {
  static constexpr bool known = true, merges = false;
  using trigger = triggers::event_time;
  static trigger default_trigger_of(const hopping&) { return {}; }
  static window_rule<T> rule(const hopping& w) {
    window_rule<T> r;
    r.shape = shape_of(w);
    r.lateness = r.shape.lateness;
    return r;
  }
  static std::string problem(const hopping& w) { return std::string(shape_of(w).problem()); }
  static std::string describe(const hopping& w) { return describe_window(w); }
};
template <typename T>
struct window_traits<T, session> {
  static constexpr bool known = true, merges = true;
  using trigger = triggers::event_time;
  static trigger default_trigger_of(const session&) { return {}; }
  static window_rule<T> rule(const session& w) {
    window_rule<T> r;
    r.what = window_rule<T>::kind::session;
    r.gap = w.gap.count();
    r.lateness = w.allowed_lateness.count();
    return r;
  }
  static std::string problem(const session& w) {
    if (w.gap.count() <= 0) return "a session's gap must be more than 0";
    return w.allowed_lateness.count() < 0 ? "a window's allowed lateness must not be negative" : "";
  }
  static std::string describe(const session& w) { return describe_window(w); }
};
template <typename T, typename F>
struct window_traits<T, session_by<F>> {
  static constexpr bool known = requires(const F& f, const T& record) {
    std::chrono::duration_cast<std::chrono::milliseconds>(std::invoke(f, record));
  };
  static constexpr bool merges = true;
  using trigger = triggers::event_time;
  static trigger default_trigger_of(const session_by<F>&) { return {}; }
  static window_rule<T> rule(const session_by<F>& w) {
    window_rule<T> r;
    r.what = window_rule<T>::kind::session;
    r.gap_of = [f = w.gap_of](const T& record) {
      return std::chrono::duration_cast<std::chrono::milliseconds>(std::invoke(f, record)).count();
    };
    r.lateness = w.allowed_lateness.count();
    return r;
  }
  static std::string problem(const session_by<F>& w) {
    return w.allowed_lateness.count() < 0 ? "a window's allowed lateness must not be negative" : "";
  }
  static std::string describe(const session_by<F>&) { return "session, gap by record"; }
};
template <typename T>
struct window_traits<T, global_window> {
  static constexpr bool known = true, merges = false;
  using trigger = triggers::never;
  static trigger default_trigger_of(const global_window&) { return {}; }
  static window_rule<T> rule(const global_window&) {
    window_rule<T> r;
    r.what = window_rule<T>::kind::global;
    return r;
  }
  static std::string problem(const global_window&) { return {}; }
  static std::string describe(const global_window&) { return "global window"; }
};
template <typename T>
struct window_traits<T, count_window> {
  static constexpr bool known = true, merges = false;
  using trigger = triggers::purging<triggers::count>;
  static trigger default_trigger_of(const count_window& w) { return {{w.size}}; }
  static window_rule<T> rule(const count_window&) { return window_traits<T, global_window>::rule({}); }
  static std::string problem(const count_window& w) {
    return w.size < 1 ? "a count window's size must be at least 1" : "";
  }
  static std::string describe(const count_window& w) {
    return "every " + std::to_string(w.size) + " records";
  }
};
template <typename T>
struct window_traits<T, sliding_count> : window_traits<T, global_window> {};
template <typename T, typename Window>
struct window_traits<T, clock_window<Window>> {
  using inner = window_traits<T, Window>;
  static constexpr bool known = inner::known, merges = inner::merges;
  using trigger = triggers::processing_time;
  static trigger default_trigger_of(const clock_window<Window>&) { return {}; }
  static window_rule<T> rule(const clock_window<Window>& w) {
    window_rule<T> r = inner::rule(w.window);
    r.time = time_domain::processing;
    return r;
  }
  static std::string problem(const clock_window<Window>& w) { return inner::problem(w.window); }
  static std::string describe(const clock_window<Window>& w) {
    return inner::describe(w.window) + " by the clock";
  }
};

template <typename Trigger, typename T>
concept window_trigger = requires(const Trigger& t, const T& record, const time_window& w,
                                  trigger_state_t<Trigger>& s, trigger_context& ctx) {
  { t.on_record(record, std::int64_t{}, w, s, ctx) } -> std::same_as<trigger_result>;
};
template <typename Trigger>
concept merging_trigger = requires(const Trigger& t, const time_window& w, trigger_state_t<Trigger>& s,
                                   trigger_context& ctx) {
  t.on_merge(w, s, std::as_const(s), ctx);
};

}  // namespace detail

template <typename K, typename T, typename Window, typename Trigger = detail::default_trigger,
          typename Evictor = detail::no_evictor>
class windowed {
 public:
  windowed(detail::graph& g, std::uint32_t from, Window window, Trigger trigger = {}, Evictor evictor = {})
      : graph_(&g),
        from_(from),
        window_(std::move(window)),
        trigger_(std::move(trigger)),
        evictor_(std::move(evictor)) {}

  /// When the windows fire, instead of at their end: <penstock/triggers.h>.
  template <typename Other>
  auto trigger(Other t) const {
    constexpr bool is_a_trigger = detail::window_trigger<Other, T>;
    static_assert(is_a_trigger,
                  "trigger(t): t must have trigger_result on_record(const T&, timestamp, const time_window&, "
                  "state&, trigger_context&) const; see <penstock/triggers.h>");
    constexpr bool can_merge = !detail::window_traits<T, Window>::merges || detail::merging_trigger<Other>;
    static_assert(can_merge, "trigger(t): session windows merge, so t must have on_merge");
    if constexpr (is_a_trigger && can_merge) {
      return windowed<K, T, Window, Other, Evictor>(*graph_, from_, window_, std::move(t), evictor_);
    } else {
      return detail::broken{};
    }
  }

  /// What a window keeps of its records when it fires. It then keeps the records themselves, not an
  /// aggregate.
  template <typename Other>
  auto evict(Other e) const {
    constexpr bool evicts = std::is_invocable_v<const Other&, std::vector<stamped<T>>&, const time_window&>;
    static_assert(evicts, "evict(e): e must be callable as e(std::vector<stamped<T>>&, const time_window&)");
    if constexpr (evicts) {
      return windowed<K, T, Window, Trigger, Other>(*graph_, from_, window_, trigger_, std::move(e));
    } else {
      return detail::broken{};
    }
  }

  /// One result a key and window each time it fires.
  template <typename A>
  auto aggregate(std::string name, A aggregator,
                 std::source_location where = std::source_location::current()) const {
    constexpr bool aggregates_it = detail::must_aggregate<A, T>();
    constexpr bool can_merge = !traits::merges || evicting || !aggregates_it || detail::mergeable<A, T>;
    static_assert(
        can_merge,
        "aggregate(name, a): session windows merge, so a must have merge(accumulator&, const accumulator&)");
    if constexpr (aggregates_it && can_merge) {
      return add<A>(std::move(name), std::move(aggregator), where);
    } else {
      return detail::broken{};
    }
  }

  /// f(so far, next) over the records of a key and window.
  template <typename F>
  auto reduce(std::string name, F f, std::source_location where = std::source_location::current()) const {
    if constexpr (detail::must_reduce<F, T>()) {
      return add(std::move(name), detail::reduce_aggregator<T, F>{std::move(f)}, where);
    } else {
      return detail::broken{};
    }
  }

  /// f(key, window, records, emit) over the whole window each time it fires; emit(Out) as often as it likes.
  /// `records` is a const std::vector<stamped<T>>&. It keeps every record: prefer aggregate where it will do.
  template <typename Out, typename F>
  auto process(std::string name, F f, std::source_location where = std::source_location::current()) const {
    constexpr bool takes_a_window =
        std::is_invocable_v<F&, const K&, const time_window&, const std::vector<stamped<T>>&, void (*)(Out)>;
    static_assert(
        takes_a_window,
        "window(...).process<Out>(name, f): f must be callable as f(const K&, const time_window&, const "
        "std::vector<stamped<T>>&, emit), with `auto emit`");
    if constexpr (takes_a_window) {
      using body = detail::function_body<K, T, Out, F, Evictor>;
      return general<body>(std::move(name), body{std::move(f), evictor_}, "process", where);
    } else {
      return detail::broken{};
    }
  }

 private:
  using traits = detail::window_traits<T, Window>;
  static constexpr bool evicting = !std::is_same_v<Evictor, detail::no_evictor>;
  static constexpr bool own_trigger = !std::is_same_v<Trigger, detail::default_trigger>;
  static constexpr bool aligned = std::is_same_v<Window, tumbling> || std::is_same_v<Window, hopping>;

  template <typename A>
  auto add(std::string name, A aggregator, std::source_location where) const {
    if constexpr (aligned && !own_trigger && !evicting) {
      return fast(std::move(name), std::move(aggregator), where);
    } else if constexpr (evicting) {
      using body = detail::evicting_body<K, T, A, Evictor>;
      return general<body>(std::move(name), body{std::move(aggregator), evictor_}, "aggregate", where);
    } else {
      using body = detail::aggregate_body<K, T, A>;
      return general<body>(std::move(name), body{std::move(aggregator)}, "aggregate", where);
    }
  }

  detail::node begin(std::string name, const char* what, std::source_location where) const {
    if (const auto problem = traits::problem(window_); !problem.empty())
      graph_->add_problem(name + ": " + problem);
    graph_->use_name({name, where});
    detail::node n;
    n.name = std::move(name);
    n.label = traits::describe(window_) + " > " + what;
    n.inputs.push_back({from_, 0});
    n.keeps_state = true;
    n.policy = graph_->nodes[from_].policy;
    return n;
  }

  template <typename A>
  windowed_results<K, detail::aggregate_t<A, T>, T> fast(std::string name, A aggregator,
                                                         std::source_location where) const {
    detail::node n = begin(std::move(name), "aggregate", where);
    n.make = [shape = detail::shape_of(window_),
              aggregator = std::move(aggregator)]() -> std::unique_ptr<detail::op> {
      if constexpr (std::is_same_v<Window, hopping> && detail::sliceable<A, T>) {
        if (shape.lateness == 0) return std::make_unique<detail::slice_op<K, T, A>>(shape, aggregator);
      }
      return std::make_unique<detail::window_op<K, T, A>>(shape, aggregator);
    };
    return {*graph_, graph_->add(std::move(n))};
  }

  template <typename Body>
  windowed_stream<typename Body::out, T> general(std::string name, Body body, const char* what,
                                                 std::source_location where) const {
    if constexpr (std::is_same_v<Window, global_window> && !own_trigger)
      graph_->add_problem(name + ": a global window never fires without a trigger");
    detail::node n = begin(std::move(name), what, where);
    const auto trigger = [&] {
      if constexpr (own_trigger) {
        return trigger_;
      } else {
        return traits::default_trigger_of(window_);
      }
    }();
    n.make = [rule = traits::rule(window_), body = std::move(body),
              trigger]() -> std::unique_ptr<detail::op> {
      return std::make_unique<detail::general_window_op<K, T, Body, std::remove_const_t<decltype(trigger)>>>(
          rule, body, trigger);
    };
    return {*graph_, graph_->add(std::move(n))};
  }

  detail::graph* graph_;
  std::uint32_t from_;
  Window window_;
  Trigger trigger_;
  Evictor evictor_;
};

template <typename K, typename T>
template <typename Window>
auto keyed<K, T>::window(Window w) const {
  constexpr bool is_a_window = detail::window_traits<T, Window>::known || std::is_same_v<Window, sliding>;
  static_assert(
      is_a_window,
      "window(w): w must be tumbling, hopping, sliding, session, session_by with a duration for each record, "
      "global_window, count_window, or processing_time of one");
  if constexpr (!is_a_window) {
    return detail::broken{};
  } else if constexpr (std::is_same_v<Window, sliding>) {
    return sliding_windowed<K, T>(*this, w);
  } else if constexpr (std::is_same_v<Window, sliding_count>) {
    return windowed<K, T, global_window>(*graph_, node_, {})
        .trigger(triggers::count{w.slide})
        .evict(evictors::count{static_cast<std::size_t>(w.size)});
  } else {
    return windowed<K, T, Window>(*graph_, node_, std::move(w));
  }
}

namespace detail {
template <typename Head, typename... Steps>
template <typename Window>
auto chain<Head, Steps...>::window_all(Window w) const {
  return key_by([](const T&) { return 0; }).window(std::move(w));
}
}  // namespace detail

}  // namespace penstock

#endif
