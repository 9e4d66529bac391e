// SPDX-License-Identifier: Apache-2.0
// The framing of Java's SnappyOutputStream: 16 bytes of header, then blocks {i32 size, raw snappy block}.
// The header may come again between blocks (streams put behind one another).
#include <snappy.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "wire/compression_codecs.h"

namespace penstock::wire::codecs {
namespace {

constexpr std::size_t block_size = 32 << 10;  // what Java's client writes
constexpr std::array<char, 8> magic = {'\x82', 'S', 'N', 'A', 'P', 'P', 'Y', '\0'};
constexpr std::size_t frame_header = 16;  // magic, i32 version 1, i32 compatible with version 1

bool begins_with_magic(bytes_view in) {
  return in.size() >= frame_header && std::memcmp(in.data(), magic.data(), magic.size()) == 0;
}

result<> decompress_block(bytes_view in, std::size_t max_out, scratch_buffer& out) {
  std::size_t size = 0;
  if (!snappy::GetUncompressedLength(in.data(), in.size(), &size)) return damaged("snappy");
  // A copy of 64 bytes takes three. A block that claims more than that allows is not worth the memory.
  if (size > in.size() * 22 + 64) return damaged("snappy");
  if (size > max_out - out.size()) return too_large("snappy", max_out);
  if (!snappy::RawUncompress(in.data(), in.size(), out.prepare(size))) return damaged("snappy");
  out.commit(size);
  return {};
}

}  // namespace

result<> snappy_compress(bytes_view in, scratch_buffer& out) {
  out.append({magic.data(), magic.size()});
  for (int i = 0; i < 2; ++i) base::store_be<std::int32_t>(out.prepare(4), 1), out.commit(4);
  while (!in.empty()) {
    const bytes_view block = in.substr(0, block_size);
    in.remove_prefix(block.size());
    char* p = out.prepare(4 + snappy::MaxCompressedLength(block.size()));
    std::size_t size = 0;
    snappy::RawCompress(block.data(), block.size(), p + 4, &size);
    base::store_be<std::int32_t>(p, static_cast<std::int32_t>(size));
    out.commit(4 + size);
  }
  return {};
}

result<> snappy_decompress(bytes_view in, std::size_t max_out, scratch_buffer& out) {
  if (!begins_with_magic(in)) return decompress_block(in, max_out, out);
  while (!in.empty()) {
    if (begins_with_magic(in)) {
      in.remove_prefix(frame_header);
      continue;
    }
    if (in.size() < 4) return cut_off("snappy");
    const auto size = base::load_be<std::int32_t>(in.data());
    in.remove_prefix(4);
    if (size <= 0) return damaged("snappy");
    if (static_cast<std::size_t>(size) > in.size()) return cut_off("snappy");
    const auto block = in.substr(0, static_cast<std::size_t>(size));
    in.remove_prefix(block.size());
    if (auto done = decompress_block(block, max_out, out); !done) return done;
  }
  return {};
}

}  // namespace penstock::wire::codecs
