// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string_view>

namespace penstock {

/// One header of a record. A null value is a view whose data() is nullptr; the key is never null.
struct record_header {
  std::string_view key = {};
  std::string_view value = {};
  friend bool operator==(const record_header&, const record_header&) = default;
};

/// The headers of a record, parsed only when they are looked at: a forward range of record_header over the
/// bytes as they came. Order and duplicate keys are kept, as Kafka keeps them.
///
/// Borrows the bytes. Iterating never reads outside of them: if they are cut off, the range just ends there
/// (a record_cursor has checked them before, and reports such a record as damaged instead).
class header_list {
 public:
  class iterator {
   public:
    using value_type = record_header;
    using difference_type = std::ptrdiff_t;
    using reference = const record_header&;
    using pointer = const record_header*;
    using iterator_category = std::forward_iterator_tag;

    iterator() noexcept = default;
    reference operator*() const noexcept { return current_; }
    pointer operator->() const noexcept { return &current_; }
    iterator& operator++() noexcept {
      --left_;
      parse();
      return *this;
    }
    iterator operator++(int) noexcept {
      iterator before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const iterator& a, const iterator& b) noexcept { return a.left_ == b.left_; }

   private:
    friend class header_list;
    iterator(const char* next, const char* end, std::int32_t left) noexcept
        : next_(next), end_(end), left_(left) {
      parse();
    }
    void parse() noexcept {
      if (left_ > 0 && !(read_bytes(current_.key) && read_bytes(current_.value))) left_ = 0;
    }
    bool read_bytes(std::string_view& out) noexcept {
      std::uint64_t v = 0;
      for (int shift = 0;; shift += 7) {
        if (next_ == end_ || shift > 28) return false;
        const auto b = static_cast<unsigned char>(*next_++);
        v |= static_cast<std::uint64_t>(b & 0x7f) << shift;
        if (b < 0x80) break;
      }
      const std::uint64_t size = v >> 1;
      if ((v & 1) != 0) {  // negative: null
        out = {};
        return true;
      }
      if (size > static_cast<std::uint64_t>(end_ - next_)) return false;
      out = {next_, static_cast<std::size_t>(size)};
      next_ += size;
      return true;
    }

    record_header current_;
    const char* next_ = nullptr;
    const char* end_ = nullptr;
    std::int32_t left_ = 0;
  };

  header_list() noexcept = default;
  /// `count` headers in the format of a record: {varint size, key, varint size (-1: null), value} each.
  header_list(std::string_view bytes, std::int32_t count) noexcept
      : begin_(bytes.data()), end_(bytes.data() + bytes.size()), count_(count) {}

  std::int32_t size() const noexcept { return count_; }
  bool empty() const noexcept { return count_ == 0; }
  iterator begin() const noexcept { return iterator(begin_, end_, count_); }
  iterator end() const noexcept { return {}; }

  /// The value of the last header with this key (Kafka's rule for "the" header), or nothing.
  std::optional<std::string_view> find(std::string_view key) const noexcept {
    std::optional<std::string_view> found;
    for (const auto& h : *this) {
      if (h.key == key) found = h.value;
    }
    return found;
  }
  /// The bytes, without the count before them: to pass headers on as they are.
  std::string_view raw() const noexcept { return {begin_, static_cast<std::size_t>(end_ - begin_)}; }

 private:
  const char* begin_ = nullptr;
  const char* end_ = nullptr;
  std::int32_t count_ = 0;
};

/// One record of a Kafka topic, borrowed: the views point into the fetch buffer (or the buffer that its batch
/// was decompressed into) and are valid as long as whoever gave out the view says.
struct record_view {
  std::int64_t offset = 0;
  /// Milliseconds since 1970-01-01 UTC; -1 where the record has none (format v0).
  std::int64_t timestamp_ms = -1;
  /// Null (data() == nullptr) is not the same as empty.
  std::string_view key = {};
  /// Null means a deletion (tombstone) in a compacted topic.
  std::string_view value = {};
  header_list headers = {};

  bool has_key() const noexcept { return key.data() != nullptr; }
  bool is_tombstone() const noexcept { return value.data() == nullptr; }
};

}  // namespace penstock
