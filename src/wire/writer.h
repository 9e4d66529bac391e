// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/varint.h"
#include "wire/uuid.h"

namespace penstock::wire {

/// Where bytes that are not in a writer's output belong: before the byte at `position` of it.
struct splice {
  std::size_t position = 0;
  std::uint32_t size = 0;
  friend bool operator==(const splice&, const splice&) = default;
};

/// Appends the protocol's primitive types to a string that the caller owns.
///
/// What cannot be written (a null where the version has none, a string of over 32767 bytes) fails the
/// writer: `ok()` tells, and the generated `encode` functions take back what they wrote.
class writer {
 public:
  explicit writer(std::string& out) noexcept : out_(&out) {}

  /// The length of the output, without spliced bytes.
  std::size_t position() const noexcept { return out_->size(); }
  /// Record bytes that were left out of the output, in ascending position.
  const std::vector<splice>& splices() const noexcept { return splices_; }
  std::uint64_t spliced_bytes() const noexcept { return spliced_bytes_; }

  template <std::integral T>
  void integer(T v) {
    char bytes[sizeof(T)];
    base::store_be(bytes, v);
    out_->append(bytes, sizeof bytes);
  }
  void boolean(bool v) { out_->push_back(v ? 1 : 0); }
  void float64(double v) { integer(std::bit_cast<std::uint64_t>(v)); }
  void id(const uuid& v) {
    integer(v.high);
    integer(v.low);
  }
  void uvarint(std::uint64_t v) {
    char bytes[base::max_varint64_bytes];
    out_->append(bytes, static_cast<std::size_t>(base::write_uvarint(bytes, v) - bytes));
  }
  void raw(bytes_view bytes) { out_->append(bytes); }

  void string(std::string_view v, bool flexible) {
    if (v.size() > 0x7fff) return fail("a string is longer than 32767 bytes");
    if (flexible)
      uvarint(v.size() + 1);
    else
      integer(static_cast<std::int16_t>(v.size()));
    raw(v);
  }
  void null_string(bool flexible) {
    if (flexible)
      uvarint(0);
    else
      integer(std::int16_t{-1});
  }
  /// The length of bytes or records, or an array's count.
  void length(std::size_t n, bool flexible) {
    if (n > 0x7fffffff) return fail("more than 2147483647 bytes or elements");
    if (flexible)
      uvarint(n + 1);
    else
      integer(static_cast<std::int32_t>(n));
  }
  void null_length(bool flexible) {
    if (flexible)
      uvarint(0);
    else
      integer(std::int32_t{-1});
  }
  void bytes(bytes_view v, bool flexible) {
    length(v.size(), flexible);
    raw(v);
  }
  /// Writes the length of `size` bytes that the caller sends himself at this point.
  void external(std::uint32_t size, bool flexible) {
    length(size, flexible);
    splices_.push_back({position(), size});
    spliced_bytes_ += size;
  }
  /// One tagged field; `body` writes its value to the writer that it is given.
  template <typename Body>
  void tagged(std::uint32_t tag, Body body) {
    std::string value;
    writer inner(value);
    body(inner);
    if (!inner.why_.empty()) fail(std::move(inner.why_));
    uvarint(tag);
    uvarint(value.size());
    raw(value);
  }

  bool ok() const noexcept { return why_.empty(); }
  /// The first failure stays.
  void fail(std::string why) {
    if (why_.empty()) why_ = std::move(why);
  }
  /// A value was given to a field that this version of the message does not have.
  void absent(std::string_view field);
  void not_nullable(std::string_view field);

  /// Cuts the output back to `start`, a former position.
  void cut_back(std::size_t start);
  /// The failure since the last call, as "cannot encode <what>: <why>"; then the output is cut back to
  /// `start`.
  result<> finish(std::string_view what, std::size_t start);

 private:
  friend class frame_writer;

  std::string* out_;
  std::vector<splice> splices_;
  std::uint64_t spliced_bytes_ = 0;
  std::string why_;
};

/// Puts the 32-bit length in front of what is written during its life.
class frame_writer {
 public:
  explicit frame_writer(writer& out) : out_(out), start_(out.position()), spliced_(out.spliced_bytes()) {
    out.integer(std::int32_t{0});
  }
  /// Fills in the length, spliced bytes included.
  result<> end() const;
  /// Takes back the frame and gives `why` as the result.
  result<> abandon(error why) const;

 private:
  writer& out_;
  std::size_t start_;
  std::uint64_t spliced_;
};

}  // namespace penstock::wire
