// SPDX-License-Identifier: Apache-2.0
// What a log knows of its producers and their transactions, from snapshots and from the batches behind them.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "log/recovery.h"

namespace penstock::log {

result<> partition_log::recovery_run::load_aborted(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    if (!transaction_indexes_.contains(segments()[i]->base_offset)) continue;
    const std::string path = segments()[i]->path(suffix::transaction_index);
    auto bytes = io::read_file(fs_, path);
    if (!bytes) return fail(bytes.error());
    auto entries = decode_transaction_index(*bytes);
    if (!entries) return fail(entries.error().with_context(path));
    log_.aborted_.insert(log_.aborted_.end(), entries->begin(), entries->end());
  }
  return {};
}

result<> partition_log::recovery_run::load_producers(std::int64_t before) {
  std::sort(snapshots_.begin(), snapshots_.end(), std::greater<>());
  std::int64_t from = 0;
  for (const std::int64_t offset : snapshots_) {
    if (offset > before) continue;
    const std::string path = log_.path(fmt::format("{:020}{}", offset, suffix::snapshot));
    auto bytes = io::read_file(fs_, path, 1u << 30);
    if (!bytes) return fail(bytes.error());
    auto state = producer_state::decode(*bytes);
    if (!state) {
      report_.remarks.push_back(fmt::format("{} is damaged: an earlier one is used", path));
      if (auto r = fs_.remove(path); !r) return r;
      continue;
    }
    log_.producers_ = std::move(*state);
    from = offset;
    break;
  }
  if (from == before && !failed_) return {};
  if (auto r = replay(from, log_.floor_segment(before)); !r) return r;
  names_changed_ = true;
  return log_.write_snapshot(before);
}

// Brings the producers' state from `from` up to the segment that will be walked, by headers alone.
result<> partition_log::recovery_run::replay(std::int64_t from, std::size_t end_segment) {
  for (std::size_t i = log_.floor_segment(from); i < end_segment; ++i) {
    segment& s = *segments()[i];
    auto file = fs_.open(s.path(suffix::log), io::open_mode::read);
    if (!file) return fail(file.error());
    batch_scanner scan(**file, 0, s.size);
    auto step = scan.next();
    for (; step == batch_scanner::step::batch; step = scan.next()) {
      const auto& header = scan.header();
      if (header.base_offset < from || !header.has_producer()) continue;
      std::optional<wire::transaction_marker> marker;
      if (header.control()) {
        auto batch = scan.bytes();
        if (!batch) return fail(batch.error());
        marker = marker_of(header, *batch);
      }
      (void)log_.producers_.update(header, marker);
    }
    if (step == batch_scanner::step::failed) return fail(scan.failure());
    if (step == batch_scanner::step::damaged)
      return fail(errc::corrupt, fmt::format("{} is damaged at position {}: {}", s.path(suffix::log),
                                             scan.position(), scan.damage()));
  }
  return {};
}

}  // namespace penstock::log
