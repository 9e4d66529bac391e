// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/aggregate.h>
#include <penstock/console.h>
#include <penstock/detail/async_queue.h>
#include <penstock/detail/chain.h>
#include <penstock/detail/display.h>
#include <penstock/detail/keyed_op.h>
#include <penstock/format.h>
#include <penstock/key.h>
#include <penstock/sink.h>
#include <penstock/windows.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace penstock {

template <typename K, typename T>
class keyed;
template <typename T>
class broadcast_stream;
struct between;

/// Windows of records that are at most `difference` apart, both ends included, wherever records are: one ends
/// with each record, and one begins right after each that others follow within `difference` (S12, Kafka
/// Streams' sliding windows). A result comes once, when the watermark has reached the window's last time +
/// grace; its end_ms is that last time + 1. Costs a look at the records of a window for each window.
struct sliding {
  std::chrono::milliseconds difference;
  std::chrono::milliseconds grace{0};  ///< how far behind the watermark a record may be
};
/// For keyed.suppress: the windows' own allowed lateness, during which they may give further results.
struct until_window_closes {
  std::chrono::milliseconds allowed_lateness{0};
};

/// The newest value of each key of a source, read to its end before any stream starts and followed from then
/// on; there on every lane. Made by topology::global_table.
template <typename K, typename V>
class table {
 public:
  table(detail::graph& g, std::uint32_t node) : graph_(&g), node_(node) {}
  std::uint32_t node() const noexcept { return node_; }
  const detail::graph* in() const noexcept { return graph_; }

 private:
  detail::graph* graph_;
  std::uint32_t node_;
};

namespace detail {

/// A fluent expression: every call gives a longer one, and the last makes one operator of it all, with one
/// loop. It is used once; to branch, give it a name: `stream<T> s = ...`.
///
/// User functions are copied to every lane and called on that lane's thread. They take the record as `const
/// T&` (or by value), and what they throw meets the error policy.
template <typename Head, typename... Steps>
class chain {
 public:
  using value_type = typename last_out<Head, Steps...>::type;
  using T = value_type;

  chain(graph& g, Head head, std::tuple<Steps...> steps = {})
      : graph_(&g), head_(std::move(head)), steps_(std::move(steps)) {}

  /// Each record becomes f(record). An f that takes T or T&& may keep the record's memory: it is given the
  /// record itself where nobody else needs it, otherwise a copy.
  template <typename F>
  auto map(F f) const {
    constexpr bool takes_a_record = std::is_invocable_v<F&, const T&> || std::is_invocable_v<F&, T&&>;
    static_assert(takes_a_record, "map(f): f must take the stream's records, as f(const T&), f(T&&) or f(T)");
    if constexpr (takes_a_record) {
      constexpr bool gives_a_value = !std::is_void_v<mapped_t<F, T>>;
      static_assert(gives_a_value, "map(f): f must return a value; for side effects there is for_each");
      if constexpr (gives_a_value) return with(map_step<F, T>(std::move(f)));
      if constexpr (!gives_a_value) return broken{};
    } else {
      return broken{};
    }
  }

  /// Records for which f(record) holds.
  template <typename F>
  auto filter(F f) const {
    constexpr bool is_a_predicate = std::is_invocable_r_v<bool, F&, const T&>;
    static_assert(is_a_predicate,
                  "filter(f): f must take the stream's records, as f(const T&), and return bool");
    if constexpr (is_a_predicate) {
      return with(filter_step<F, T>(std::move(f)));
    } else {
      return broken{};
    }
  }

  /// Each record becomes the elements of the range f(record).
  template <typename F>
  auto flat_map(F f) const {
    constexpr bool gives_a_range = requires(F & user, const T& record) {
      std::begin(user(record));
      std::end(user(record));
    }
    || requires(F & user, const T& record) { user(record).begin(); };
    static_assert(gives_a_range,
                  "flat_map(f): f must take the stream's records, as f(const T&), and return a range; "
                  "flat_map<Out>(f) is for f(const T&, emit)");
    if constexpr (gives_a_range) {
      return with(expand_step<F, T>(std::move(f)));
    } else {
      return broken{};
    }
  }

