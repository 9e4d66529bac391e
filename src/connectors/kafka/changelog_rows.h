// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/key.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace penstock::connectors {

/// What a changelog says: of each key the last value, unless the last record took it away. Bytes lie one
/// behind the other in large blocks, so that a row costs no allocation; what is replaced by something longer
/// stays until all go.
class changelog_rows {
 public:
  /// A record of the changelog; `value` null (data() == nullptr): the row is gone.
  void apply(std::string_view key, std::string_view value) {
    if ((used_ + 1) * 8 > slots_.size() * 5) grow();
    const std::uint64_t hash = detail::hash_bytes(key);
    std::size_t i = hash >> shift_;
    for (; slots_[i].at != nullptr; i = (i + 1) & (slots_.size() - 1)) {
      if (slots_[i].hash != static_cast<std::uint32_t>(hash)) continue;
      entry e = read(slots_[i].at);
      if (key_of(slots_[i].at, e) != key) continue;
      live_ -= e.value >= 0 ? 1 : 0;
      live_ += value.data() != nullptr ? 1 : 0;
      if (value.data() == nullptr || value.size() <= e.room) {
        e.value = value.data() == nullptr ? gone : static_cast<std::int32_t>(value.size());
        write(slots_[i].at, e);
        if (!value.empty()) std::memcpy(slots_[i].at + sizeof e + e.key, value.data(), value.size());
        return;
      }
      e.value = gone;
      write(slots_[i].at, e);
      slots_[i].at = add(key, value);
      return;
    }
    if (value.data() == nullptr) return;  // it was never there, or only before what compaction has left
    slots_[i] = {add(key, value), static_cast<std::uint32_t>(hash)};
    ++used_;
    ++live_;
  }

  std::size_t size() const noexcept { return live_; }
  /// That rows take, those that are gone too.
  std::size_t bytes() const noexcept {
    std::size_t all = 0;
    for (const block& b : blocks_) all += b.used;
    return all;
  }

  /// f(key, value) for every row as long as it answers true, in the order in which they came first. False
  /// when it did not.
  template <typename F>
  bool for_each(F&& f) const {
    for (const block& b : blocks_) {
      for (const char* at = b.bytes.get(); at != b.bytes.get() + b.used;) {
        const entry e = read(at);
        if (e.value >= 0 &&
            !f(key_of(at, e), std::string_view(at + sizeof e + e.key, static_cast<std::size_t>(e.value))))
          return false;
        at += size_of(e);
      }
    }
    return true;
  }

 private:
  static constexpr std::int32_t gone = -1;
  static constexpr std::size_t block_bytes = 1u << 20;
  struct entry {
    std::uint32_t key;   // bytes of the key, which follows
    std::uint32_t room;  // bytes for the value, which follows that
    std::int32_t value;  // bytes of it that count, or `gone`
  };
  struct slot {
    char* at = nullptr;
    std::uint32_t hash = 0;
  };
  struct block {
    std::unique_ptr<char[]> bytes;
    std::size_t size;
    std::size_t used;
  };
  static entry read(const char* at) noexcept {
    entry e;
    std::memcpy(&e, at, sizeof e);
    return e;
  }
  static void write(char* at, const entry& e) noexcept { std::memcpy(at, &e, sizeof e); }
  static std::string_view key_of(const char* at, const entry& e) noexcept { return {at + sizeof e, e.key}; }
  static std::size_t size_of(const entry& e) noexcept { return sizeof e + e.key + e.room; }

  char* add(std::string_view key, std::string_view value) {
    const entry e{static_cast<std::uint32_t>(key.size()), static_cast<std::uint32_t>(value.size()),
                  static_cast<std::int32_t>(value.size())};
    if (blocks_.empty() || blocks_.back().size - blocks_.back().used < size_of(e)) {
      const std::size_t size = size_of(e) > block_bytes ? size_of(e) : block_bytes;
      blocks_.push_back({std::unique_ptr<char[]>(new char[size]), size, 0});
    }
    block& b = blocks_.back();
    char* const at = b.bytes.get() + b.used;
    b.used += size_of(e);
    write(at, e);
    if (!key.empty()) std::memcpy(at + sizeof e, key.data(), key.size());
    if (!value.empty()) std::memcpy(at + sizeof e + key.size(), value.data(), value.size());
    return at;
  }

  void grow() {
    const std::size_t wanted = slots_.empty() ? 1024 : 2 * slots_.size();
    std::vector<slot> old(wanted);
    old.swap(slots_);
    shift_ = 64 - std::countr_zero(wanted);
    for (const slot& s : old) {
      if (s.at == nullptr) continue;
      std::size_t i = detail::hash_bytes(key_of(s.at, read(s.at))) >> shift_;
      while (slots_[i].at != nullptr) i = (i + 1) & (wanted - 1);
      slots_[i] = s;
    }
  }

  std::vector<block> blocks_;
  std::vector<slot> slots_;  // a power of two of them; linear probing, at most five eighths full
  std::size_t used_ = 0;     // slots, of rows that are gone too
  std::size_t live_ = 0;
  int shift_ = 0;
};

}  // namespace penstock::connectors
