// SPDX-License-Identifier: Apache-2.0
// State of keyed functions. Handles are members, made from what the function's constructor is given; each
// call is about the key of the record or timer that is being worked on:
//
//     struct first_of_day {
//       using output = login;
//       penstock::value_state<std::int64_t> day;
//       explicit first_of_day(auto& state) : day(state, "day", {.ttl = std::chrono::hours(48)}) {}
//       void process(const login& l, auto& ctx) {
//         if (const auto* d = day.get(); d != nullptr && *d == l.day) return;
//         day.set(l.day);
//         ctx.emit(l);
//       }
//     };
//     logins.key_by(&login::user).process<first_of_day>("first-of-day")
//
// A state has a name, unique in its function, by which it is found again after a restart. What a call gives
// (a pointer, a reference) is valid until the next call on the same handle, and for const reading only:
// what is not set, or changed by modify, is not kept.
#pragma once

#include <penstock/aggregate.h>
#include <penstock/detail/state_columns.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace penstock {

/// What a keyed function's constructor is given: `explicit f(auto& state)`.
template <typename K>
using keyed_state = detail::keyed_rows<K>;

/// One value a key.
template <typename V>
class value_state {
 public:
  value_state(detail::state_rows& state, std::string name, state_options o = {})
      : column_(&state.add_column(std::move(name), std::make_unique<detail::value_column<V>>(state, o),
                                  o.ttl.has_value())) {
    detail::check_kept<V>();
  }
  /// Null when there is none.
  const V* get() const { return column_->get(); }
  V value_or(V otherwise) const {
    const V* v = get();
    return v != nullptr ? *v : std::move(otherwise);
  }
  void set(V value) { column_->set(std::move(value)); }
  /// f(V&) changes the value where it is, one that is made by V() if there is none; what is there then.
  ///
  ///     seen.modify([&](std::vector<item>& all) { all.push_back(i); });
  ///
  /// Counts as a write. If f throws, a value that was there stays as f left it.
  template <typename F>
  const V& modify(F&& f) {
    constexpr bool takes_it = std::is_invocable_v<F&, V&>;
    static_assert(takes_it, "modify(f): f must be callable as f(V&)");
    if constexpr (takes_it) return column_->modify(f);
  }
  void clear() { column_->clear(); }

 private:
  detail::value_column<V>* column_;
};

/// A list a key, in the order of adding.
template <typename V>
class list_state {
 public:
  list_state(detail::state_rows& state, std::string name, state_options o = {})
      : column_(&state.add_column(std::move(name), std::make_unique<detail::list_column<V>>(state, o),
                                  o.ttl.has_value())) {
    detail::check_kept<V>();
  }
  const std::vector<V>& get() const { return column_->get(); }
  bool empty() const { return get().empty(); }
  void add(V value) { column_->add(std::move(value)); }
  void set(std::vector<V> values) { column_->set(std::move(values)); }
  /// f(std::vector<V>&) changes the list where it is; what is there then.
  ///
  ///     recent.modify([](std::vector<reading>& all) { all.erase(all.begin()); });
  ///
  /// With a ttl, all that is there then lives that long again. If f throws, a list that was there stays as f
  /// left it.
  template <typename F>
  const std::vector<V>& modify(F&& f) {
    constexpr bool takes_it = std::is_invocable_v<F&, std::vector<V>&>;
    static_assert(takes_it, "modify(f): f must be callable as f(std::vector<V>&)");
    if constexpr (takes_it) return column_->modify(f);
  }
  void clear() { column_->clear(); }

 private:
  detail::list_column<V>* column_;
};