  /// f(record, emit) calls emit(Out) as often as it likes.
  template <typename Out, typename F>
  auto flat_map(F f) const {
    constexpr bool takes_an_emitter = std::is_invocable_v<F&, const T&, void (*)(Out)>;
    static_assert(takes_an_emitter,
                  "flat_map<Out>(f): f must be callable as f(const T&, emit), with `auto emit`");
    if constexpr (takes_an_emitter) {
      return with(emit_step<Out, F, T>(std::move(f)));
    } else {
      return broken{};
    }
  }

  /// Event time of each record: milliseconds since 1970, or a std::chrono time of the system clock.
  /// Watermarks follow these times instead of the source's own. Only in the expression that reads the source.
  template <typename F>
  auto assign_timestamps(F f, std::optional<watermark_options> watermarks = {}) const {
    static_assert(
        Head::is_source,
        "assign_timestamps: watermarks begin at a source; assign before key_by, a window or a named stream");
    constexpr bool gives_a_time = requires(F & user, const T& record) {
      { std::invoke(user, record) } -> event_time;
    };
    static_assert(gives_a_time,
                  "assign_timestamps(f): f must take the stream's records, as f(const T&), and return "
                  "milliseconds or a "
                  "time of the system clock");
    if constexpr (Head::is_source && gives_a_time) {
      auto longer = with(timestamp_step<F, T>(std::move(f)));
      if (watermarks) longer.watermarks_ = std::make_shared<const watermark_options>(*std::move(watermarks));
      return longer;
    } else {
      return broken{};
    }
  }

  /// Watermarks of your own: one copy of the generator a split (partition) is told of each record, in order,
  /// and says how far event time is. Asked after each batch, and every 50 ms or so while none come; a
  /// watermark that a certain record brings is kept until then. It never goes back. Only in the expression
  /// that reads the source, behind assign_timestamps if there is one; max_lag does not count then, idle_after
  /// does.
  ///
  ///     struct generator {
  ///       void on_event(const T& record, std::int64_t timestamp_ms);
  ///       std::int64_t watermark();      // or watermark(std::int64_t processing_time_ms)
  ///     };
  template <typename G>
  auto assign_watermarks(G generator) const {
    static_assert(
        Head::is_source,
        "assign_watermarks: watermarks begin at a source; assign before key_by, a window or a named "
        "stream");
    constexpr bool generates = requires(G & g, const T& record) { g.on_event(record, std::int64_t{}); }
    &&(
        requires(G & g) {
          { g.watermark() } -> std::convertible_to<std::int64_t>;
        } ||
        requires(G & g) {
          { g.watermark(std::int64_t{}) } -> std::convertible_to<std::int64_t>;
        });
    static_assert(generates,
                  "assign_watermarks(g): g must have on_event(const T&, std::int64_t timestamp_ms) and "
                  "std::int64_t watermark()");
    if constexpr (Head::is_source && generates) {
      return with(watermark_step<G, T>(std::move(generator)));
    } else {
      return broken{};
    }
  }

  /// What happens to a bad record in this expression, instead of the topology's policy (S20).
  chain on_error(error_policy policy) const {
    chain same = *this;
    same.policy_ = policy;
    return same;
  }

  /// Groups the stream: records with the same key go to the same lane, in order. `f` is a member pointer or a
  /// function.
  template <typename F>
  auto key_by(F f) const;

  /// Joins each record with the row of a global table whose key is key_of(record): joiner(record, row).
  /// Records without a row are dropped.
  template <typename K, typename V, typename KeyOf, typename Joiner>
  auto join(std::string name, const table<K, V>& rows, KeyOf key_of, Joiner joiner,
            std::source_location where = std::source_location::current()) const {
    return join_table<true>(std::move(name), rows, std::move(key_of), std::move(joiner), where);
  }
  /// The same, with joiner(record, const V* row): null where there is none.
  template <typename K, typename V, typename KeyOf, typename Joiner>
  auto left_join(std::string name, const table<K, V>& rows, KeyOf key_of, Joiner joiner,
                 std::source_location where = std::source_location::current()) const {
    return join_table<false>(std::move(name), rows, std::move(key_of), std::move(joiner), where);
  }

