// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>

#include "log/partition_log.h"
#include "log/segment.h"

namespace penstock::log {

/// One segment as a reader sees it: what was true when it looked, and files that stay.
struct partition_log::segment_view {
  segment_ptr in;
  bool closed = false;
  std::uint64_t size = 0;
  std::int64_t next_offset = 0;
  std::shared_ptr<const io::file> file;        // of the active one; otherwise open_files() sets it
  std::shared_ptr<const segment_files> files;  // of a closed one
};

// A segment that was dropped or replaced while we looked cannot be opened any more. Whoever does that holds
// append_mutex_, and the next look sees the segments as they are then.
template <typename Look>
auto partition_log::look(Look look) const {
  auto seen = look();
  for (int again = 0; again < 3 && !seen && seen.error().kind() == errc::not_found; ++again) {
    { std::lock_guard wait(append_mutex_); }
    seen = look();
  }
  return seen;
}

template <typename Below>
result<std::optional<index_entry>> partition_log::floor_position(const segment_view& view,
                                                                 Below below) const {
  if (!view.closed) {
    std::lock_guard lock(mutex_);
    if (!view.in->closed) return floor_entry(view.in->indexes.offsets(), below);
  }
  // Closed when we looked, or rolled meanwhile: the index is in a file.
  auto files = view.files;
  if (files == nullptr) {
    auto opened = view.in->files(config().index_interval_bytes);
    if (!opened) return fail(opened.error());
    files = *opened;
  }
  return floor_entry<index_entry>(*files->offsets, files->offset_count, below);
}

}  // namespace penstock::log
