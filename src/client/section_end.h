// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/bytes.h"
#include "wire/record_batch.h"

namespace penstock::client {

struct section_end {
  std::int64_t offset = 0;
  std::int32_t leader_epoch = -1;  ///< of the last whole batch; -1: none, or of an older format
};

/// Where to fetch next after a record section: behind its last whole batch, never before `from`. Looks at
/// headers only, so that the next request can go out before anything is read.
inline section_end end_of_section(bytes_view section, std::int64_t from) noexcept {
  std::int32_t leader_epoch = -1;
  for (;;) {
    const auto size = wire::peek_total_size(section);
    if (size == 0 || size > section.size()) return {from, leader_epoch};
    const auto base = base::load_be<std::int64_t>(section.data());
    // A message of the formats before batches has the offset of its last record.
    const bool batch = wire::peek_magic(section) == 2 && size >= wire::batch_overhead;
    leader_epoch = batch ? base::load_be<std::int32_t>(section.data() + 12) : -1;
    const std::int64_t last_delta = batch ? base::load_be<std::int32_t>(section.data() + 23) : 0;
    if (last_delta >= 0 && base >= 0 && base < INT64_MAX - last_delta - 1)
      from = std::max(from, base + last_delta + 1);
    section.remove_prefix(size);
  }
}

}  // namespace penstock::client