  /// Writes each record to a sink. At least once: positions are committed after the sink's flush.
  template <typename Sink, typename Format>
  void write(std::string name, Sink sink, Format format,
             std::source_location where = std::source_location::current()) const {
    constexpr bool is_a_sink = sink_options<Sink>;
    static_assert(is_a_sink, "write(name, sink, format): the second argument must be the options of a sink");
    constexpr bool format_writes_it = writable_format<Format, T>;
    static_assert(format_writes_it, "write(name, sink, format): the format cannot encode the stream's type");
    if constexpr (is_a_sink && format_writes_it) {
      node n = begin_node(name, where);
      n.sink = [sink = std::move(sink)] { return sink.make_sink(); };
      finish(write_terminal<T, Format>(std::move(format)), std::move(n));
    }
  }

  /// Prints each record on a line of standard output.
  void print(std::string name, std::source_location where = std::source_location::current()) const {
    constexpr bool can_be_shown = displayable<T>;
    static_assert(can_be_shown,
                  "print(name): shows text, numbers, pairs, tuples, optionals and window results; "
                  "for other types give a format: print(name, format)");
    if constexpr (can_be_shown) write(std::move(name), console{}, display_format{}, where);
  }
  template <typename Format>
  requires(!std::is_same_v<Format, std::source_location>) void print(
      std::string name, Format format, std::source_location where = std::source_location::current()) const {
    write(std::move(name), console{}, std::move(format), where);
  }

  /// Calls f(record) or f(record, timestamp_ms) for each record, on its lane's thread; `f` is copied to every
  /// lane. If f has flush(), that is called after every batch: what it holds must be safe when that returns.
  template <typename F>
  void for_each(std::string name, F f, std::source_location where = std::source_location::current()) const {
    constexpr bool takes_a_record =
        std::is_invocable_v<F&, const T&> || std::is_invocable_v<F&, const T&, std::int64_t>;
    static_assert(
        takes_a_record,
        "for_each(name, f): f must take the stream's records, as f(const T&) or f(const T&, std::int64_t)");
    if constexpr (takes_a_record) finish(each_terminal<T, F>(std::move(f)), begin_node(name, where));
  }

  /// f(this expression): a part of a topology with a name of its own.
  template <typename F>
  auto apply(F f) const {
    constexpr bool takes_a_stream = std::is_invocable_v<F&, const chain&>;
    static_assert(takes_a_stream, "apply(f): f must take the expression, as f(const auto& records)");
    if constexpr (takes_a_stream) return std::invoke(f, *this);
  }

  /// A function with side outputs, `Fn` made on every lane from the arguments:
  ///
  ///     struct Fn {
  ///       using output = ...;
  ///       void process(const T& record, auto& ctx);   // ctx: process_context<output>
  ///     };
  ///
  /// For state and timers, key_by first.
  template <typename Fn, typename... Args>
  auto process(detail::named name, Args... args) const;

  /// Asks something outside for each record, many at a time: f(record, penstock::async_result<Out>), answered
  /// on any thread; <penstock/async.h>.
  template <typename Out, typename F>
  auto async_map(named name, F f, async_options options = {}) const;

  /// The records of all of them, in the order in which they come. Event time is that of the slowest.
  template <typename... Others>
  auto union_with(const Others&... others) const;

  /// Windows over all records, not a key's: one lane does the work. Results have the key 0.
  template <typename Window>
  auto window_all(Window w) const;

  /// Two streams into one function: process with process_first and process_second.
  template <typename Other>
  auto connect(const Other& other) const;

