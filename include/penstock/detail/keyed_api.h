// SPDX-License-Identifier: Apache-2.0
// What <penstock/stream.h> declares of process, connect, union and the like. Included there.
// stream.h brings this file in behind its own declarations, and what follows it there needs both: so whoever
// includes this one first gets it from there. `#pragma once` would leave it out then.
#include <penstock/stream.h>
#ifndef PENSTOCK_DETAIL_KEYED_API_H
#define PENSTOCK_DETAIL_KEYED_API_H

#include <penstock/detail/process_op.h>
#include <penstock/state.h>

#include <array>
#include <concepts>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace penstock {

/// What a process function gives: its records, and its side outputs.
template <typename Out>
class processed : public stream<Out> {
 public:
  processed(detail::graph& g, std::uint32_t node, std::shared_ptr<detail::side_declarations> sides)
      : stream<Out>(g, {node, 0}), in_(&g), node_(node), sides_(std::move(sides)) {}
  /// What the function emits to this side output.
  template <typename T>
  stream<T> side(const side_output<T>& which) const {
    const std::uint32_t outlet = detail::declare_side<T>(*sides_, which.name);
    if (outlet == 0)
      in_->add_problem(in_->nodes[node_].name + ": two side outputs of different types have the name '" +
                       which.name + "'");
    return {*in_, {node_, outlet}};
  }

 private:
  detail::graph* in_;
  std::uint32_t node_;
  std::shared_ptr<detail::side_declarations> sides_;
};

/// A stream whose records every lane is given. Made by broadcast(), used in keyed.connect().
template <typename T>
class broadcast_stream {
 public:
  broadcast_stream(detail::graph& g, std::uint32_t node) : graph_(&g), node_(node) {}
  detail::graph* in() const noexcept { return graph_; }
  std::uint32_t node() const noexcept { return node_; }

 private:
  detail::graph* graph_;
  std::uint32_t node_;
};

namespace detail {

template <typename K, typename Fn, typename... Args>
function_maker<K, Fn> make_function(Args... args) {
  return [args = std::tuple<Args...>(std::move(args)...)](keyed_rows<K>& state) -> std::unique_ptr<Fn> {
    return std::apply(
        [&](const Args&... a) -> std::unique_ptr<Fn> {
          if constexpr (std::is_constructible_v<Fn, keyed_rows<K>&, const Args&...>) {
            return std::unique_ptr<Fn>(new Fn(state, a...));
          } else {
            return std::unique_ptr<Fn>(new Fn(a...));
          }
        },
        args);
  };
}

template <typename Fn, typename K, typename... Args>
concept made_on_a_lane = std::is_constructible_v < Fn,
        keyed_rows<K>
&, const Args&... > || std::is_constructible_v<Fn, const Args&...>;

/// Its on_timer, if it has one, can be called.
template <typename Fn, typename K>
consteval bool timers_work() {
  if constexpr (has_on_timer<Fn>) {
    return requires(Fn & f, const timer& t, keyed_context<K, typename Fn::output>& ctx) {
      f.on_timer(t, ctx);
    };
  } else {
    return true;
  }
}

/// has(type_identity of what Fn emits): whether its functions can be called. That it does not say what it
/// emits is reported elsewhere.
template <typename Fn, typename Has>
consteval bool calls_work(Has has) {
  if constexpr (names_its_output<Fn>) {
    return has(std::type_identity<typename Fn::output>{});
  } else {
    return true;
  }
}

/// The sentences about a function, whatever its inputs. `Calls` says whether those can be called.
template <typename Fn, typename K, bool Calls, typename... Args>
consteval bool function_fits() {
  constexpr bool names_output = names_its_output<Fn>;
  static_assert(names_output, "process<F>(name, args...): F must say what it emits, as using output = ...");
  constexpr bool can_be_made = made_on_a_lane<Fn, K, Args...>;
  static_assert(can_be_made,
                "process<F>(name, args...): F must be made from the arguments, as F(auto& state, args...) or "
                "F(args...)");
  if constexpr (names_output && can_be_made && Calls) {
    constexpr bool timer_fits = timers_work<Fn, K>();
    static_assert(timer_fits,
                  "process<F>(name, args...): on_timer must be callable as on_timer(const penstock::timer&, "
                  "ctx), with `auto& ctx`");
    return timer_fits;
  } else {
    return false;
  }
}

template <typename Op, typename Fn, typename K, typename... Args>
processed<typename Fn::output> add_function(graph& g, named name, const char* label, std::vector<edge> inputs,
                                            bool keeps_state, Args... args) {
  auto sides = std::make_shared<side_declarations>();
  g.use_name(name);
  node n;
  n.name = std::move(name.name);
  n.label = label;
  n.inputs = std::move(inputs);
  n.keeps_state = keeps_state;
  n.policy = g.nodes[n.inputs.front().node].policy;
  n.make = [make = make_function<K, Fn>(std::move(args)...), sides]() -> std::unique_ptr<op> {
    return std::make_unique<Op>(make, *sides);
  };
  return {g, g.add(std::move(n)), std::move(sides)};
}

template <typename Fn, typename T, typename Context>
concept has_process = requires(Fn& f, const T& record, Context& ctx) {
  f.process(record, ctx);
}
|| requires(Fn& f, T&& record, Context& ctx) { f.process(std::move(record), ctx); };
template <typename Fn, typename A, typename B, typename Context>
concept has_both = requires(Fn& f, const A& a, const B& b, Context& ctx) {
  f.process_first(a, ctx);
  f.process_second(b, ctx);
};
template <typename Fn, typename A, typename B, typename Context, typename Plain>
concept has_broadcast = requires(Fn& f, const A& a, const B& b, Context& ctx, Plain& plain) {
  f.process(a, ctx);
  f.process_broadcast(b, plain);
};

}  // namespace detail

