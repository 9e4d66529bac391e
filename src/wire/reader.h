// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/varint.h"
#include "wire/uuid.h"

namespace penstock::wire {

/// Reads the protocol's primitive types from bytes that may be anything.
///
/// The first read that does not fit fails the reader: from then on every read gives zero or empty, `left()`
/// is 0 and `ok()` is false, so that a decoder checks once, at its end. Nothing is allocated here, and a
/// length or count larger than the bytes left is refused, so a loop over `count()` elements is bounded by
/// the input.
class reader {
 public:
  explicit reader(bytes_view bytes) noexcept
      : begin_(bytes.data()), at_(begin_), end_(begin_ + bytes.size()) {}

  bool ok() const noexcept { return why_ == nullptr; }
  std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }
  /// Bytes read so far, or up to the failed read.
  std::size_t position() const noexcept { return ok() ? static_cast<std::size_t>(at_ - begin_) : failed_at_; }
  /// The bytes not read yet.
  bytes_view rest() const noexcept { return {at_, left()}; }

  /// Fails the reader. `why` must outlive it (a literal); the first reason stays.
  void fail(const char* why) noexcept {
    if (!ok()) return;
    failed_at_ = static_cast<std::size_t>(at_ - begin_);
    why_ = why;
    at_ = end_;
  }
  /// Success, or the failure as "cannot decode <what>: <why> at byte <position>".
  result<> finish(std::string_view what) const;

  template <std::integral T>
  T integer() noexcept {
    if (left() < sizeof(T)) [[unlikely]] {
      fail("cut off");
      return 0;
    }
    const T v = base::load_be<T>(at_);
    at_ += sizeof(T);
    return v;
  }
  bool boolean() noexcept { return integer<std::int8_t>() != 0; }
  double float64() noexcept { return std::bit_cast<double>(integer<std::uint64_t>()); }
  uuid id() noexcept {
    const auto high = integer<std::uint64_t>();
    const auto low = integer<std::uint64_t>();
    return ok() ? uuid{high, low} : uuid{};
  }
  std::uint32_t uvarint() noexcept {
    std::uint64_t v = 0;
    const char* next = base::read_uvarint(at_, end_, v);
    if (next == nullptr || v > 0xffffffffULL) [[unlikely]] {
      fail("bad variable-length integer");
      return 0;
    }
    at_ = next;
    return static_cast<std::uint32_t>(v);
  }
  /// Borrows the next `n` bytes.
  bytes_view take(std::size_t n) noexcept {
    if (n > left()) [[unlikely]] {
      fail("cut off");
      return {};
    }
    const bytes_view taken(at_, n);
    at_ += n;
    return taken;
  }

  /// A string: 16-bit length, or a variable-length one in a flexible version. nullopt is null.
  std::optional<std::string_view> nullable_string(bool flexible) noexcept {
    const std::int64_t n = flexible ? compact_length() : integer<std::int16_t>();
    if (n > 0x7fff) fail("string longer than 32767 bytes");
    return body(n);
  }
  /// Bytes: 32-bit length, or a variable-length one in a flexible version. nullopt is null.
  std::optional<bytes_view> nullable_bytes(bool flexible) noexcept {
    return body(flexible ? compact_length() : integer<std::int32_t>());
  }
  /// The number of elements of an array; nullopt is null. Never more than `left()`.
  std::optional<std::uint32_t> nullable_count(bool flexible) noexcept {
    const std::int64_t n = flexible ? compact_length() : integer<std::int32_t>();
    if (n == -1) return std::nullopt;
    if (n < 0 || static_cast<std::uint64_t>(n) > left()) fail("array count out of range");
    return ok() ? static_cast<std::uint32_t>(n) : 0;
  }

  /// One tagged field's bytes as a reader of their own (the tag is read before).
  reader tagged() noexcept { return reader(take(uvarint())); }
  /// To be called when a tagged field was decoded from `field`: it must have been good and whole.
  void close(const reader& field) noexcept {
    if (!field.ok())
      fail(field.why_);
    else if (field.left() != 0)
      fail("tagged field longer than its value");
  }
  /// Passes over a section of tagged fields of which none is known.
  void skip_tags() noexcept {
    for (std::uint32_t n = uvarint(); n > 0 && ok(); --n) {
      uvarint();
      take(uvarint());
    }
  }

 private:
  std::int64_t compact_length() noexcept { return std::int64_t{uvarint()} - 1; }
  std::optional<bytes_view> body(std::int64_t n) noexcept {
    if (!ok()) return bytes_view();
    if (n == -1) return std::nullopt;
    if (n < 0) {
      fail("negative length");
      return bytes_view();
    }
    return take(static_cast<std::size_t>(n));
  }

  const char* begin_;
  const char* at_;
  const char* end_;
  const char* why_ = nullptr;
  std::size_t failed_at_ = 0;
};

}  // namespace penstock::wire