  /// Spreads the records evenly over the lanes: after a source with few splits, before costly work.
  auto rebalance() const { return route(in_turn{}); }
  /// The same, each to a lane that is drawn (from a fixed seed).
  auto shuffle() const { return route(drawn{}); }
  /// To lane f(record, lanes) % lanes.
  template <typename F>
  auto partition_by(F f) const {
    constexpr bool chooses = std::is_invocable_r_v<std::size_t, F&, const T&, std::size_t>;
    static_assert(chooses,
                  "partition_by(f): f must choose a lane, as std::size_t f(const T&, std::size_t lanes)");
    if constexpr (chooses) {
      return route(chosen<F>{std::move(f)});
    } else {
      return broken{};
    }
  }
  /// Every record to every lane: for keyed.connect(broadcast_stream).
  broadcast_stream<T> broadcast() const;

  /// Ends the expression in a stream that can be used several times.
  operator stream<T>() const;

 protected:
  template <typename, typename...>
  friend class chain;
  template <typename, typename>
  friend class penstock::keyed;

  template <typename Step>
  auto with(Step step) const {
    constexpr bool can_be_copied = std::is_copy_constructible_v<Step>;
    static_assert(can_be_copied,
                  "user functions are copied to every lane: keep what cannot be copied in a std::shared_ptr");
    if constexpr (can_be_copied) {
      chain<Head, Steps..., Step> longer(*graph_, head_,
                                         std::tuple_cat(steps_, std::tuple<Step>(std::move(step))));
      longer.policy_ = policy_;
      longer.watermarks_ = watermarks_;
      return longer;
    } else {
      return broken{};
    }
  }

  node begin_node(const std::string& name, std::source_location where) const {
    node n;
    n.name = name;
    graph_->use_name({name, where});
    return n;
  }

  template <typename Terminal>
  std::uint32_t finish(Terminal terminal, node n) const {
    n.label = steps_label<Steps...>(Terminal::name);
    n.policy = policy_;
    n.watermarks = watermarks_;
    head_.describe(*graph_, n);
    n.make = [head = head_, steps = steps_, terminal = std::move(terminal)] {
      return head.make(steps, terminal);
    };
    return graph_->add(std::move(n));
  }

  template <typename Route>
  auto route(Route r) const;

  template <bool Inner, typename K, typename V, typename KeyOf, typename Joiner>
  auto join_table(std::string name, const table<K, V>& rows, KeyOf key_of, Joiner joiner,
                  std::source_location where) const {
    using row = std::conditional_t<Inner, const V&, const V*>;
    constexpr bool key_matches = std::is_invocable_r_v<K, KeyOf&, const T&>;
    static_assert(key_matches,
                  "join(name, table, key_of, joiner): key_of must take the stream's records and return the "
                  "table's key type");
    constexpr bool joins = std::is_invocable_v<Joiner&, const T&, row>;
    static_assert(
        joins,
        "join(name, table, key_of, joiner): joiner must be callable as joiner(const T&, const V&); in "
        "left_join as joiner(const T&, const V*)");
    if constexpr (key_matches && joins) {
      graph_->use_name({std::move(name), where});
      if (rows.in() != graph_) graph_->add_problem("a join uses a global table of another topology");
      return with(
          table_join_step<K, V, KeyOf, Joiner, T, Inner>(rows.node(), std::move(key_of), std::move(joiner)));
    } else {
      return broken{};
    }
  }

  graph* graph_;
  Head head_;
  std::tuple<Steps...> steps_;
  std::optional<error_policy> policy_;
  std::shared_ptr<const watermark_options> watermarks_;  // none: the source's own
};

}  // namespace detail

/// Records of type T. The expressions that begin here read what one operator has made, as batches; any number
/// of them may.
template <typename T>
class stream : public detail::chain<detail::stream_head<T>> {
 public:
  stream(detail::graph& g, detail::edge from) : detail::chain<detail::stream_head<T>>(g, {from}) {}
  detail::graph* in() const noexcept { return this->graph_; }
  detail::edge from() const noexcept { return this->head_.from; }
};

/// A keyed stream cut into windows; <penstock/windowed.h>.
template <typename K, typename T, typename Window, typename Trigger, typename Evictor>
class windowed;

/// A stream grouped by a key: what has state a key begins here.
template <typename K, typename T>
class keyed {
 public:
  keyed(detail::graph& g, std::uint32_t node) : graph_(&g), node_(node) {}