/// Two streams that one function takes. Made by connect().
template <typename A, typename B>
class connected {
 public:
  connected(detail::graph& g, detail::edge first, detail::edge second)
      : graph_(&g), first_(first), second_(second) {}

  /// Fn has process_first(const A&, ctx) and process_second(const B&, ctx).
  template <typename Fn, typename... Args>
  auto process(detail::named name, Args... args) const {
    constexpr bool calls = detail::calls_work<Fn>(
        [](auto out) { return detail::has_both<Fn, A, B, process_context<typename decltype(out)::type>>; });
    static_assert(
        calls,
        "connect(...).process<F>: F must have process_first(const A&, ctx) and process_second(const "
        "B&, ctx), with `auto& ctx`");
    if constexpr (detail::function_fits<Fn, char, calls, Args...>()) {
      return detail::add_function<detail::plain_co_process_op<A, B, Fn>, Fn, char>(
          *graph_, std::move(name), "process two", {first_, second_}, false, std::move(args)...);
    } else {
      return detail::broken{};
    }
  }

 private:
  detail::graph* graph_;
  detail::edge first_, second_;
};

/// Two keyed streams that one function takes, with shared state of a key.
template <typename K, typename A, typename B>
class keyed_connected {
 public:
  keyed_connected(detail::graph& g, std::uint32_t first, std::uint32_t second)
      : graph_(&g), first_(first), second_(second) {}
  template <typename Fn, typename... Args>
  auto process(detail::named name, Args... args) const {
    constexpr bool calls = detail::calls_work<Fn>(
        [](auto out) { return detail::has_both<Fn, A, B, keyed_context<K, typename decltype(out)::type>>; });
    static_assert(
        calls,
        "connect(...).process<F>: F must have process_first(const A&, ctx) and process_second(const "
        "B&, ctx), with `auto& ctx`");
    if constexpr (detail::function_fits<Fn, K, calls, Args...>()) {
      return detail::add_function<detail::co_process_op<K, A, B, Fn>, Fn, K>(
          *graph_, std::move(name), "process two", {{first_, 0}, {second_, 0}}, true, std::move(args)...);
    } else {
      return detail::broken{};
    }
  }

 private:
  detail::graph* graph_;
  std::uint32_t first_, second_;
};

/// A keyed stream and one that every lane is given.
template <typename K, typename A, typename B>
class broadcast_connected {
 public:
  broadcast_connected(detail::graph& g, std::uint32_t keyed, std::uint32_t broadcast)
      : graph_(&g), keyed_(keyed), broadcast_(broadcast) {}
  /// Fn has process(const A&, ctx) and process_broadcast(const B&, ctx); in the latter ctx has no key.
  template <typename Fn, typename... Args>
  auto process(detail::named name, Args... args) const {
    constexpr bool calls = detail::calls_work<Fn>([](auto out) {
      return detail::has_broadcast<Fn, A, B, keyed_context<K, typename decltype(out)::type>,
                                   process_context<typename decltype(out)::type>>;
    });
    static_assert(calls,
                  "connect(broadcast).process<F>: F must have process(const A&, ctx) and "
                  "process_broadcast(const B&, ctx), with `auto& ctx`");
    if constexpr (detail::function_fits<Fn, K, calls, Args...>()) {
      return detail::add_function<detail::broadcast_process_op<K, A, B, Fn>, Fn, K>(
          *graph_, std::move(name), "process with broadcast", {{keyed_, 0}, {broadcast_, 0}}, true,
          std::move(args)...);
    } else {
      return detail::broken{};
    }
  }

 private:
  detail::graph* graph_;
  std::uint32_t keyed_, broadcast_;
};

template <typename K, typename T>
template <typename Fn, typename... Args>
auto keyed<K, T>::process(detail::named name, Args... args) const {
  constexpr bool calls = detail::calls_work<Fn>(
      [](auto out) { return detail::has_process<Fn, T, keyed_context<K, typename decltype(out)::type>>; });
  static_assert(
      calls, "process<F>(name, args...): F must have process(const T&, ctx), or T&&, or T, with `auto& ctx`");
  if constexpr (detail::function_fits<Fn, K, calls, Args...>()) {
    return detail::add_function<detail::process_op<K, T, Fn>, Fn, K>(*graph_, std::move(name), "process",
                                                                     {{node_, 0}}, true, std::move(args)...);
  } else {
    return detail::broken{};
  }
}

