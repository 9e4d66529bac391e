// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/key.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

namespace penstock::detail {

/// A hash table with open addressing, for the keyed state of one operator on one lane. Made for the loop that
/// looks up a block of keys: hash all, `prefetch` all, then `at` each. Memory is kept when entries go.
///
/// Layout: a part is one tag byte a slot (0: free, else 0x80 | six bits of the hash, and 0x40 once it was
/// changed, where that is noted) beside an array of slots; linear probing; at most five eighths full. A table
/// is one part until that has `most_slots`; from then on parts split in two instead of growing, and the upper
/// bits of the hash lead through a directory to the part: no insertion moves more than one part's entries.
/// The order of for_each follows the hashes: the same insertions give the same order.
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
    for_each_part([](part& p) { release(p); });
  }

  std::size_t size() const noexcept { return size_; }

  void prefetch(std::uint64_t hash) const noexcept {
    const part& p = part_of(hash);
    const std::size_t i = p.home(hash);
    __builtin_prefetch(p.tags + i, 1);
    __builtin_prefetch(p.slots + i, 1);
  }

  /// The value of `key`, made with `make()` if it is not there.
  template <typename Key, typename Make>
  [[gnu::always_inline]] V& at(std::uint64_t hash, Key&& key, Make&& make) {
    part* p = &part_of(hash);
    if (p->size >= p->limit) [[unlikely]]
      p = &grow(*p, hash);
    const std::uint8_t tag = p->tag_of(hash);
    for (std::size_t i = p->home(hash);; i = p->next(i)) {
      if ((p->tags[i] & ~changed) == tag && p->slots[i].key == key) {
        if (noting_) p->tags[i] = tag | changed;
        return p->slots[i].value;
      }
      if (p->tags[i] == 0) {
        ::new (static_cast<void*>(p->slots + i)) slot{K(std::forward<Key>(key)), make()};
        p->tags[i] = noting_ ? tag | changed : tag;
        ++p->size;
        ++size_;
        return p->slots[i].value;
      }
    }
  }

  /// The value of `key`, or null.
  template <typename Key>
  V* find(std::uint64_t hash, const Key& key) noexcept {
    part& p = part_of(hash);
    const std::size_t i = p.index_of(hash, key);
    return i == nowhere ? nullptr : &p.slots[i].value;
  }

  template <typename Key>
  const V* find(std::uint64_t hash, const Key& key) const noexcept {
    return const_cast<flat_table*>(this)->find(hash, key);
  }

  /// True when it was there. Those behind it move up, so that no gap breaks a search.
  template <typename Key>
  bool erase(std::uint64_t hash, const Key& key) {
    part& p = part_of(hash);
    std::size_t gap = p.index_of(hash, key);
    if (gap == nowhere) return false;
    p.slots[gap].~slot();
    p.tags[gap] = 0;
    --p.size;
    --size_;
    for (std::size_t i = p.next(gap); p.tags[i] != 0; i = p.next(i)) {
      const std::size_t home = p.home(key_traits<K>::hash(p.slots[i].key));
      if (((i - home) & p.mask) < ((i - gap) & p.mask)) continue;  // sits well
      ::new (static_cast<void*>(p.slots + gap)) slot(std::move(p.slots[i]));
      p.slots[i].~slot();
      p.tags[gap] = p.tags[i];
      p.tags[i] = 0;
      gap = i;
    }
    return true;
  }

  template <typename F>
  void for_each(F&& f) {
    for_each_slot([&](part& p, std::size_t i) { f(p.slots[i].key, p.slots[i].value); });
  }

  /// From now on `at` notes what it gives out as changed.
  void note_changes() noexcept { noting_ = true; }
  /// f(key, value) for all that changed since the last call.
  template <typename F>
  void take_changes(F&& f) {
    for_each_slot<changed>([&](part& p, std::size_t i) {
      p.tags[i] &= static_cast<std::uint8_t>(~changed);
      f(std::as_const(p.slots[i].key), p.slots[i].value);
    });
  }
  void forget_changes() noexcept {
    for_each_slot([](part& p, std::size_t i) { p.tags[i] &= static_cast<std::uint8_t>(~changed); });
  }

  void clear() noexcept {
    if (size_ == 0) return;
    if constexpr (!std::is_trivially_destructible_v<slot>)
      for_each_slot([](part& p, std::size_t i) { p.slots[i].~slot(); });
    for_each_part([](part& p) {
      if (p.slots != nullptr) std::memset(p.tags, 0, p.mask + 1);
      p.size = 0;
    });
    size_ = 0;
  }

 private:
  static constexpr std::size_t nowhere = static_cast<std::size_t>(-1);
  static constexpr std::uint8_t in_use = 0x80;
  static constexpr std::uint8_t changed = 0x40;
  static constexpr std::size_t most_bytes = std::size_t{4} << 20;  // of a part's slots
  static constexpr std::size_t most_slots =
      std::bit_floor(std::max(most_bytes / sizeof(slot), most_bytes >> 12));
  static constexpr int most_directory_bits = 20;
  static inline std::uint8_t no_tags[1] = {0};

  struct part {
    slot* slots = nullptr;
    std::uint8_t* tags = no_tags;
    std::size_t mask = 0;  // number of slots - 1
    std::size_t size = 0;
    std::size_t limit = 0;  // when it has so many, it grows
    int shift = 63;
    int depth = 0;  // of its hashes, so many upper bits are the same

    std::size_t next(std::size_t i) const noexcept { return (i + 1) & mask; }
    std::size_t home(std::uint64_t hash) const noexcept { return (hash >> shift) & mask; }
    std::uint8_t tag_of(std::uint64_t hash) const noexcept {
      return static_cast<std::uint8_t>(in_use | ((hash >> (shift - 6)) & 0x3f));
    }
    template <typename Key>
    std::size_t index_of(std::uint64_t hash, const Key& key) const noexcept {
      const std::uint8_t tag = tag_of(hash);
      for (std::size_t i = home(hash); tags[i] != 0; i = next(i)) {
        if ((tags[i] & ~changed) == tag && slots[i].key == key) return i;
      }
      return nowhere;
    }
    /// Gives it room; what it had is its owner's.
    void allocate(std::size_t capacity) {
      slots = std::allocator<slot>().allocate(capacity);
      tags = std::allocator<std::uint8_t>().allocate(capacity);
      std::memset(tags, 0, capacity);
      mask = capacity - 1;
      size = 0;
      shift = 64 - depth - std::countr_zero(capacity);
      limit = capacity / 8 * 5;
    }
    void put(std::uint64_t hash, slot& from, std::uint8_t mark) {
      std::size_t i = home(hash);
      while (tags[i] != 0) i = next(i);
      ::new (static_cast<void*>(slots + i)) slot(std::move(from));
      tags[i] = static_cast<std::uint8_t>(tag_of(hash) | mark);
      ++size;
      from.~slot();
    }
  };

  part& part_of(std::uint64_t hash) const noexcept { return *directory_[(hash >> 1) >> directory_shift_]; }
  int directory_bits() const noexcept { return 63 - directory_shift_; }
  static void release(part& p) noexcept {
    if (p.slots == nullptr) return;
    std::allocator<slot>().deallocate(p.slots, p.mask + 1);
    std::allocator<std::uint8_t>().deallocate(p.tags, p.mask + 1);
  }
  template <typename F>
  void for_each_part(F&& f) {
    const std::size_t n = std::size_t{1} << directory_bits();
    for (std::size_t i = 0; i < n;) {
      part& p = *directory_[i];
      i += n >> p.depth;  // a part stands there once for each value of the bits that it does not share
      f(p);
    }
  }
  /// f(part, slot) for the slots whose tags have the bit.
  template <std::uint8_t Bit = in_use, typename F>
  void for_each_slot(F&& f) {
    for_each_part([&](part& p) {
      if (p.slots == nullptr) return;
      for (std::size_t i = 0; i <= p.mask; i += 8) {  // a part has 16 slots at least
        // Eight tags at a time: which have it is not to be foreseen.
        std::uint64_t tags;
        std::memcpy(&tags, p.tags + i, 8);
        for (tags &= Bit * 0x0101010101010101u; tags != 0; tags &= tags - 1)
          f(p, i + static_cast<std::size_t>(std::countr_zero(tags)) / 8);
      }
    });
  }

  /// Makes room in a part; the one that has it for `hash`.
  [[gnu::noinline]] part& grow(part& p, std::uint64_t hash) {
    part old = p;
    const std::size_t slots = old.slots == nullptr ? 0 : old.mask + 1;
    part* upper = nullptr;
    if (slots >= most_slots && old.depth < most_directory_bits) {
      upper = &split(p, hash);
    } else {
      p.allocate(std::max<std::size_t>(16, slots * 2));
    }
    for (std::size_t i = 0; i < slots; ++i) {
      if (old.tags[i] == 0) continue;
      const std::uint64_t h = key_traits<K>::hash(old.slots[i].key);
      part& to = upper != nullptr && ((h >> (63 - old.depth)) & 1) != 0 ? *upper : p;
      to.put(h, old.slots[i], old.tags[i] & changed);
    }
    release(old);
    return part_of(hash);
  }
  /// Leaves `p` the lower half of its hashes; the part for the others. Both are empty.
  part& split(part& p, std::uint64_t hash) {
    if (p.depth == directory_bits()) {
      std::vector<part*> twice(std::size_t{2} << p.depth);
      for (std::size_t i = 0; i < twice.size(); ++i) twice[i] = directory_[i / 2];
      many_.swap(twice);
      directory_ = many_.data();
      --directory_shift_;
    }
    part& upper = *more_.emplace_back(std::make_unique<part>());
    const std::size_t n = std::size_t{1} << directory_bits();
    upper.depth = ++p.depth;
    const std::size_t half = n >> p.depth;
    const std::size_t at = ((hash >> 1) >> directory_shift_) & ~(2 * half - 1);
    for (std::size_t i = at + half; i < at + 2 * half; ++i) directory_[i] = &upper;
    for (part* half_of_it : {&p, &upper}) {
      half_of_it->allocate(most_slots);
      // Keys that are counted up fill all parts alike: they must not all be full at the same time.
      half_of_it->limit -=
          mix_hash(at, static_cast<std::uint64_t>(p.depth) + (half_of_it == &upper)) % (most_slots / 8);
    }
    return upper;
  }

  part first_;
  part* only_[1] = {&first_};
  part** directory_ = only_;
  int directory_shift_ = 63;
  bool noting_ = false;
  std::size_t size_ = 0;
  std::vector<part*> many_;                  // the directory, once there are several parts
  std::vector<std::unique_ptr<part>> more_;  // all but the first
};

}  // namespace penstock::detail
