// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/key.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace penstock::detail {

/// A hash table with open addressing, for the keyed state of one operator on one lane. Made for the loop that
/// looks up a block of keys: hash all, `prefetch` all, then `at` each. Memory is kept when entries go.
///
/// Layout: one tag byte a slot (0: free, else 0x80 | six bits of the hash, and 0x40 once it was changed,
/// where that is noted) beside an array of slots; linear probing from the upper bits of the hash; at most
/// five eighths full. The order of for_each follows the hashes: the same insertions give the same order.
template <typename K, typename V>
class flat_table {
 public:
  struct slot {
    K key;
    V value;
  };

  flat_table() noexcept = default;
  flat_table(const flat_table&) = delete;
  flat_table& operator=(const flat_table&) = delete;
  ~flat_table() {
    clear();
    release();
  }

  std::size_t size() const noexcept { return size_; }

  void prefetch(std::uint64_t hash) const noexcept {
    if (capacity_ == 0) return;
    const std::size_t i = hash >> shift_;
    __builtin_prefetch(tags_ + i, 1);
    __builtin_prefetch(slots_ + i, 1);
  }

  /// The value of `key`, made with `make()` if it is not there.
  template <typename Key, typename Make>
  V& at(std::uint64_t hash, Key&& key, Make&& make) {
    if (size_ >= limit_) [[unlikely]]
      grow();
    const std::uint8_t tag = tag_of(hash);
    for (std::size_t i = hash >> shift_;; i = (i + 1) & (capacity_ - 1)) {
      if ((tags_[i] & ~changed) == tag && slots_[i].key == key) {
        if (noting_) tags_[i] = tag | changed;
        return slots_[i].value;
      }
      if (tags_[i] == 0) {
        ::new (static_cast<void*>(slots_ + i)) slot{K(std::forward<Key>(key)), make()};
        tags_[i] = noting_ ? tag | changed : tag;
        ++size_;
        return slots_[i].value;
      }
    }
  }

  /// The value of `key`, or null.
  template <typename Key>
  V* find(std::uint64_t hash, const Key& key) noexcept {
    const std::size_t i = index_of(hash, key);
    return i == nowhere ? nullptr : &slots_[i].value;
  }

  /// True when it was there. Those behind it move up, so that no gap breaks a search.
  template <typename Key>
  bool erase(std::uint64_t hash, const Key& key) {
    std::size_t gap = index_of(hash, key);
    if (gap == nowhere) return false;
    slots_[gap].~slot();
    tags_[gap] = 0;
    --size_;
    for (std::size_t i = next(gap); tags_[i] != 0; i = next(i)) {
      const std::size_t home = key_traits<K>::hash(slots_[i].key) >> shift_;
      if (((i - home) & (capacity_ - 1)) < ((i - gap) & (capacity_ - 1))) continue;  // sits well
      ::new (static_cast<void*>(slots_ + gap)) slot(std::move(slots_[i]));
      slots_[i].~slot();
      tags_[gap] = tags_[i];
      tags_[i] = 0;
      gap = i;
    }
    return true;
  }

  template <typename F>
  void for_each(F&& f) {
    for (std::size_t i = 0; i < capacity_; ++i) {
      if (tags_[i] != 0) f(slots_[i].key, slots_[i].value);
    }
  }

  /// From now on `at` notes what it gives out as changed.
  void note_changes() noexcept { noting_ = true; }
  /// f(key, value) for all that changed since the last call.
  template <typename F>
  void take_changes(F&& f) {
    for (std::size_t i = 0; i < capacity_; i += 8) {
      std::uint64_t tags;  // the capacity is 16 at least
      std::memcpy(&tags, tags_ + i, 8);
      if ((tags & 0x4040404040404040) == 0) continue;
      for (std::size_t j = i; j < i + 8; ++j) {
        if ((tags_[j] & changed) == 0) continue;
        tags_[j] &= static_cast<std::uint8_t>(~changed);
        f(std::as_const(slots_[j].key), slots_[j].value);
      }
    }
  }
  void forget_changes() noexcept {
    for (std::size_t i = 0; i < capacity_; ++i) tags_[i] &= static_cast<std::uint8_t>(~changed);
  }

  void clear() noexcept {
    if (size_ == 0) return;
    if constexpr (!std::is_trivially_destructible_v<slot>) {
      for_each_slot([](slot& s) { s.~slot(); });
    }
    std::memset(tags_, 0, capacity_);
    size_ = 0;
  }

 private:
  static constexpr std::size_t nowhere = static_cast<std::size_t>(-1);
  static constexpr std::uint8_t changed = 0x40;
  std::size_t next(std::size_t i) const noexcept { return (i + 1) & (capacity_ - 1); }
  template <typename Key>
  std::size_t index_of(std::uint64_t hash, const Key& key) const noexcept {
    if (size_ == 0) return nowhere;
    const std::uint8_t tag = tag_of(hash);
    for (std::size_t i = hash >> shift_; tags_[i] != 0; i = next(i)) {
      if ((tags_[i] & ~changed) == tag && slots_[i].key == key) return i;
    }
    return nowhere;
  }
  std::uint8_t tag_of(std::uint64_t hash) const noexcept {
    return static_cast<std::uint8_t>(0x80 | ((hash >> (shift_ - 6)) & 0x3f));
  }
  template <typename F>
  void for_each_slot(F&& f) {
    for (std::size_t i = 0; i < capacity_; ++i) {
      if (tags_[i] != 0) f(slots_[i]);
    }
  }
  void release() noexcept {
    if (capacity_ == 0) return;
    std::allocator<slot>().deallocate(slots_, capacity_);
    std::allocator<std::uint8_t>().deallocate(tags_, capacity_);
  }
  void grow() {
    slot* old_slots = slots_;
    std::uint8_t* old_tags = tags_;
    const std::size_t old_capacity = capacity_;
    const std::size_t wanted = old_capacity == 0 ? 16 : old_capacity * 2;
    slots_ = std::allocator<slot>().allocate(wanted);
    tags_ = std::allocator<std::uint8_t>().allocate(wanted);
    std::memset(tags_, 0, wanted);
    capacity_ = wanted;
    shift_ = 64 - std::countr_zero(wanted);
    limit_ = wanted / 8 * 5;
    for (std::size_t j = 0; j < old_capacity; ++j) {
      if (old_tags[j] == 0) continue;
      const std::uint64_t hash = key_traits<K>::hash(old_slots[j].key);
      std::size_t i = hash >> shift_;
      while (tags_[i] != 0) i = (i + 1) & (capacity_ - 1);
      ::new (static_cast<void*>(slots_ + i)) slot(std::move(old_slots[j]));
      tags_[i] = static_cast<std::uint8_t>(tag_of(hash) | (old_tags[j] & changed));
      old_slots[j].~slot();
    }
    if (old_capacity != 0) {
      std::allocator<slot>().deallocate(old_slots, old_capacity);
      std::allocator<std::uint8_t>().deallocate(old_tags, old_capacity);
    }
  }

  slot* slots_ = nullptr;
  std::uint8_t* tags_ = nullptr;
  std::size_t capacity_ = 0;  // a power of two, or 0
  std::size_t size_ = 0;
  std::size_t limit_ = 0;
  int shift_ = 0;
  bool noting_ = false;
};

}  // namespace penstock::detail
