// SPDX-License-Identifier: Apache-2.0
#include "wire/message_set.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <limits>

#include "wire/compression.h"
#include "wire/compression_codecs.h"
#include "wire/record_writer.h"

namespace penstock::wire {
namespace {

constexpr std::size_t at_crc = 12;
constexpr std::size_t at_attributes = 17;
constexpr std::size_t at_body = 18;
constexpr std::size_t timestamp_size = 8;
// Leaves room to add offset deltas without a thought.
constexpr std::int64_t max_offset =
    std::numeric_limits<std::int64_t>::max() - std::numeric_limits<std::int32_t>::max();

struct message {
  std::int64_t offset = 0;
  std::int64_t timestamp = -1;
  int magic = 0;
  compression codec = compression::none;
  bool append_time = false;
  bytes_view key;
  bytes_view value;
  std::size_t size = 0;
};

auto damaged(std::int64_t offset, std::string_view how) {
  return fail(errc::corrupt, fmt::format("message at offset {} {}", offset, how));
}

// Takes {i32 size, bytes} off the front of `rest`.
bool take_bytes(bytes_view& rest, bytes_view& out) {
  if (rest.size() < 4) return false;
  const auto size = base::load_be<std::int32_t>(rest.data());
  rest.remove_prefix(4);
  if (size < 0) {
    out = {};
    return true;
  }
  if (static_cast<std::size_t>(size) > rest.size()) return false;
  out = rest.substr(0, static_cast<std::size_t>(size));
  rest.remove_prefix(out.size());
  return true;
}

bool crc_right(bytes_view whole) {
  const auto computed = crc32_z(0, reinterpret_cast<const Bytef*>(whole.data()) + magic_position,
                                whole.size() - magic_position);
  return base::load_be<std::uint32_t>(whole.data() + at_crc) == static_cast<std::uint32_t>(computed);
}

// Reads the message at the beginning of `in`; its size stays 0 when not all of it is there.
result<message> read_message(bytes_view in, bool check_crc) {
  message m;
  if (in.size() < log_overhead) return m;
  m.offset = base::load_be<std::int64_t>(in.data());
  const std::size_t size = peek_total_size(in);
  if (size == 0) return damaged(m.offset, "has an impossible size");
  if (size > in.size()) return m;
  const bytes_view whole = in.substr(0, size);
  m.magic = peek_magic(whole);
  if (m.magic != 0 && m.magic != 1) return damaged(m.offset, "is of an unknown format");
  if (m.offset < 0 || m.offset > max_offset) return damaged(m.offset, "has no valid offset");
  if (check_crc && !crc_right(whole)) return damaged(m.offset, "has a wrong checksum");
  const int attributes = static_cast<unsigned char>(whole[at_attributes]);
  m.codec = static_cast<compression>(attributes & batch_header::codec_mask);
  bytes_view rest = whole.substr(at_body);
  if (m.magic == 1) {
    if (rest.size() < timestamp_size) return damaged(m.offset, "is too short");
    m.timestamp = base::load_be<std::int64_t>(rest.data());
    m.append_time = (attributes & batch_header::log_append_time_bit) != 0;
    rest.remove_prefix(timestamp_size);
  }
  if (!take_bytes(rest, m.key) || !take_bytes(rest, m.value) || !rest.empty())
    return damaged(m.offset, "has a key and a value that do not fit its size");
  m.size = size;
  return m;
}

// Puts messages together into a batch v2; offsets must grow.
class translation {
 public:
  translation(scratch_buffer& out, const message& first, std::int64_t base_offset) : out_(out) {
    out_.clear();
    header_.magic = static_cast<std::int8_t>(first.magic);
    header_.base_offset = base_offset;
    header_.base_timestamp = first.timestamp;
    header_.max_timestamp = first.timestamp;
    if (first.append_time) header_.attributes = batch_header::log_append_time_bit;
  }

  bool takes(std::int64_t offset) const noexcept {
    const std::int64_t from =
        header_.base_offset + (header_.record_count == 0 ? 0 : header_.last_offset_delta + 1);
    return offset >= from && offset - header_.base_offset < std::numeric_limits<std::int32_t>::max();
  }
  void add(std::int64_t offset, std::int64_t timestamp, const message& m) {
    const auto timestamp_delta = static_cast<std::int64_t>(
        static_cast<std::uint64_t>(timestamp) - static_cast<std::uint64_t>(header_.base_timestamp));
    const std::int64_t offset_delta = offset - header_.base_offset;
    detail::write_record(out_, offset_delta, timestamp_delta, m.key, m.value, detail::listed_headers{}, 0);
    header_.max_timestamp = std::max(header_.max_timestamp, timestamp);
    header_.last_offset_delta = static_cast<std::int32_t>(offset_delta);
    ++header_.record_count;
  }
  // `last_offset`: a wrapper may reach further than the messages that are left in it.
  translated_messages finish(std::size_t consumed, std::int64_t last_offset) {
    const std::int64_t delta = last_offset - header_.base_offset;
    if (delta < std::numeric_limits<std::int32_t>::max())
      header_.last_offset_delta = std::max(header_.last_offset_delta, static_cast<std::int32_t>(delta));
    header_.length = static_cast<std::int32_t>(batch_overhead - log_overhead + out_.size());
    return {header_, out_.view(), consumed};
  }

