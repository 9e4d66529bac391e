// SPDX-License-Identifier: Apache-2.0
// Joins of two keyed streams, and what is made of them. Included by <penstock/stream.h>.
#pragma once

#include <penstock/detail/interval_join_op.h>
#include <penstock/detail/keyed_api.h>
#include <penstock/stream.h>
#include <penstock/tables.h>
#include <penstock/windowed.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace penstock {

/// Which records of the other stream belong to a record: those with a timestamp from its own + lower to its
/// own + upper, both included (S9).
struct between {
  std::chrono::milliseconds lower;
  std::chrono::milliseconds upper;
  /// How far behind the watermark a record may be and still be joined.
  std::chrono::milliseconds grace{0};
};

/// What a join of two streams gives, and the records of either that came too late.
template <typename Out, typename A, typename B>
class joined : public stream<Out> {
 public:
  joined(detail::graph& g, std::uint32_t node)
      : stream<Out>(g, {node, 0}), late_left_(g, {node, 1}), late_right_(g, {node, 2}) {}
  stream<A> late_left() const { return late_left_; }
  stream<B> late_right() const { return late_right_; }

 private:
  stream<A> late_left_;
  stream<B> late_right_;
};

/// keyed.interval_join(other, between{...}). A result has the larger of the two timestamps; an outer row,
/// which comes out once no partner can come any more, its own.
template <typename K, typename A, typename B>
class interval_joined {
 public:
  interval_joined(detail::graph& g, std::uint32_t left, std::uint32_t right, between b)
      : graph_(&g), left_(left), right_(right), between_(b) {}

  /// joiner(const A&, const B&) for each pair.
  template <typename F>
  auto join(std::string name, F f, std::source_location where = std::source_location::current()) const {
    constexpr bool joins = std::is_invocable_v<F&, const A&, const B&>;
    static_assert(joins, "interval_join(...).join(name, f): f must be callable as f(const A&, const B&)");
    if constexpr (joins) {
      return add<false, false, std::decay_t<std::invoke_result_t<F&, const A&, const B&>>>(
          std::move(name), std::move(f), where);
    } else {
      return detail::broken{};
    }
  }
  /// joiner(const A&, const B*): records of the left without a partner come with null.
  template <typename F>
  auto left_join(std::string name, F f, std::source_location where = std::source_location::current()) const {
    constexpr bool joins = std::is_invocable_v<F&, const A&, const B*>;
    static_assert(joins,
                  "interval_join(...).left_join(name, f): f must be callable as f(const A&, const B*)");
    if constexpr (joins) {
      return add<true, false, std::decay_t<std::invoke_result_t<F&, const A&, const B*>>>(
          std::move(name), std::move(f), where);
    } else {
      return detail::broken{};
    }
  }
  /// joiner(const A*, const B&)
  template <typename F>
  auto right_join(std::string name, F f, std::source_location where = std::source_location::current()) const {
    constexpr bool joins = std::is_invocable_v<F&, const A*, const B&>;
    static_assert(joins,
                  "interval_join(...).right_join(name, f): f must be callable as f(const A*, const B&)");
    if constexpr (joins) {
      return add<false, true, std::decay_t<std::invoke_result_t<F&, const A*, const B&>>>(
          std::move(name), std::move(f), where);
    } else {
      return detail::broken{};
    }
  }
  /// joiner(const A*, const B*): one of the two may be null.
  template <typename F>
  auto full_join(std::string name, F f, std::source_location where = std::source_location::current()) const {
    constexpr bool joins = std::is_invocable_v<F&, const A*, const B*>;
    static_assert(joins,
                  "interval_join(...).full_join(name, f): f must be callable as f(const A*, const B*)");
    if constexpr (joins) {
      return add<true, true, std::decay_t<std::invoke_result_t<F&, const A*, const B*>>>(std::move(name),
                                                                                         std::move(f), where);
    } else {
      return detail::broken{};
    }
  }

