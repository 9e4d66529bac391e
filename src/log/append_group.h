// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "log/partition_log.h"
#include "log/segment.h"

namespace penstock::log {

/// Batches that go to one segment with one write, and what it takes to forget them when it fails.
struct append_group {
  struct item {
    append_batch* batch;
    wire::batch_header header;
  };

  log_config config;
  std::int64_t now_ms = 0;
  std::shared_ptr<segment> in;
  std::uint64_t position = 0;  ///< in the file, of the first piece
  std::uint64_t bytes = 0;
  std::int64_t next_offset = 0;
  std::vector<std::string_view> pieces;
  std::vector<item> items;
  std::vector<std::pair<std::int64_t, std::optional<producer_entry>>> producers_before;
  std::vector<aborted_transaction> aborted;

  void begin(std::shared_ptr<segment> active) {
    position = active->size;
    next_offset = active->next_offset;
    in = std::move(active);
    bytes = 0;
    pieces.clear();
    items.clear();
    producers_before.clear();
    aborted.clear();
  }
};

}  // namespace penstock::log
