// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/detail/dealing.h>
#include <penstock/windows.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <numeric>
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

/// Time cut into pieces of one length, one of which begins at `offset`. Length 0: it is not cut.
struct time_slices {
  std::int64_t length = 0;
  std::int64_t offset = 0;
  bool operator==(const time_slices&) const = default;
};

/// What is looked at in the records of a keyed batch besides their keys. The rest may be left out.
struct reading {
  bool values = true;
  /// Of a time only which slice it is in; not cut: the times themselves. A record without a time has none.
  time_slices slices{};

  /// What two readers look at.
  friend reading operator|(const reading& a, const reading& b) noexcept {
    const bool agree = a.slices.offset == b.slices.offset && a.slices.length != 0 && b.slices.length != 0;
    return {a.values || b.values,
            agree ? time_slices{std::gcd(a.slices.length, b.slices.length), a.slices.offset} : time_slices{}};
  }
};

/// What crosses an exchange, without its type.
class any_batch {
 public:
  virtual ~any_batch() = default;
  virtual void clear() noexcept = 0;
  std::size_t size() const noexcept { return size_; }
  /// A batch that can leave something out has its own of these two.
  void leave_out_unread(const reading&) noexcept {}
  reading read() const noexcept { return {}; }

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

/// The same, with a key each. What nobody looks at (op::reads) is left out: values altogether, and times
/// where all are in one slice; then the first stands for all of them.
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
  [[gnu::always_inline]] void add(K&& key, V&& value, std::int64_t timestamp) {
    if (read_.values) values.construct(size_, std::forward<V>(value));  // first: copying it may throw
    keys.construct(size_, std::move(key));
    timestamps[size_] = timestamp;
    ++size_;
  }
  /// From now on. Only while it is empty.
  void leave_out_unread(const reading& r) noexcept { read_ = r; }
  const reading& read() const noexcept { return read_; }
  /// True: of `timestamps` there is the first only, which is in the same slice (reading::slices) as the
  /// others were.
  bool one_time_for_all() const noexcept { return one_slice_; }
  /// The time of a record, or one of its slice.
  std::int64_t time(std::size_t i) const noexcept { return timestamps[one_slice_ ? 0 : i]; }
  /// Sees whether all its times are in one slice, before add_some is told to copy from it.
  void join_times() noexcept {
    one_slice_ = false;
    if (read_.slices.length == 0 || size_ == 0 || timestamps[0] == no_timestamp) return;
    slice_ = window_start(timestamps[0], read_.slices.offset, read_.slices.length);
    // Not where the beginning of time cuts a slice short: there is nothing before it but no_timestamp.
    if (slice_ == no_timestamp) return;
    one_slice_ = all_within(timestamps.data(), size_, slice_, read_.slices.length);
  }
  /// Asks for keys and times of records that will be looked at soon: another lane may have written them.
  void prefetch(std::size_t from, std::size_t n) const noexcept {
    if (from >= size_) return;
    keys.prefetch(from, n);
    if (!one_slice_) timestamps.prefetch(from, n);
  }
  /// Nothing but keys, and one time for all.
  bool keys_alone() const noexcept { return !read_.values && one_slice_; }
  /// Copies records of another batch, those numbered at[0] ... at[n - 1]; there must be room.
  void add_some(const keyed_batch& from, const std::uint16_t* at, std::size_t n) {
    if (shares_time(from)) {
      read_.values ? copy<true, false>(from, at, n) : copy<false, false>(from, at, n);
    } else {
      read_.values ? copy<true, true>(from, at, n) : copy<false, true>(from, at, n);
    }
    size_ += n;
  }
  /// The same of keys that were picked out of a batch of keys_alone().
  void add_keys(const keyed_batch& from, const K* picked, std::size_t n) {
    if (!shares_time(from)) std::fill_n(timestamps.data() + size_, n, from.timestamps[0]);
    std::uninitialized_copy_n(picked, n, keys.data() + size_);
    size_ += n;
  }
  /// Drops all but those numbered at[0] < ... < at[n - 1].
  void keep_some(const std::uint16_t* at, std::size_t n) noexcept {
    static_assert(std::is_trivially_copyable_v<K> && std::is_trivially_copyable_v<T>);
    for (std::size_t i = 0; i < n; ++i) keys[i] = keys[at[i]];
    if (read_.values) {
      for (std::size_t i = 0; i < n; ++i) values[i] = values[at[i]];
    }
    if (!one_slice_) {
      for (std::size_t i = 0; i < n; ++i) timestamps[i] = timestamps[at[i]];
    }
    size_ = n;
  }
  /// Drops all but the first n.
  void keep_first(std::size_t n) noexcept {
    static_assert(std::is_trivially_copyable_v<K> && std::is_trivially_copyable_v<T>);
    size_ = n;
  }
  void clear() noexcept override {
    const std::size_t n = std::exchange(size_, 0);
    keys.destroy(n);
    if (read_.values) values.destroy(n);
    one_slice_ = false;
  }

 private:
  /// Before records of `from` are added: whether its one time can stand for them here too. If not, each gets
  /// its own.
  bool shares_time(const keyed_batch& from) noexcept {
    if (from.one_slice_ && (size_ == 0 || (one_slice_ && slice_ == from.slice_))) {
      if (size_ == 0) {
        one_slice_ = true;
        slice_ = from.slice_;
        timestamps[0] = from.timestamps[0];
      }
      return true;
    }
    if (std::exchange(one_slice_, false)) std::fill_n(timestamps.data(), size_, timestamps[0]);
    return false;
  }
  template <bool WithValues, bool WithTimes>
  void copy(const keyed_batch& from, const std::uint16_t* at, std::size_t n) {
    // All columns at once: each number is read once.
    K* __restrict const to_keys = keys.data() + size_;
    [[maybe_unused]] T* __restrict const to_values = values.data() + size_;
    [[maybe_unused]] std::int64_t* __restrict const to_timestamps = timestamps.data() + size_;
    const K* const from_keys = from.keys.data();
    [[maybe_unused]] const T* const from_values = from.values.data();
    [[maybe_unused]] const std::int64_t* const from_timestamps = from.timestamps.data();
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t number = at[i];
      ::new (static_cast<void*>(to_keys + i)) K(from_keys[number]);
      if constexpr (WithValues) ::new (static_cast<void*>(to_values + i)) T(from_values[number]);
      if constexpr (WithTimes) to_timestamps[i] = from_timestamps[number];
    }
  }

  reading read_;
  bool one_slice_ = false;
  std::int64_t slice_ = 0;  // where that begins
};

}  // namespace penstock::detail