 private:
  template <bool Left, bool Right, typename Out, typename F>
  joined<Out, A, B> add(std::string name, F f, std::source_location where) const {
    if (between_.lower > between_.upper)
      graph_->add_problem(name + ": between has its lower bound above its upper one");
    if (between_.grace.count() < 0) graph_->add_problem(name + ": a join's grace must not be negative");
    graph_->use_name({name, where});
    detail::node n;
    n.name = std::move(name);
    n.label = "interval join";
    n.inputs = {{left_, 0}, {right_, 0}};
    n.keeps_state = true;
    n.policy = graph_->nodes[left_].policy;
    n.make = [b = between_, f = std::move(f)]() -> std::unique_ptr<detail::op> {
      return std::make_unique<detail::interval_join_op<K, A, B, Out, F, Left, Right>>(
          b.lower.count(), b.upper.count(), b.grace.count(), f);
    };
    return {*graph_, graph_->add(std::move(n))};
  }

  detail::graph* graph_;
  std::uint32_t left_, right_;
  between between_;
};

namespace detail {

/// Two keyed streams as one of either's records.
template <typename K, typename A, typename B>
class either_op final : public joint_op {
 public:
  using out = keyed_batch<K, std::variant<A, B>>;
  either_op() {
    add_port(std::make_unique<typed_port<either_op, keyed_batch<K, A>, 0>>(*this));
    add_port(std::make_unique<typed_port<either_op, keyed_batch<K, B>, 1>>(*this));
  }
  void connect(std::uint32_t, op& consumer) override {
    out_.connect(consumer);
    add_downstream(consumer);
  }
  template <std::size_t I, typename V>
  void take(std::integral_constant<std::size_t, I>, keyed_batch<K, V>& records, bool may_move) {
    for (std::size_t i = 0; i < records.size(); ++i) {
      K key = may_move ? K(std::move(records.keys[i])) : K(records.keys[i]);
      if (may_move) {
        out_.add(std::move(key), std::variant<A, B>(std::in_place_index<I>, std::move(records.values[i])),
                 records.timestamps[i]);
      } else {
        out_.add(std::move(key), std::variant<A, B>(std::in_place_index<I>, records.values[i]),
                 records.timestamps[i]);
      }
    }
    op_counters::add(counters_.in, records.size());
    out_.flush();
  }

 private:
  output<out> out_;
};

template <typename A, typename B>
std::pair<std::vector<A>, std::vector<B>> sides_of(const std::vector<stamped<std::variant<A, B>>>& records) {
  std::pair<std::vector<A>, std::vector<B>> both;
  for (const auto& r : records) {
    if (r.value.index() == 0) {
      both.first.push_back(std::get<0>(r.value));
    } else {
      both.second.push_back(std::get<1>(r.value));
    }
  }
  return both;
}

}  // namespace detail

/// keyed.co_group(other).window(w)
template <typename K, typename A, typename B, typename Window>
class co_grouped_windows {
 public:
  using either = std::variant<A, B>;
  explicit co_grouped_windows(windowed<K, either, Window> w) : windows_(std::move(w)) {}

  /// joiner(const A&, const B&) for each pair of a key and window (S10), when the window fires.
  template <typename F>
  auto join(std::string name, F f, std::source_location where = std::source_location::current()) const {
    constexpr bool joins = std::is_invocable_v<F&, const A&, const B&>;
    static_assert(joins,
                  "co_group(...).window(...).join(name, f): f must be callable as f(const A&, const B&)");
    if constexpr (joins) {
      using out = std::decay_t<std::invoke_result_t<F&, const A&, const B&>>;
      return windows_.template process<out>(
          std::move(name),
          [f = std::move(f)](const K&, const time_window&, const std::vector<stamped<either>>& records,
                             auto emit) mutable {
            for (const auto& a : records) {
              if (a.value.index() != 0) continue;
              for (const auto& b : records) {
                if (b.value.index() == 1) emit(f(std::get<0>(a.value), std::get<1>(b.value)));
              }
            }
          },
          where);
    } else {
      return detail::broken{};
    }
  }
  /// f(key, window, left, right, emit) with the vectors of both sides; one of them may be empty.
  template <typename Out, typename F>
  auto process(std::string name, F f, std::source_location where = std::source_location::current()) const {
    constexpr bool takes_both = std::is_invocable_v<F&, const K&, const time_window&, const std::vector<A>&,
                                                    const std::vector<B>&, void (*)(Out)>;
    static_assert(takes_both,
                  "co_group(...).window(...).process<Out>(name, f): f must be callable as f(const K&, const "
                  "time_window&, const std::vector<A>&, const std::vector<B>&, emit), with `auto emit`");
    if constexpr (takes_both) {
      return windows_.template process<Out>(
          std::move(name),
          [f = std::move(f)](const K& key, const time_window& w, const std::vector<stamped<either>>& records,
                             auto emit) mutable {
            const auto [left, right] = detail::sides_of<A, B>(records);
            f(key, w, left, right, emit);
          },
          where);
    } else {
      return detail::broken{};
    }
  }