/// A map a key, ordered by the map's keys.
template <typename MapKey, typename V>
class map_state {
 public:
  map_state(detail::state_rows& state, std::string name, state_options o = {})
      : column_(&state.add_column(std::move(name), std::make_unique<detail::map_column<MapKey, V>>(state, o),
                                  o.ttl.has_value())) {
    detail::check_kept<MapKey>();
    detail::check_kept<V>();
  }
  /// Null when there is none.
  const V* get(const MapKey& key) const { return column_->get(key); }
  bool contains(const MapKey& key) const { return get(key) != nullptr; }
  void put(MapKey key, V value) { column_->put(std::move(key), std::move(value)); }
  /// f(V&) changes the value of `key` where it is, as value_state::modify does.
  template <typename F>
  const V& modify(const MapKey& key, F&& f) {
    constexpr bool takes_it = std::is_invocable_v<F&, V&>;
    static_assert(takes_it, "modify(key, f): f must be callable as f(V&)");
    if constexpr (takes_it) return column_->modify(key, f);
  }
  /// True when it was there.
  bool erase(const MapKey& key) { return column_->erase(key); }
  /// Calls f(key, value) for each entry; f must not change the map.
  template <typename F>
  void for_each(F&& f) const {
    if (auto* all = column_->live(); all != nullptr) {
      for (const auto& [key, e] : *all) f(key, std::as_const(e.value));
    }
  }
  std::size_t size() const {
    const auto* all = column_->live();
    return all == nullptr ? 0 : all->size();
  }
  bool empty() const { return size() == 0; }
  void clear() { column_->clear(); }

 private:
  detail::map_column<MapKey, V>* column_;
};

/// A map that every lane has whole, written from the broadcast stream alone (in process_broadcast, where
/// every lane is given the same records in the same order of each sender), read everywhere.
template <typename MapKey, typename V>
class broadcast_state {
 public:
  broadcast_state(detail::state_rows& state, std::string name)
      : rows_(&state),
        name_(std::move(name)),
        column_(&state.add_shared(name_, std::make_unique<detail::shared_map<MapKey, V>>())) {
    detail::check_kept<MapKey>();
    detail::check_kept<V>();
  }
  const V* get(const MapKey& key) const {
    const auto at = column_->entries().find(key);
    return at == column_->entries().end() ? nullptr : &at->second;
  }
  void put(MapKey key, V value) {
    detail::check_broadcasting(*rows_, name_);
    if (size() == 0) rows_->pin(true);
    column_->put(std::move(key), std::move(value));
  }
  bool erase(const MapKey& key) {
    detail::check_broadcasting(*rows_, name_);
    if (!column_->erase(key)) return false;
    if (size() == 0) rows_->pin(false);
    return true;
  }
  template <typename F>
  void for_each(F&& f) const {
    for (const auto& [key, value] : column_->entries()) f(key, value);
  }
  std::size_t size() const noexcept { return column_->entries().size(); }

 private:
  detail::state_rows* rows_;
  std::string name_;
  detail::shared_map<MapKey, V>* column_;
};

/// One value a key, that each new one is folded into.
template <typename V>
class reducing_state {
 public:
  reducing_state(detail::state_rows& state, std::string name, std::function<V(const V&, const V&)> f,
                 state_options o = {})
      : value_(state, std::move(name), o), f_(std::move(f)) {}
  const V* get() const { return value_.get(); }
  void add(V value) {
    const V* so_far = value_.get();
    value_.set(so_far == nullptr ? std::move(value) : f_(*so_far, value));
  }
  void clear() { value_.clear(); }

 private:
  value_state<V> value_;
  std::function<V(const V&, const V&)> f_;
};

/// An aggregator's accumulator a key (<penstock/aggregate.h>), for records of type T.
template <typename T, typename Aggregator>
class aggregating_state {
 public:
  using accumulator = detail::accumulator_t<Aggregator, T>;
  aggregating_state(detail::state_rows& state, std::string name, Aggregator a, state_options o = {})
      : column_(&state.add_column(std::move(name),
                                  std::make_unique<detail::value_column<accumulator>>(state, o),
                                  o.ttl.has_value())),
        aggregator_(std::move(a)) {
    detail::check_kept<accumulator>();
  }
  /// Nothing before the first add.
  std::optional<detail::aggregate_t<Aggregator, T>> get() const {
    const accumulator* a = column_->get();
    if (a == nullptr) return std::nullopt;
    return aggregator_.result(*a);
  }
  void add(const T& value) {
    const auto add_it = [&](accumulator& a) { aggregator_.add(a, value); };
    column_->modify(add_it);
  }
  void clear() { column_->clear(); }

 private:
  detail::value_column<accumulator>* column_;
  Aggregator aggregator_;
};

}  // namespace penstock
