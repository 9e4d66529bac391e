// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace penstock::wire {

/// The record batches of a produce request or a fetch response, as they lie on the wire: never parsed or
/// copied by the codec.
///
/// Decoded, `bytes` borrows from the decoder's input. For encoding there are two ways: `bytes` are copied
/// into the output; or `external_size` is set, then only the length is written and `writer::splices()` tells
/// where the caller has to send that many bytes of his own.
struct records_field {
  bool null = true;
  bytes_view bytes;
  std::uint32_t external_size = 0;

  static records_field borrow(bytes_view bytes) noexcept { return {false, bytes, 0}; }
  static records_field external(std::uint32_t size) noexcept { return {false, {}, size}; }
  friend bool operator==(const records_field&, const records_field&) = default;
};

}  // namespace penstock::wire