 private:
  windowed<K, either, Window> windows_;
};

/// keyed.co_group(other)
template <typename K, typename A, typename B>
class co_grouped {
 public:
  explicit co_grouped(keyed<K, std::variant<A, B>> both) : both_(both) {}
  template <typename Window>
  auto window(Window w) const {
    return co_grouped_windows<K, A, B, Window>(both_.window(std::move(w)));
  }

 private:
  keyed<K, std::variant<A, B>> both_;
};

namespace detail {

/// As-of join: each record of the first stream meets the version of the second that was valid at its time.
template <typename A, typename B, typename F, bool Inner>
struct temporal_join_function {
  using row = row_of_t<B>;
  using seen = std::conditional_t<Inner, const row&, const row*>;
  using output = std::decay_t<std::invoke_result_t<F&, const A&, seen>>;
  using version = std::conditional_t<row_of<B>::may_delete, std::optional<row>, row>;
  map_state<std::int64_t, version> versions;
  map_state<std::int64_t, std::vector<A>> waiting;  // until the watermark says that no earlier version comes
  F f;
  temporal_join_function(auto& state, F user)
      : versions(state, "versions"), waiting(state, "waiting"), f(std::move(user)) {}
  void process_first(const A& a, auto& ctx) {
    const std::int64_t ts = ctx.timestamp();
    waiting.modify(ts, [&](std::vector<A>& all) { all.push_back(a); });
    ctx.set_event_timer(ts);
  }
  void process_second(const B& b, auto& ctx) {
    const row* r = row_of<B>::get(b);
    versions.put(ctx.timestamp(), r == nullptr ? version{} : version(*r));
    ctx.set_event_timer(ctx.timestamp());
  }
  void on_timer(const timer& due, auto& ctx) {
    const std::int64_t* valid = nullptr;
    std::vector<std::int64_t> older;
    versions.for_each([&](const std::int64_t& from, const version&) {
      if (from > due.timestamp_ms) return;
      if (valid != nullptr) older.push_back(*valid);
      valid = &from;
    });
    const row* found = nullptr;
    if constexpr (row_of<B>::may_delete) {
      const version* v = valid == nullptr ? nullptr : versions.get(*valid);
      found = v == nullptr || !*v ? nullptr : &**v;
    } else {
      found = valid == nullptr ? nullptr : versions.get(*valid);
    }
    if (const auto* all = waiting.get(due.timestamp_ms); all != nullptr) {
      for (const A& a : *all) {
        if constexpr (Inner) {
          if (found != nullptr) ctx.emit(f(a, *found), due.timestamp_ms);
        } else {
          ctx.emit(f(a, found), due.timestamp_ms);
        }
      }
      waiting.erase(due.timestamp_ms);
    }
    for (const std::int64_t from : older) versions.erase(from);
  }
};

/// In place of a state that is not needed.
struct no_state {
  no_state(auto&, const char*) {}
};

/// Rows of two tables with the same key. Where rows can be deleted, so can results.
template <typename K, typename A, typename B, typename F, bool Left, bool Right>
struct table_join_function {
  using left_row = row_of_t<A>;
  using right_row = row_of_t<B>;
  using left = std::conditional_t<Right, const left_row*, const left_row&>;
  using right = std::conditional_t<Left, const right_row*, const right_row&>;
  using joined = std::decay_t<std::invoke_result_t<F&, left, right>>;
  static constexpr bool deletes = row_of<A>::may_delete || row_of<B>::may_delete;
  using output = std::conditional_t<deletes, table_change<K, joined>, joined>;
  value_state<left_row> a;
  value_state<right_row> b;
  std::conditional_t<deletes, value_state<bool>, no_state> given;
  F f;
  table_join_function(auto& state, F user)
      : a(state, "left"), b(state, "right"), given(state, "given"), f(std::move(user)) {}
  void process_first(const A& record, auto& ctx) {
    const left_row* row = row_of<A>::get(record);
    row == nullptr ? a.clear() : a.set(*row);
    give(ctx);
  }
  void process_second(const B& record, auto& ctx) {
    const right_row* row = row_of<B>::get(record);
    row == nullptr ? b.clear() : b.set(*row);
    give(ctx);
  }
  void give(auto& ctx) {
    const left_row* l = a.get();
    const right_row* r = b.get();
    const bool there = (l != nullptr || Right) && (r != nullptr || Left) && (l != nullptr || r != nullptr);
    if constexpr (deletes) {
      if (there) {
        given.set(true);
        ctx.emit(output{ctx.key(), result_of(l, r)});
      } else if (given.get() != nullptr) {
        given.clear();
        ctx.emit(output{ctx.key(), std::nullopt});
      }
    } else if (there) {
      ctx.emit(result_of(l, r));
    }
  }
  joined result_of(const left_row* l, const right_row* r) {
    if constexpr (Left && Right) {
      return f(l, r);
    } else if constexpr (Left) {
      return f(*l, r);
    } else {
      return f(*l, *r);
    }
  }
};

/// A row of the left table on its way to the lane of the row that it refers to.
template <typename K, typename FK, typename A>
struct reference {
  K key;
  FK to;
  std::int64_t version;    // counts the changes of the left row
  std::optional<A> row{};  // nothing: it refers elsewhere now, or is gone
  bool gone = false;
};
template <typename K, typename Out>
struct referred {
  K key;
  std::int64_t version;
  std::optional<Out> result;  // nothing: there is none (any more)
};

/// At the left row: who refers to what, and what it must be told when that changes.
template <typename K, typename FK, typename A, typename KeyOf>
struct refer_function {
  using row = row_of_t<A>;
  using output = reference<K, FK, row>;
  value_state<FK> to;
  value_state<std::int64_t> version;  // stays when the row goes: what is under way is older
  KeyOf key_of;
  refer_function(auto& state, KeyOf k) : to(state, "to"), version(state, "version"), key_of(std::move(k)) {}
  void process(const A& record, auto& ctx) {
    const row* now = row_of<A>::get(record);
    const FK* before = to.get();
    if (now == nullptr && before == nullptr) return;
    const std::int64_t v = version.value_or(0) + 1;
    version.set(v);
    if (now == nullptr) {
      ctx.emit({ctx.key(), *before, v, {}, true});
      to.clear();
      return;
    }
    FK refers_to = std::invoke(key_of, *now);
    if (before != nullptr && !(*before == refers_to)) ctx.emit({ctx.key(), *before, v, {}, false});
    ctx.emit({ctx.key(), refers_to, v, *now, false});
    to.set(std::move(refers_to));
  }
};

/// At the row referred to: all that refer to it. `Deletes`: that there is no result is said too.
template <typename K, typename FK, typename A, typename B, typename F, bool Deletes>
struct resolve_function {
  using left = row_of_t<A>;
  using right = row_of_t<B>;
  using output = referred<K, std::decay_t<std::invoke_result_t<F&, const left&, const right&>>>;
  struct referrer {
    left row;
    std::int64_t version;
  };
  map_state<K, referrer> referrers;
  value_state<right> row;
  F f;
  resolve_function(auto& state, F user)
      : referrers(state, "referrers"), row(state, "row"), f(std::move(user)) {}
  void process_first(const reference<K, FK, left>& r, auto& ctx) {
    const right* b = row.get();
    if (!r.row) {
      referrers.erase(r.key);
    } else {
      referrers.put(r.key, {*r.row, r.version});
      if (b != nullptr) return ctx.emit({r.key, r.version, f(*r.row, *b)});
    }
    if (Deletes && (r.row || r.gone)) ctx.emit({r.key, r.version, {}});
  }
  void process_second(const B& record, auto& ctx) {
    const right* b = row_of<B>::get(record);
    b == nullptr ? row.clear() : row.set(*b);
    referrers.for_each([&](const K& key, const referrer& r) {
      if (b != nullptr) {
        ctx.emit({key, r.version, f(r.row, *b)});
      } else {
        ctx.emit({key, r.version, {}});
      }
    });
  }
};

/// Back at the left row: results of what it referred to before are dropped.
template <typename K, typename Out, bool Deletes>
struct newest_version {
  using output = std::conditional_t<Deletes, table_change<K, Out>, Out>;
  value_state<std::int64_t> seen;
  std::conditional_t<Deletes, value_state<bool>, no_state> given;
  explicit newest_version(auto& state) : seen(state, "seen"), given(state, "given") {}
  void process(const referred<K, Out>& r, auto& ctx) {
    if (r.version < seen.value_or(0)) return;
    seen.set(r.version);
    if constexpr (Deletes) {
      if (!r.result && given.get() == nullptr) return;
      r.result ? given.set(true) : given.clear();
      ctx.emit(output{ctx.key(), r.result});
    } else {
      ctx.emit(*r.result);
    }
  }
};

/// The first record of a key, until `within` has passed.
template <typename T>
struct first_within {
  using output = T;
  value_state<std::int64_t> seen;
  std::chrono::milliseconds within;
  time_domain time;
  first_within(auto& state, std::chrono::milliseconds w, time_domain t)
      : seen(state, "seen", {.ttl = w, .ttl_time = t}), within(w), time(t) {}
  void process(const T& record, auto& ctx) {
    // By the records' own times: the time to live only says when it may be forgotten.
    const std::int64_t now = time == time_domain::event ? ctx.timestamp() : ctx.processing_time();
    if (const auto* first = seen.get(); first != nullptr && now < saturating_add(*first, within.count()))
      return;
    seen.set(now);
    ctx.emit(record);
  }
};

/// The newest record of a key, at most once in `interval` of event time.
template <typename T>
struct newest_within {
  using output = T;
  value_state<T> newest;
  value_state<std::int64_t> at;
  std::int64_t interval;
  newest_within(auto& state, std::chrono::milliseconds i)
      : newest(state, "newest"), at(state, "at"), interval(i.count()) {}
  void process(const T& record, auto& ctx) {
    if (newest.get() == nullptr) ctx.set_event_timer(saturating_add(ctx.timestamp(), interval));
    newest.set(record);
    at.set(ctx.timestamp());
  }
  void on_timer(const timer& due, auto& ctx) {
    ctx.emit(*newest.get(), std::max(*at.get(), due.timestamp_ms));
    newest.clear();
    at.clear();
  }
};

template <typename K, typename Other>
consteval bool keyed_alike() {
  if constexpr (keyed_parts<Other>::value) {
    return std::is_same_v<typename keyed_parts<Other>::key, K>;
  } else {
    return false;
  }
}

}  // namespace detail

