// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace penstock::detail {

/// A record that was given no event time yet.
inline constexpr std::int64_t no_timestamp = std::numeric_limits<std::int64_t>::min();

/// Records a batch holds before it is handed on: large enough to make the virtual call cheap, small enough
/// for the first-level cache.
inline constexpr std::size_t batch_capacity = 512;

/// Room for batch_capacity values; who is there, its owner knows. (A std::vector would check its capacity for
/// every value, and has its own idea of bool.)
template <typename T>
class column {
 public:
  column() : data_(std::allocator<T>().allocate(batch_capacity)) {}
  column(column&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  column& operator=(column&&) = delete;
  ~column() {
    if (data_ != nullptr) std::allocator<T>().deallocate(data_, batch_capacity);
  }
  template <typename V>
  void construct(std::size_t i, V&& value) {
    ::new (static_cast<void*>(data_ + i)) T(std::forward<V>(value));
  }
  void prefetch(std::size_t from, std::size_t n) const noexcept {
    const char* const begin = reinterpret_cast<const char*>(data_ + from);
    for (std::size_t at = 0; at < n * sizeof(T); at += 64) __builtin_prefetch(begin + at);
  }
  void destroy(std::size_t n) noexcept {
    if constexpr (!std::is_trivially_destructible_v<T>) std::destroy_n(data_, n);
  }
  T& operator[](std::size_t i) noexcept { return data_[i]; }
  const T& operator[](std::size_t i) const noexcept { return data_[i]; }
  T* data() noexcept { return data_; }
  const T* data() const noexcept { return data_; }

 private:
  T* data_;
};

/// What crosses an exchange, without its type.
class any_batch {
 public:
  virtual ~any_batch() = default;
  virtual void clear() noexcept = 0;
  std::size_t size() const noexcept { return size_; }

 protected:
  any_batch() = default;
  any_batch(any_batch&& other) noexcept : size_(std::exchange(other.size_, 0)) {}
  std::size_t size_ = 0;
};

/// Values and their event times. Memory is taken once and used again.
template <typename T>
class batch final : public any_batch {
 public:
  batch() = default;
  batch(batch&&) noexcept = default;
  ~batch() override { batch::clear(); }

  column<T> values;
  column<std::int64_t> timestamps;

  /// Only while size() < batch_capacity.
  template <typename V>
  void add(V&& value, std::int64_t timestamp) {
    values.construct(size_, std::forward<V>(value));
    timestamps[size_] = timestamp;
    ++size_;
  }
  void clear() noexcept override { values.destroy(std::exchange(size_, 0)); }
};

/// The same, with a key each. Where nobody looks at the values (op::reads_values) they are left out.
template <typename K, typename T>
class keyed_batch final : public any_batch {
 public:
  keyed_batch() = default;
  keyed_batch(keyed_batch&&) noexcept = default;
  ~keyed_batch() override { keyed_batch::clear(); }

  column<K> keys;
  column<T> values;
  column<std::int64_t> timestamps;

  template <typename V>
  void add(K&& key, V&& value, std::int64_t timestamp) {
    if (with_values_) values.construct(size_, std::forward<V>(value));  // first: copying it may throw
    keys.construct(size_, std::move(key));
    timestamps[size_] = timestamp;
    ++size_;
  }
  /// From now on. Only while it is empty.
  void leave_values_out() noexcept { with_values_ = false; }
  /// Asks for keys and times of records that will be looked at soon: another lane may have written them.
  void prefetch(std::size_t from, std::size_t n) const noexcept {
    if (from >= size_) return;
    keys.prefetch(from, n);
    timestamps.prefetch(from, n);
  }
  /// Copies records of another batch, those numbered at[0] ... at[n - 1]; there must be room.
  void add_some(const keyed_batch& from, const std::uint16_t* at, std::size_t n) {
    with_values_ ? copy<true>(from, at, n) : copy<false>(from, at, n);
    size_ += n;
  }
  void clear() noexcept override {
    const std::size_t n = std::exchange(size_, 0);
    keys.destroy(n);
    if (with_values_) values.destroy(n);
  }

 private:
  template <bool WithValues>
  void copy(const keyed_batch& from, const std::uint16_t* at, std::size_t n) {
    // All columns at once: each number is read once.
    K* __restrict const to_keys = keys.data() + size_;
    [[maybe_unused]] T* __restrict const to_values = values.data() + size_;
    std::int64_t* __restrict const to_timestamps = timestamps.data() + size_;
    const K* const from_keys = from.keys.data();
    [[maybe_unused]] const T* const from_values = from.values.data();
    const std::int64_t* const from_timestamps = from.timestamps.data();
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t number = at[i];
      ::new (static_cast<void*>(to_keys + i)) K(from_keys[number]);
      if constexpr (WithValues) ::new (static_cast<void*>(to_values + i)) T(from_values[number]);
      to_timestamps[i] = from_timestamps[number];
    }
  }

  bool with_values_ = true;
};

}  // namespace penstock::detail
