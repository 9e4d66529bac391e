// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/detail/buffer.h>

#include <cstddef>
#include <cstdint>
#include <limits>

namespace penstock::detail {

/// A record that was given no event time yet.
inline constexpr std::int64_t no_timestamp = std::numeric_limits<std::int64_t>::min();

/// Records a batch holds before it is handed on: large enough to make the virtual call cheap, small enough
/// for the first-level cache.
inline constexpr std::size_t batch_capacity = 512;

/// What crosses an exchange, without its type.
struct any_batch {
  virtual ~any_batch() = default;
  virtual void clear() noexcept = 0;
};

template <typename T>
struct batch final : any_batch {
  buffer<T> values;
  buffer<std::int64_t> timestamps;

  std::size_t size() const noexcept { return timestamps.size(); }
  template <typename V>
  void add(V&& value, std::int64_t timestamp) {
    values.emplace_back(std::forward<V>(value));
    timestamps.emplace_back(timestamp);
  }
  void clear() noexcept override {
    values.clear();
    timestamps.clear();
  }
};

template <typename K, typename T>
struct keyed_batch final : any_batch {
  buffer<K> keys;
  buffer<T> values;
  buffer<std::int64_t> timestamps;

  std::size_t size() const noexcept { return timestamps.size(); }
  template <typename Key, typename V>
  void add(Key&& key, V&& value, std::int64_t timestamp) {
    keys.emplace_back(std::forward<Key>(key));
    values.emplace_back(std::forward<V>(value));
    timestamps.emplace_back(timestamp);
  }
  void clear() noexcept override {
    keys.clear();
    values.clear();
    timestamps.clear();
  }
};

}  // namespace penstock::detail