template <typename K, typename T>
template <typename Other>
auto keyed<K, T>::interval_join(const Other& other, between b) const {
  constexpr bool same_key = detail::keyed_alike<K, Other>();
  static_assert(same_key, "interval_join(other, between): other must be keyed by the same type");
  if constexpr (same_key) {
    if (other.in() != graph_) graph_->add_problem("interval_join: the other stream is of another topology");
    return interval_joined<K, T, typename detail::keyed_parts<Other>::record>(*graph_, node_, other.node(),
                                                                              b);
  } else {
    return detail::broken{};
  }
}

template <typename K, typename T>
template <typename Other>
auto keyed<K, T>::co_group(const Other& other) const {
  constexpr bool same_key = detail::keyed_alike<K, Other>();
  static_assert(same_key, "co_group(other): other must be keyed by the same type");
  if constexpr (same_key) {
    using B = typename detail::keyed_parts<Other>::record;
    if (other.in() != graph_) graph_->add_problem("co_group: the other stream is of another topology");
    detail::node n;
    n.label = "co_group";
    n.inputs = {{node_, 0}, {other.node(), 0}};
    n.policy = graph_->nodes[node_].policy;
    n.make = []() -> std::unique_ptr<detail::op> { return std::make_unique<detail::either_op<K, T, B>>(); };
    return co_grouped<K, T, B>(keyed<K, std::variant<T, B>>(*graph_, graph_->add(std::move(n))));
  } else {
    return detail::broken{};
  }
}