 private:
  scratch_buffer& out_;
  batch_header header_;
};

result<> decompress_wrapper(const message& wrapper, std::size_t max_out, scratch_buffer& inner) {
  if (wrapper.codec > compression::lz4)
    return fail(errc::unsupported, fmt::format("message at offset {} has a compression codec that its format "
                                               "does not know",
                                               wrapper.offset));
  auto done = wrapper.magic == 0 && wrapper.codec == compression::lz4
                  ? codecs::lz4_decompress_v0(wrapper.value, max_out, inner)
                  : decompress(wrapper.codec, wrapper.value, max_out, inner);
  if (!done) return fail(done.error().with_context(fmt::format("message at offset {}", wrapper.offset)));
  return {};
}

// Calls `each` with every message within a wrapper.
template <typename Each>
result<> for_each_inner(const message& wrapper, bytes_view inner, Each each) {
  while (!inner.empty()) {
    auto m = read_message(inner, false);  // the wrapper's checksum covers them
    if (!m) return fail(m.error());
    if (m->size == 0) return damaged(wrapper.offset, "holds a message that is cut off");
    if (m->magic != wrapper.magic || m->codec != compression::none)
      return damaged(wrapper.offset, "holds messages of another format");
    if (auto done = each(*m); !done) return done;
    inner.remove_prefix(m->size);
  }
  return {};
}

result<translated_messages> translate_wrapper(const message& wrapper, const message_options& options,
                                              scratch_buffer& out) {
  scratch_buffer inner;
  if (auto done = decompress_wrapper(wrapper, options.max_decompressed, inner); !done)
    return fail(done.error());
  // Where the inner messages count from: in v1 the wrapper has the offset of the last, known at the end only.
  std::int64_t first = -1, last = -1;
  message first_message;
  auto done = for_each_inner(wrapper, inner.view(), [&](const message& m) -> result<> {
    if (first < 0) {
      first = m.offset;
      first_message = m;
    }
    last = m.offset;
    return {};
  });
  if (!done) return fail(done.error());
  if (first < 0) return damaged(wrapper.offset, "holds no messages");
  const std::int64_t shift = wrapper.magic == 1 ? wrapper.offset - last : 0;
  if (first > last || first + shift < 0 || last + shift > wrapper.offset)
    return damaged(wrapper.offset, "holds messages of other offsets");

  if (wrapper.append_time) {
    first_message.append_time = true;
    first_message.timestamp = wrapper.timestamp;
  }
  translation batch(out, first_message, first + shift);
  done = for_each_inner(wrapper, inner.view(), [&](const message& m) -> result<> {
    if (m.offset > last || !batch.takes(m.offset + shift))
      return damaged(wrapper.offset, "holds offsets out of order");
    batch.add(m.offset + shift, wrapper.append_time ? wrapper.timestamp : m.timestamp, m);
    return {};
  });
  if (!done) return fail(done.error());
  return batch.finish(wrapper.size, wrapper.offset);
}

}  // namespace

result<translated_messages> translate_messages(bytes_view section, const message_options& options,
                                               scratch_buffer& scratch) {
  auto first = read_message(section, options.check_crc);
  if (!first) return fail(first.error());
  if (first->size == 0) return translated_messages{};
  if (first->codec != compression::none) return translate_wrapper(*first, options, scratch);

  translation batch(scratch, *first, first->offset);
  std::size_t consumed = 0;
  for (message m = *first;;) {
    batch.add(m.offset, m.timestamp, m);
    consumed += m.size;
    const bytes_view rest = section.substr(consumed);
    if (peek_magic(rest) != first->magic) break;
    auto next = read_message(rest, options.check_crc);
    // Damage further on is reported when it comes to be the first.
    if (!next || next->size == 0 || next->codec != compression::none || !batch.takes(next->offset)) break;
    // A batch of log append time has one timestamp.
    if (next->append_time != first->append_time) break;
    if (first->append_time && next->timestamp != first->timestamp) break;
    m = *next;
  }
  return batch.finish(consumed, first->offset);
}

}  // namespace penstock::wire
