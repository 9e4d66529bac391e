// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>

#include <cstdint>
#include <optional>
#include <string>

#include "io/file.h"
#include "wire/record_batch.h"
#include "wire/scratch_buffer.h"

namespace penstock::log {

/// Walks the batches of a segment file from one position on. Reads ahead in chunks, and only headers where
/// batches are larger than a chunk, so that hopping over a file is cheap. Bytes of any content are safe.
///
///     batch_scanner scan(file, 0, size);
///     while (scan.next() == batch_scanner::step::batch) use(scan.header(), scan.position());
class batch_scanner {
 public:
  enum class step : std::uint8_t {
    batch,    ///< header() and position() are set
    end,      ///< the position is `end` exactly
    damaged,  ///< no whole batch begins at position(); damage() says why
    failed,   ///< reading failed; failure() says why
  };

  /// From `position` (where a batch begins) up to `end`. `file` must outlive the scanner.
  batch_scanner(const io::file& file, std::uint64_t position, std::uint64_t end,
                std::size_t chunk_bytes = 64u << 10)
      : file_(&file), next_(position), end_(end), chunk_bytes_(chunk_bytes) {}

  /// Checks the header only, and that the batch ends within the file.
  step next();
  /// The batch that next() found, whole. Valid until the next call of the scanner.
  result<bytes_view> bytes();
  /// Its checksum. Errors: corrupt.
  result<> check() {
    auto batch = bytes();
    return batch ? wire::check_crc(*batch) : result<>(fail(batch.error()));
  }

  const wire::batch_header& header() const noexcept { return header_; }
  std::uint64_t position() const noexcept { return position_; }
  std::uint64_t next_position() const noexcept { return next_; }
  const std::string& damage() const noexcept { return damage_; }
  const error& failure() const noexcept { return *failure_; }

 private:
  /// `size` bytes at `position`, which lie below end_.
  result<bytes_view> load(std::uint64_t position, std::size_t size);
  step damaged(std::string what) {
    damage_ = std::move(what);
    return step::damaged;
  }

  const io::file* file_;
  std::uint64_t position_ = 0;
  std::uint64_t next_;
  std::uint64_t end_;
  std::size_t chunk_bytes_;
  wire::batch_header header_;
  wire::scratch_buffer buffer_;
  std::uint64_t buffer_position_ = 0;
  std::string damage_;
  std::optional<error> failure_;
};

/// The position of the first whole batch with a right checksum at or behind `from` whose base offset is at
/// least `expected_offset`; nothing when there is none before `end`.
result<std::optional<std::uint64_t>> find_batch(const io::file& file, std::uint64_t from, std::uint64_t end,
                                                std::int64_t expected_offset);

/// A whole batch without records that keeps the offsets and the producer of `header`; the checksum is
/// computed.
std::string make_empty_batch(wire::batch_header header);

/// The marker that a control batch holds; nothing for data and for control records of another kind.
std::optional<wire::transaction_marker> marker_of(const wire::batch_header& header, bytes_view batch);

}  // namespace penstock::log