template <typename K, typename T>
template <typename Fn, bool Joins, typename Other, typename F>
auto keyed<K, T>::with_other(detail::named name, const Other& other, F f) const {
  if constexpr (Joins) {
    return connect(other).template process<Fn>(std::move(name), std::move(f));
  } else {
    return detail::broken{};
  }
}

template <typename K, typename T>
template <bool Inner, typename Other, typename F>
auto keyed<K, T>::temporal(detail::named name, const Other& versions, F f) const {
  constexpr bool same_key = detail::keyed_alike<K, Other>();
  static_assert(same_key, "temporal_join(name, versions, f): versions must be keyed by the same type");
  if constexpr (same_key) {
    using B = typename detail::keyed_parts<Other>::record;
    using row = detail::row_of_t<B>;
    constexpr bool joins =
        std::is_invocable_v<F&, const T&, std::conditional_t<Inner, const row&, const row*>>;
    static_assert(joins,
                  "temporal_join(name, versions, f): f must be callable as f(const T&, const B&); in "
                  "left_temporal_join as f(const T&, const B*)");
    return with_other<detail::temporal_join_function<T, B, F, Inner>, joins>(std::move(name), versions,
                                                                             std::move(f));
  } else {
    return detail::broken{};
  }
}

template <typename K, typename T>
template <bool Left, bool Right, typename Other, typename F>
auto keyed<K, T>::tables(detail::named name, const Other& other, F f) const {
  constexpr bool same_key = detail::keyed_alike<K, Other>();
  static_assert(same_key, "table_join(name, other, f): other must be keyed by the same type");
  if constexpr (same_key) {
    using B = typename detail::keyed_parts<Other>::record;
    using left = detail::row_of_t<T>;
    using right = detail::row_of_t<B>;
    constexpr bool joins = std::is_invocable_v<F&, std::conditional_t<Right, const left*, const left&>,
                                               std::conditional_t<Left, const right*, const right&>>;
    static_assert(
        joins,
        "table_join(name, other, f): f must be callable as f(const T&, const B&); the side that may be "
        "missing comes as a pointer");
    return with_other<detail::table_join_function<K, T, B, F, Left, Right>, joins>(std::move(name), other,
                                                                                   std::move(f));
  } else {
    return detail::broken{};
  }
}

