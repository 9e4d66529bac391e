// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "log/batch_scanner.h"
#include "log/segment_view.h"
#include "wire/error_code.h"

namespace penstock::log {

namespace {

constexpr std::size_t scan_chunk = 8u << 10;  // a bit more than an index interval
constexpr std::size_t max_open_closed = 16;   // closed segments whose files stay open

}  // namespace

std::size_t partition_log::floor_segment(std::int64_t offset) const {
  const auto above =
      std::upper_bound(segments_.begin(), segments_.end(), offset,
                       [](std::int64_t offset, const segment_ptr& s) { return offset < s->base_offset; });
  return above == segments_.begin() ? 0 : static_cast<std::size_t>(above - segments_.begin()) - 1;
}

std::optional<std::uint64_t> partition_log::cached(std::uint64_t segment_id, std::int64_t offset) const {
  for (const auto& c : cache_) {
    if (c.offset == offset && c.segment_id == segment_id) return c.position;
  }
  return std::nullopt;
}

void partition_log::cache(std::uint64_t segment_id, std::int64_t offset, std::uint64_t position) const {
  if (cached(segment_id, offset)) return;
  cache_[next_cached_++ % cache_.size()] = {offset, segment_id, position};
}

partition_log::segment_view partition_log::view_of(const segment_ptr& s) const {
  return {.in = s,
          .closed = s->closed,
          .size = s->size,
          .next_offset = s->next_offset,
          .file = s->closed ? nullptr : s->log,
          .files = nullptr};
}

result<> partition_log::open_view(segment_view& view) const {
  if (!view.closed) return {};
  auto files = view.in->files(config().index_interval_bytes);
  if (!files) return fail(files.error());
  view.files = *files;
  view.file = (*files)->log;
  segment_ptr let_go;
  {
    std::lock_guard lock(mutex_);
    const auto known = std::find(open_closed_.begin(), open_closed_.end(), view.in);
    if (known != open_closed_.end()) {
      std::rotate(known, known + 1, open_closed_.end());
      return {};
    }
    if (open_closed_.size() >= max_open_closed) {
      let_go = std::move(open_closed_.front());
      open_closed_.erase(open_closed_.begin());
    }
    open_closed_.push_back(view.in);
  }
  if (let_go != nullptr) let_go->release_files();
  return {};
}

/// Goes to the batch that contains `offset`, or the first behind it. False: there is none.
result<bool> partition_log::locate(const segment_view& view, std::int64_t offset, std::uint64_t& position,
                                   std::int64_t& base_offset) const {
  const std::int64_t relative = offset - view.in->base_offset;
  auto floor = floor_position(view, [&](const index_entry& e) { return e.relative_offset <= relative; });
  if (!floor) return fail(floor.error());
  const std::uint64_t from = *floor ? (*floor)->position : 0;
  batch_scanner scan(*view.file, from, std::max(view.size, from), scan_chunk);
  while (true) {
    const auto step = scan.next();
    if (step == batch_scanner::step::end) return false;
    if (step == batch_scanner::step::failed) return fail(scan.failure());
    const bool lost = *floor && scan.position() == from && step == batch_scanner::step::batch &&
                      scan.header().last_offset() != view.in->base_offset + (*floor)->relative_offset;
    if (step == batch_scanner::step::damaged || lost)
      return fail(errc::corrupt,
                  fmt::format("{} is damaged at position {}: {}", view.file->path(), scan.position(),
                              lost ? "the index does not fit it" : scan.damage()));
    if (scan.header().last_offset() >= offset) {
      position = scan.position();
      base_offset = scan.header().base_offset;
      return true;
    }
  }
}

/// Where to end a read from `position`: behind the last batch that lies below `limit` and within `max_bytes`.
result<std::uint64_t> partition_log::read_end(const segment_view& view, std::uint64_t position,
                                              std::int64_t limit, const read_request& request) const {
  const bool bounded = limit < view.next_offset;
  if (!bounded && view.size - position <= request.max_bytes) return view.size;
  const std::uint64_t furthest = std::min(view.size, position + std::min(request.max_bytes, view.size));
  const std::int64_t relative_limit = limit - view.in->base_offset;
  // An entry's batch begins at its position, so that the batches before it end there.
  auto floor = floor_position(view, [&](const index_entry& e) {
    return e.position <= furthest && e.relative_offset < relative_limit;
  });
  if (!floor) return fail(floor.error());
  std::uint64_t end = *floor && (*floor)->position > position ? (*floor)->position : position;
  if (!bounded && end > position) return end;  // close enough to max_bytes
  batch_scanner scan(*view.file, end, view.size, scan_chunk);
  while (true) {
    const auto step = scan.next();
    if (step == batch_scanner::step::end) return end;
    if (step == batch_scanner::step::failed) return fail(scan.failure());
    if (step == batch_scanner::step::damaged)
      return fail(errc::corrupt,
                  fmt::format("{} is damaged at position {}: {}", view.file->path(), end, scan.damage()));
    if (scan.header().base_offset >= limit) return end;
    const bool first = end == position && request.at_least_one;
    if (!first && scan.next_position() > furthest) return end;
    end = scan.next_position();
  }
}

result<read_slice> partition_log::try_read(const read_request& request) const {
  segment_view view;
  std::optional<std::uint64_t> known;
  std::int64_t limit = 0;
  {
    std::lock_guard lock(mutex_);
    if (request.offset < log_start_offset() || request.offset > end_offset())
      return fail(wire::make_error(wire::error_code::offset_out_of_range,
                                   fmt::format("{}: offset {} is not within {} and {}", options_.directory,
                                               request.offset, log_start_offset(), end_offset())));
    limit = std::min(request.upper_bound, end_offset());
    if (request.offset >= limit)
      return read_slice{.file = nullptr, .base_offset = request.offset, .next_offset = request.offset};
    view = view_of(segments_[floor_segment(request.offset)]);
    known = cached(view.in->id, request.offset);
  }
  if (auto r = open_view(view); !r) return fail(r.error());
  read_slice slice{.file = view.file, .base_offset = request.offset, .next_offset = request.offset};
  if (known) {
    slice.position = *known;
  } else {
    auto found = locate(view, request.offset, slice.position, slice.base_offset);
    if (!found) return fail(found.error());
    if (!*found || slice.base_offset >= limit) {
      // Only a compacted segment ends without a batch behind the offset.
      slice.base_offset = slice.next_offset = *found ? request.offset : view.next_offset;
      return slice;
    }
  }
  auto end = read_end(view, slice.position, limit, request);
  if (!end) return fail(end.error());
  slice.length = *end - slice.position;
  if (slice.length == 0) return slice;
  slice.next_offset = view.next_offset;
  if (*end < view.size) {
    char base[8];
    auto got = view.file->read_at(*end, base);
    if (!got) return fail(got.error());
    slice.next_offset = base::load_be<std::int64_t>(base);
  }
  std::lock_guard lock(mutex_);
  if (*end < view.size || !view.closed) cache(view.in->id, slice.next_offset, *end);
  return slice;
}

result<> partition_log::rebuild_index_at(std::int64_t offset) const {
  segment_ptr suspect;
  {
    std::lock_guard lock(mutex_);
    suspect = segments_[floor_segment(offset)];
    if (!suspect->closed) return fail(errc::unsupported, "an active segment has its index in memory");
  }
  return suspect->rebuild_indexes(config().index_interval_bytes);
}

result<read_slice> partition_log::read(const read_request& request) const {
  read_request at = request;
  while (true) {
    auto slice = look([&] { return try_read(at); });
    // A wrong index looks like a wrong log: it is built again, once.
    if (!slice && slice.error().kind() == errc::corrupt && rebuild_index_at(at.offset))
      slice = look([&] { return try_read(at); });
    if (!slice || slice->length != 0 || slice->next_offset <= at.offset) return slice;
    at.offset = slice->next_offset;  // nothing is left behind the offset in its segment
  }
}

}  // namespace penstock::log
