// SPDX-License-Identifier: Apache-2.0
// What to do with bytes that are no batches. E20: a torn tail is cut off, anything else makes the log refuse
// to open until the loss is accepted.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>

#include "base/crc32c.h"
#include "log/recovery.h"

namespace penstock::log {

namespace {

/// Batches without records that cover [first, end), so that offsets go on without a hole between segments.
std::string empty_batches(std::int64_t first, std::int64_t end, std::int32_t leader_epoch) {
  std::string out;
  while (first < end) {
    const std::int64_t last = std::min(end - 1, first + std::numeric_limits<std::int32_t>::max());
    wire::batch_header header;
    header.base_offset = first;
    header.length = static_cast<std::int32_t>(wire::batch_overhead - wire::log_overhead);
    header.leader_epoch = leader_epoch;
    header.last_offset_delta = static_cast<std::int32_t>(last - first);
    out.append(make_empty_batch(header));
    first = last + 1;
  }
  return out;
}

}  // namespace

// Not bytes within the segment are wrong, but that it does not begin where the one before it ends.
bool partition_log::recovery_run::at_seam(const damage& d) {
  return d.in > 0 && d.position == 0 && d.expected != segments()[d.in]->base_offset;
}

result<bool> partition_log::recovery_run::is_torn_tail(const damage& d) {
  if (recovery_point_known_ && d.expected < recovery_point_) return false;
  if (precise_) return true;
  // Without a recovery point to go by, bytes with whole batches behind them are no tail.
  for (std::size_t i = d.in; i < segments().size(); ++i) {
    segment& s = *segments()[i];
    std::shared_ptr<io::file> file = s.log;
    if (i != d.in || file == nullptr) {
      auto opened = fs_.open(s.path(suffix::log), io::open_mode::read);
      if (!opened) return fail(opened.error());
      file = std::move(*opened);
    }
    auto size = file->size();
    if (!size) return fail(size.error());
    auto found = find_batch(*file, i == d.in && !at_seam(d) ? d.position + 1 : 0, *size, d.expected);
    if (!found) return fail(found.error());
    if (*found) return false;
  }
  return true;
}

result<bool> partition_log::recovery_run::handle(const damage& d) {
  auto torn = is_torn_tail(d);
  if (!torn) return fail(torn.error());
  if (*torn) {
    if (auto r = cut_off(d); !r) return fail(r.error());
    return true;
  }
  const std::string message =
      fmt::format("{} is damaged at position {} (offset {}): {}", segments()[d.in]->path(suffix::log),
                  d.position, d.expected, d.what);
  if (!log_.options_.accept_data_loss)
    return fail(errc::corrupt, message + "; it opens only if the loss is accepted");
  report_.remarks.push_back(message + "; left out");
  if (auto r = leave_out(d); !r) return fail(r.error());
  return false;
}

result<> partition_log::recovery_run::cut_off(const damage& d) {
  const bool seam = at_seam(d);
  const std::size_t keep = seam ? d.in : d.in + 1;
  std::uint64_t dropped = 0;
  if (!seam) {
    segment& s = *segments()[d.in];
    auto size = s.log->size();
    if (!size) return fail(size.error());
    dropped += *size - d.position;
    if (auto r = s.log->truncate(d.position); !r) return r;
    if (auto r = s.log->sync(); !r) return r;
  }
  for (std::size_t i = keep; i < segments().size(); ++i) {
    auto entry = logs_.find(segments()[i]->base_offset);
    dropped += entry == logs_.end() ? 0 : entry->second.size;
    if (auto r = remove_segment_files(segments()[i]->base_offset); !r) return r;
  }
  segments().resize(keep);
  report_.bytes_truncated += dropped;
  report_.remarks.push_back(fmt::format("{}: cut off a torn tail of {} bytes behind offset {}: {}",
                                        log_.options_.directory, dropped, d.expected, d.what));
  return {};
}

result<> partition_log::recovery_run::fill_gap(segment& s, std::int64_t first, std::int64_t end) {
  if (!s.reaches(end - 1))
    return fail(errc::corrupt,
                fmt::format("{}: behind offset {} the log goes on at {}, too far to fill the gap",
                            s.path(suffix::log), first, end));
  const std::string batches = empty_batches(first, end, std::max(log_.epochs_.latest(), 0));
  if (auto r = s.log->write_at(s.size, batches); !r) return r;
  for (std::size_t at = 0; at < batches.size(); at += wire::batch_overhead) {
    const auto batch = std::string_view(batches).substr(at, wire::batch_overhead);
    auto header = wire::parse_batch_header(batch);
    if (!header) return fail(header.error());
    note(s, *header, s.size, batch);
  }
  expected_ = s.next_offset;
  return {};
}

// The position of the first whole batch behind the damage that may belong to this log, and its offset.
result<std::optional<std::uint64_t>> partition_log::recovery_run::find_continuation(const segment& s,
                                                                                    const damage& d,
                                                                                    std::uint64_t size,
                                                                                    std::int64_t& offset) {
  for (std::uint64_t from = d.position + 1;;) {
    auto found = find_batch(*s.log, from, size, d.expected);
    if (!found || !*found) return found;
    char first[8];
    if (auto got = s.log->read_at(**found, first); !got) return fail(got.error());
    offset = base::load_be<std::int64_t>(first);
    if (s.reaches(offset)) return found;
    from = **found + 1;
  }
}

// Writes the segment anew without the damaged bytes; it takes the old one's place in one step.
result<> partition_log::recovery_run::leave_out(const damage& d) {
  segment& s = *segments()[d.in];
  if (at_seam(d)) {
    if (d.expected < s.base_offset) return fill_gap(*segments()[d.in - 1], d.expected, s.base_offset);
    if (auto r = remove_segment_files(s.base_offset); !r) return r;
    segments().erase(segments().begin() + static_cast<std::ptrdiff_t>(d.in));
    return {};
  }
  auto size = s.log->size();
  if (!size) return fail(size.error());
  std::int64_t goes_on_at = 0;
  auto next = find_continuation(s, d, *size, goes_on_at);
  if (!next) return fail(next.error());
  if (!*next) {
    if (auto r = s.log->truncate(d.position); !r) return r;
    const bool last = d.in + 1 == segments().size();
    return last ? result<>()
                : fill_gap(s, d.expected, std::max(d.expected, segments()[d.in + 1]->base_offset));
  }
  const std::string filler = empty_batches(d.expected, goes_on_at, std::max(log_.epochs_.latest(), 0));
  const std::string cleaned = s.path(suffix::log) + std::string(suffix::cleaned);
  auto out = fs_.open(cleaned, io::open_mode::read_write);
  if (!out) return fail(out.error());
  if (auto r = (*out)->truncate(0); !r) return r;
  std::uint64_t written = 0;
  std::string buffer(1u << 20, '\0');
  const auto copy = [&](std::uint64_t from, std::uint64_t to) -> result<> {
    while (from < to) {
      auto got = s.log->read_at(from, {buffer.data(), std::min<std::uint64_t>(buffer.size(), to - from)});
      if (!got) return fail(got.error());
      if (auto r = (*out)->write_at(written, std::string_view(buffer).substr(0, *got)); !r) return r;
      from += *got;
      written += *got;
    }
    return {};
  };
  if (auto r = copy(0, d.position); !r) return r;
  if (!filler.empty()) {
    if (auto r = (*out)->write_at(written, filler); !r) return r;
    written += filler.size();
  }
  if (auto r = copy(**next, *size); !r) return r;
  if (auto r = (*out)->sync(); !r) return r;
  if (auto r = fs_.rename(cleaned, s.path(suffix::log)); !r) return r;
  names_changed_ = true;
  auto reopened = fs_.open(s.path(suffix::log), io::open_mode::read_write);
  if (!reopened) return fail(reopened.error());
  s.log = std::move(*reopened);
  return {};
}

result<> partition_log::recovery_run::check_missing_end() {
  segment& last = *segments().back();
  if (!recovery_point_known_ || last.next_offset >= recovery_point_) return {};
  if (log_.log_start_ >= recovery_point_) return {};  // they had been deleted
  const std::string message =
      fmt::format("{} ends with offset {}, but had been synced up to {}: records are missing",
                  last.path(suffix::log), last.next_offset, recovery_point_);
  if (!log_.options_.accept_data_loss) return fail(errc::data_loss, message);
  report_.remarks.push_back(message + "; their offsets stay empty");
  return fill_gap(last, last.next_offset, recovery_point_);
}

}  // namespace penstock::log