template <typename K, typename T>
template <typename Other, typename KeyOf, typename F>
auto keyed<K, T>::foreign_key_join(detail::named name, const Other& other, KeyOf key_of, F f) const {
  constexpr bool keyed_other = detail::keyed_parts<Other>::value;
  static_assert(keyed_other, "foreign_key_join(name, other, key_of, f): other must be keyed");
  if constexpr (keyed_other) {
    using B = typename detail::keyed_parts<Other>::record;
    using FK = typename detail::keyed_parts<Other>::key;
    using left = detail::row_of_t<T>;
    using right = detail::row_of_t<B>;
    constexpr bool deletes = detail::row_of<T>::may_delete || detail::row_of<B>::may_delete;
    constexpr bool refers = std::is_invocable_r_v<FK, KeyOf&, const left&>;
    static_assert(
        refers,
        "foreign_key_join(name, other, key_of, f): key_of must take the stream's records and return the "
        "key of the other stream");
    constexpr bool joins = std::is_invocable_v<F&, const left&, const right&>;
    static_assert(joins,
                  "foreign_key_join(name, other, key_of, f): f must be callable as f(const T&, const B&)");
    if constexpr (refers && joins) {
      using out = std::decay_t<std::invoke_result_t<F&, const left&, const right&>>;
      using sent = detail::reference<K, FK, left>;
      using back = detail::referred<K, out>;
      return process<detail::refer_function<K, FK, T, KeyOf>>({name.name + ".refer", name.where},
                                                              std::move(key_of))
          .key_by(&sent::to)
          .connect(other)
          .template process<detail::resolve_function<K, FK, T, B, F, deletes>>(
              {name.name + ".resolve", name.where}, std::move(f))
          .key_by(&back::key)
          .template process<detail::newest_version<K, out, deletes>>(std::move(name));
    } else {
      return detail::broken{};
    }
  } else {
    return detail::broken{};
  }
}

template <typename K, typename T>
auto keyed<K, T>::deduplicate(detail::named name, std::chrono::milliseconds within, time_domain time) const {
  return process<detail::first_within<T>>(std::move(name), within, time);
}

template <typename K, typename T>
auto keyed<K, T>::suppress(detail::named name, std::chrono::milliseconds interval) const {
  return process<detail::newest_within<T>>(std::move(name), interval);
}

}  // namespace penstock