  /// `tumbling{...}`, `hopping{...}`, `session{...}`, `session_by{...}`, `global_window{}`,
  /// `count_window{...}`, `sliding{...}`, or one of the first four over the wall clock:
  /// `processing_time(tumbling{...})`.
  template <typename Window>
  auto window(Window w) const;

  /// A function with state, timers and side outputs, `Fn` made on every lane as Fn(state, args...), or
  /// Fn(args...) when it has no state:
  ///
  ///     struct Fn {
  ///       using output = ...;
  ///       penstock::value_state<int> n;                                   // <penstock/state.h>
  ///       explicit Fn(auto& state) : n(state, "n") {}
  ///       void process(const T& record, auto& ctx);                       // ctx: keyed_context<K, output>
  ///       void on_timer(const penstock::timer& due, auto& ctx);           // if it sets timers
  ///     };
  template <typename Fn, typename... Args>
  auto process(detail::named name, Args... args) const;

  /// As the async_map of a stream, one request a key at a time: results of a key come in the order of its
  /// records, those of different keys as they are ready (`order` is not looked at).
  template <typename Out, typename F>
  auto async_map(detail::named name, F f, async_options options = {}) const;

  /// Two streams with the same kind of key into one function with shared state (process_first,
  /// process_second), or a stream that is broadcast (process, process_broadcast).
  template <typename Other>
  auto connect(const Other& other) const;

  /// Pairs with the records of another stream that are near in time: .join, .left_join, .right_join,
  /// .full_join.
  template <typename Other>
  auto interval_join(const Other& other, between b) const;
  /// Both streams in the same windows: .window(w).join(name, f) for the pairs of each window (S10), or
  /// .window(w).process<Out>(name, f) for its two sides.
  template <typename Other>
  auto co_group(const Other& other) const;
  /// Each record with the record of `versions` that was the newest at its time: f(record, version). A result
  /// comes when the watermark has reached the record's time; a record without a version gives none ...
  template <typename Other, typename F>
  auto temporal_join(detail::named name, const Other& versions, F f) const {
    return temporal<true>(std::move(name), versions, std::move(f));
  }
  /// ... or f(record, null).
  template <typename Other, typename F>
  auto left_temporal_join(detail::named name, const Other& versions, F f) const {
    return temporal<false>(std::move(name), versions, std::move(f));
  }
  /// The newest records of both streams as rows of two tables: each new row gives f(row, other row) if both
  /// are there ...
  template <typename Other, typename F>
  auto table_join(detail::named name, const Other& other, F f) const {
    return tables<false, false>(std::move(name), other, std::move(f));
  }
  /// ... or if this one is: f(row, const B*) ...
  template <typename Other, typename F>
  auto left_table_join(detail::named name, const Other& other, F f) const {
    return tables<true, false>(std::move(name), other, std::move(f));
  }
  /// ... or if either is: f(const T*, const B*).
  /// Where records are table_change (<penstock/tables.h>) f is given their rows; rows may go then, and
  /// results are changes too.
  template <typename Other, typename F>
  auto full_table_join(detail::named name, const Other& other, F f) const {
    return tables<true, true>(std::move(name), other, std::move(f));
  }
  /// The newest records of this stream as rows that refer to rows of another table, key_of(row) being the
  /// other's key: f(row, other row) at each change of either, as soon as both are there. Gives the results of
  /// a row in order; of what it has ceased to refer to, nothing more. This stream's key must compare with <.
  template <typename Other, typename KeyOf, typename F>
  auto foreign_key_join(detail::named name, const Other& other, KeyOf key_of, F f) const;
  /// The first record of a key; those that follow it within the time are dropped. Key by what identifies a
  /// record.
  auto deduplicate(detail::named name, std::chrono::milliseconds within,
                   time_domain time = time_domain::event) const;
  /// Of the results of windows the last one of each window, once the watermark says that no other can come.
  auto suppress(detail::named name, until_window_closes until) const;
  /// The newest record of a key, `interval` of event time after the first that was held back.
  auto suppress(detail::named name, std::chrono::milliseconds interval) const;

  detail::graph* in() const noexcept { return graph_; }
  std::uint32_t node() const noexcept { return node_; }

