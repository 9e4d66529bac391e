// SPDX-License-Identifier: Apache-2.0
#include "log/batch_scanner.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/crc32c.h"
#include "wire/record_cursor.h"

namespace penstock::log {

result<bytes_view> batch_scanner::load(std::uint64_t position, std::size_t size) {
  if (position >= buffer_position_ && position + size <= buffer_position_ + buffer_.size())
    return buffer_.view().substr(position - buffer_position_, size);
  const std::size_t wanted = std::min<std::uint64_t>(std::max(size, chunk_bytes_), end_ - position);
  buffer_.resize(wanted);
  buffer_position_ = position;
  auto got = file_->read_at(position, {buffer_.data(), wanted});
  if (!got || *got < size) {
    buffer_.clear();
    if (!got) return fail(got.error());
    return fail(errc::corrupt, fmt::format("{} is shorter than it was", file_->path()));
  }
  buffer_.resize(*got);
  return buffer_.view().substr(0, size);
}

batch_scanner::step batch_scanner::next() {
  position_ = next_;
  if (position_ == end_) return step::end;
  const std::uint64_t left = end_ - position_;
  if (left < wire::batch_overhead)
    return damaged(fmt::format("a batch header is cut off after {} bytes", left));
  auto bytes = load(position_, wire::batch_overhead);
  if (!bytes) {
    failure_ = bytes.error();
    return step::failed;
  }
  auto header = wire::parse_batch_header(*bytes);
  if (!header) return damaged(header.error().message());
  if (header->total_size() > left)
    return damaged(fmt::format("a batch of {} bytes is cut off after {}", header->total_size(), left));
  header_ = *header;
  next_ = position_ + header_.total_size();
  return step::batch;
}

result<bytes_view> batch_scanner::bytes() { return load(position_, header_.total_size()); }

namespace {

/// Looks for a batch that begins at one of the first `candidates` bytes of `window`.
std::optional<std::size_t> candidate(bytes_view window, std::size_t from, std::size_t candidates,
                                     std::uint64_t left, std::int64_t expected_offset) {
  for (std::size_t i = from; i < candidates; ++i) {
    if (window[i + wire::magic_position] != 2) continue;
    const auto header = wire::parse_batch_header(window.substr(i));
    if (header && header->base_offset >= expected_offset && header->total_size() <= left - i) return i;
  }
  return std::nullopt;
}

}  // namespace

result<std::optional<std::uint64_t>> find_batch(const io::file& file, std::uint64_t from, std::uint64_t end,
                                                std::int64_t expected_offset) {
  constexpr std::size_t window_bytes = 256u << 10;
  wire::scratch_buffer window, whole;
  while (from < end && end - from >= wire::batch_overhead) {
    window.resize(std::min<std::uint64_t>(window_bytes, end - from));
    auto got = file.read_at(from, {window.data(), window.size()});
    if (!got) return fail(got.error());
    if (*got < wire::batch_overhead) return std::nullopt;
    const bytes_view view(window.data(), *got);
    const std::size_t candidates = view.size() - wire::batch_overhead + 1;
    std::size_t i = 0;
    while (auto found = candidate(view, i, candidates, end - from, expected_offset)) {
      const auto size = wire::parse_batch_header(view.substr(*found))->total_size();
      whole.resize(size);
      auto read = file.read_at(from + *found, {whole.data(), size});
      if (!read) return fail(read.error());
      if (*read == size && wire::crc_matches(whole.view())) return from + *found;
      i = *found + 1;
    }
    from += candidates;
  }
  return std::nullopt;
}

std::string make_empty_batch(wire::batch_header header) {
  header.length = static_cast<std::int32_t>(wire::batch_overhead - wire::log_overhead);
  header.record_count = 0;
  header.attributes &= ~wire::batch_header::codec_mask;
  std::string batch(wire::batch_overhead, '\0');
  wire::write_batch_header(header, batch);
  base::store_be(batch.data() + 17, base::crc32c(std::string_view(batch).substr(21)));
  return batch;
}

std::optional<wire::transaction_marker> marker_of(const wire::batch_header& header, bytes_view batch) {
  if (!header.control()) return std::nullopt;
  wire::scratch_buffer scratch;
  auto records = wire::open_records(header, batch, scratch, 4096);
  record_view record;
  if (!records || !records->next(record)) return std::nullopt;
  auto marker = wire::parse_marker(record);
  if (!marker) return std::nullopt;
  return *marker;
}

}  // namespace penstock::log
