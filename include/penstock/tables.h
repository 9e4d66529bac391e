// SPDX-License-Identifier: Apache-2.0
// Changes of tables, deletions included:
//
//     auto users = topo.read("users", source, ps::table_changes(ps::text, ps::json<user>))   // a compacted
//     topic
//                      .key_by(&ps::table_change<std::string, user>::key);
//     users.table_join("with-city", cities, [](const user& u, const city& c) { ... })
//          .write("out", sink, ps::table_changes(ps::text, ps::json<row>));
//
// A tombstone of the topic is a change without a value. Joins of tables take the row away and, if a result
// had been given for it, give a change without a value (S12).
#pragma once

#include <penstock/format.h>

#include <optional>
#include <string>
#include <utility>

namespace penstock {

/// The new row of a key, or that it has none any more.
template <typename K, typename V>
struct table_change {
  using row_type = V;
  K key{};
  std::optional<V> value{};
  friend bool operator==(const table_change&, const table_change&) = default;
};

/// Reads and writes changes: the key with one format, the value with another, a deletion as a tombstone.
template <typename Key, typename Value>
struct table_change_format {
  using key_type = typename Key::value_type;
  using row_type = typename Value::value_type;
  using value_type = table_change<key_type, row_type>;
  Key key;
  Value value;
  result<> decode(const raw& record, value_type& into) const {
    if (!record.has_key()) return fail(errc::user, "the record has no key");
    if (auto r = decode_with(key, detail::record_of(record.key), into.key); !r) return r;
    if (record.is_tombstone()) {
      into.value.reset();
      return {};
    }
    if (!into.value) into.value.emplace();
    return decode_with(value, record, *into.value);
  }
  void encode(const value_type& change, std::string& out) const {
    if (change.value) value.encode(*change.value, out);
  }
  bool encode_key(const value_type& change, std::string& out) const {
    key.encode(change.key, out);
    return true;
  }
  bool is_tombstone(const value_type& change) const { return !change.value; }
};
template <typename Key, typename Value>
constexpr table_change_format<Key, Value> table_changes(Key key, Value value) {
  return {std::move(key), std::move(value)};
}

namespace detail {

/// What a record says about its key's row. Plain records are rows; changes may take it away.
template <typename T>
struct row_of {
  static constexpr bool may_delete = false;
  using type = T;
  static const T* get(const T& record) noexcept { return &record; }
};
template <typename K, typename V>
struct row_of<table_change<K, V>> {
  static constexpr bool may_delete = true;
  using type = V;
  static const V* get(const table_change<K, V>& c) noexcept { return c.value ? &*c.value : nullptr; }
};
template <typename T>
using row_of_t = typename row_of<T>::type;

}  // namespace detail
}  // namespace penstock