  /// A running aggregate: every record gives the key and its result so far.
  template <typename A>
  auto aggregate(std::string name, A aggregator,
                 std::source_location where = std::source_location::current()) const {
    constexpr bool aggregates_it = detail::must_aggregate<A, T>();
    if constexpr (aggregates_it) {
      using out = std::pair<K, detail::aggregate_t<A, T>>;
      return add<A, out, detail::make_pair_of>(std::move(name), std::move(aggregator), where);
    } else {
      return detail::broken{};
    }
  }

  /// A running reduce: every record gives f(so far, record), the first of a key itself.
  template <typename F>
  auto reduce(std::string name, F f, std::source_location where = std::source_location::current()) const {
    if constexpr (detail::must_reduce<F, T>()) {
      using reducer = detail::reduce_aggregator<T, F>;
      return add<reducer, T, detail::drop_key>(std::move(name), reducer{std::move(f)}, where);
    } else {
      return detail::broken{};
    }
  }

 private:
  template <bool Inner, typename Other, typename F>
  auto temporal(detail::named name, const Other& versions, F f) const;
  template <bool Left, bool Right, typename Other, typename F>
  auto tables(detail::named name, const Other& other, F f) const;
  /// What both of them end in: Fn over the two streams, unless it has been said that f does not fit.
  template <typename Fn, bool Joins, typename Other, typename F>
  auto with_other(detail::named name, const Other& other, F f) const;

  template <typename A, typename Out, typename Make>
  stream<Out> add(std::string name, A aggregator, std::source_location where) const {
    graph_->use_name({name, where});
    detail::node n;
    n.name = std::move(name);
    n.label = "running aggregate";
    n.inputs.push_back({node_, 0});
    n.keeps_state = true;
    n.policy = graph_->nodes[node_].policy;
    n.make = [aggregator = std::move(aggregator)]() -> std::unique_ptr<detail::op> {
      return std::make_unique<detail::running_op<K, T, A, Out, Make>>(aggregator);
    };
    return {*graph_, {graph_->add(std::move(n)), 0}};
  }

  detail::graph* graph_;
  std::uint32_t node_;
};

}  // namespace penstock

#include <penstock/async.h>
#include <penstock/detail/keyed_api.h>
#include <penstock/joins.h>
#include <penstock/sliding.h>
#include <penstock/windowed.h>

namespace penstock::detail {

template <typename Head, typename... Steps>
template <typename F>
auto chain<Head, Steps...>::key_by(F f) const {
  constexpr bool takes_a_record = std::is_invocable_v<F&, const T&>;
  static_assert(takes_a_record, "key_by(f): f must take the stream's records, as f(const T&)");
  static_assert(owns_its_bytes<T>,
                "key_by: raw records and string_views borrow their bytes; decode or map them to something "
                "that owns them first");
  if constexpr (takes_a_record && owns_its_bytes<T>) {
    using K = std::decay_t<std::invoke_result_t<F&, const T&>>;
    constexpr bool is_a_key = detail::key<K>;
    static_assert(
        is_a_key,
        "key_by(f): f must return a key: an integer, std::string, pair or tuple of them, or a type with "
        "penstock::key_traits");
    if constexpr (is_a_key) {
      node n;
      n.make_relay = []() -> std::unique_ptr<relay_op> {
        return std::make_unique<relay<keyed_batch<K, T>>>();
      };
      return keyed<K, T>(*graph_, finish(key_terminal<K, T, F>(std::move(f)), std::move(n)));
    } else {
      return broken{};
    }
  } else {
    return broken{};
  }
}

template <typename Head, typename... Steps>
chain<Head, Steps...>::operator stream<T>() const {
  static_assert(owns_its_bytes<T>,
                "stream<T>: raw records and string_views borrow their bytes; decode or map them to something "
                "that owns them first");
  if constexpr (!Head::is_source && sizeof...(Steps) == 0) {
    return stream<T>(*graph_, head_.from);
  } else {
    return stream<T>(*graph_, {finish(batch_terminal<T>{}, node{}), 0});
  }
}

}  // namespace penstock::detail