namespace detail {
template <typename O>
struct keyed_parts : std::false_type {};
template <typename K, typename T>
struct keyed_parts<keyed<K, T>> : std::true_type {
  using key = K;
  using record = T;
};
template <typename O>
struct broadcast_parts : std::false_type {};
template <typename T>
struct broadcast_parts<broadcast_stream<T>> : std::true_type {
  using record = T;
};
template <typename O>
concept expression = requires {
  typename O::value_type;
};
}  // namespace detail

template <typename K, typename T>
template <typename Other>
auto keyed<K, T>::connect(const Other& other) const {
  constexpr bool same_key = [] {
    if constexpr (detail::keyed_parts<Other>::value) {
      return std::is_same_v<typename detail::keyed_parts<Other>::key, K>;
    } else {
      return detail::broadcast_parts<Other>::value;
    }
  }();
  static_assert(same_key,
                "connect(other): other must be keyed by the same type, or be broadcast(): key it first");
  if constexpr (!same_key) {
    return detail::broken{};
  } else {
    if (other.in() != graph_) graph_->add_problem("connect: the other stream is of another topology");
    if constexpr (detail::keyed_parts<Other>::value) {
      return keyed_connected<K, T, typename detail::keyed_parts<Other>::record>(*graph_, node_, other.node());
    } else {
      return broadcast_connected<K, T, typename detail::broadcast_parts<Other>::record>(*graph_, node_,
                                                                                        other.node());
    }
  }
}

namespace detail {

template <typename Head, typename... Steps>
template <typename Fn, typename... Args>
auto chain<Head, Steps...>::process(detail::named name, Args... args) const {
  constexpr bool calls = calls_work<Fn>(
      [](auto out) { return has_process<Fn, T, process_context<typename decltype(out)::type>>; });
  static_assert(
      calls,
      "process<F>(name, args...): F must have process(const T&, ctx), or T&&, or T, with `auto& ctx`; "
      "state and timers need key_by before it");
  if constexpr (function_fits<Fn, char, calls, Args...>()) {
    const stream<T> from = *this;
    return add_function<plain_process_op<T, Fn>, Fn, char>(*graph_, std::move(name), "process", {from.from()},
                                                           false, std::move(args)...);
  } else {
    return broken{};
  }
}

template <typename Head, typename... Steps>
template <typename... Others>
auto chain<Head, Steps...>::union_with(const Others&... others) const {
  constexpr bool same_type = (std::is_convertible_v<const Others&, stream<T>> && ...);
  static_assert(same_type,
                "union_with(others...): the streams must have the same type; map them to one first");
  if constexpr (same_type) {
    const std::array<stream<T>, sizeof...(Others) + 1> all{stream<T>(*this), stream<T>(others)...};
    node n;
    n.label = "union";
    for (const stream<T>& s : all) {
      if (s.in() != graph_) graph_->add_problem("union_with: a stream is of another topology");
      n.inputs.push_back(s.from());
    }
    n.make = [inputs = all.size()]() -> std::unique_ptr<op> {
      return std::make_unique<union_op<batch<T>>>(inputs);
    };
    return stream<T>(*graph_, {graph_->add(std::move(n)), 0});
  } else {
    return broken{};
  }
}

template <typename Head, typename... Steps>
template <typename Other>
auto chain<Head, Steps...>::connect(const Other& other) const {
  constexpr bool is_a_stream = expression<Other>;
  static_assert(is_a_stream,
                "connect(other): other must be a stream; to share state, key both of them first");
  if constexpr (is_a_stream) {
    const stream<T> first = *this;
    const stream<typename Other::value_type> second = other;
    if (second.in() != graph_) graph_->add_problem("connect: the other stream is of another topology");
    return connected<T, typename Other::value_type>(*graph_, first.from(), second.from());
  } else {
    return broken{};
  }
}

template <typename Head, typename... Steps>
template <typename Route>
auto chain<Head, Steps...>::route(Route r) const {
  static_assert(
      owns_its_bytes<T>,
      "rebalance, shuffle, partition_by and broadcast: raw records and string_views borrow their bytes; "
      "decode or map them to something that owns them first");
  node n;
  n.make_relay = []() -> std::unique_ptr<relay_op> { return std::make_unique<relay<batch<T>>>(); };
  return stream<T>(*graph_, {finish(route_terminal<T, Route>(std::move(r)), std::move(n)), 0});
}

template <typename Head, typename... Steps>
broadcast_stream<typename chain<Head, Steps...>::T> chain<Head, Steps...>::broadcast() const {
  return {*graph_, route(to_all{}).from().node};
}

}  // namespace detail
}  // namespace penstock

#endif
