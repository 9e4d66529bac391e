// SPDX-License-Identifier: Apache-2.0
#include <lz4frame.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <new>

#include "wire/compression_codecs.h"

namespace penstock::wire::codecs {
namespace {

struct free_compressor {
  void operator()(LZ4F_cctx* c) const { LZ4F_freeCompressionContext(c); }
};
struct free_decompressor {
  void operator()(LZ4F_dctx* c) const { LZ4F_freeDecompressionContext(c); }
};

LZ4F_cctx* compressor() {
  thread_local std::unique_ptr<LZ4F_cctx, free_compressor> context;
  if (context == nullptr) {
    LZ4F_cctx* made = nullptr;
    if (LZ4F_isError(LZ4F_createCompressionContext(&made, LZ4F_VERSION)) != 0) throw std::bad_alloc();
    context.reset(made);
  }
  return context.get();
}

// A context is kept for the next frame only if this one ended well: LZ4F_resetDecompressionContext of lz4
// 1.9 leaves the count of bytes to come as it is, and the next frame would be found too short.
class decompressor {
 public:
  decompressor() {
    if (kept() == nullptr) {
      LZ4F_dctx* made = nullptr;
      if (LZ4F_isError(LZ4F_createDecompressionContext(&made, LZ4F_VERSION)) != 0) throw std::bad_alloc();
      kept().reset(made);
    }
  }
  ~decompressor() {
    if (!ended_) kept().reset();
  }
  decompressor(const decompressor&) = delete;
  decompressor& operator=(const decompressor&) = delete;

  /// Decodes the next part of a frame, or of several. `in_total` is what is likely to come in all.
  result<> decode(bytes_view in, std::size_t in_total, std::size_t max_out, scratch_buffer& out);
  result<> finish() const {
    if (!ended_) return cut_off("lz4");
    return {};
  }

 private:
  static std::unique_ptr<LZ4F_dctx, free_decompressor>& kept() {
    thread_local std::unique_ptr<LZ4F_dctx, free_decompressor> context;
    return context;
  }
  bool ended_ = false;
};

// Java's client reads no dependent blocks and writes neither checksums nor the content's size.
LZ4F_preferences_t preferences(int level) {
  LZ4F_preferences_t p{};
  p.frameInfo.blockSizeID = LZ4F_max64KB;
  p.frameInfo.blockMode = LZ4F_blockIndependent;
  p.compressionLevel = std::min(level, LZ4F_compressionLevel_max());
  p.autoFlush = 1;
  return p;
}

// XXH32 of fewer than 16 bytes with seed 0: what the header checksum of a frame is taken from.
std::uint32_t xxh32_short(bytes_view in) {
  constexpr std::uint32_t p1 = 2654435761U, p2 = 2246822519U, p3 = 3266489917U, p4 = 668265263U,
                          p5 = 374761393U;
  std::uint32_t h = p5 + static_cast<std::uint32_t>(in.size());
  for (; in.size() >= 4; in.remove_prefix(4)) {
    std::uint32_t word;
    std::memcpy(&word, in.data(), 4);
    h = std::rotl(h + word * p3, 17) * p4;
  }
  for (const char c : in) h = std::rotl(h + static_cast<unsigned char>(c) * p5, 11) * p1;
  h = (h ^ (h >> 15)) * p2;
  h = (h ^ (h >> 13)) * p3;
  return h ^ (h >> 16);
}

// Frame header: i32 magic, flags, block size, [u64 content size], [u32 dictionary], checksum.
std::size_t descriptor_size(char flags) {
  return 2 + ((flags & 0x08) != 0 ? 8 : 0) + ((flags & 0x01) != 0 ? 4 : 0);
}

result<> decompressor::decode(bytes_view in, std::size_t in_total, std::size_t max_out, scratch_buffer& out) {
  bool more_output = false;
  while (!in.empty() || more_output) {
    const std::size_t room = next_room(out, in_total, max_out);
    std::size_t taken = in.size();
    std::size_t written = room;
    ended_ = false;
    const std::size_t expected =
        LZ4F_decompress(kept().get(), out.prepare(room), &written, in.data(), &taken, nullptr);
    if (LZ4F_isError(expected) != 0 || (taken == 0 && written == 0 && !in.empty())) return damaged("lz4");
    out.commit(written);
    in.remove_prefix(taken);
    if (out.size() > max_out) return too_large("lz4", max_out);
    ended_ = expected == 0;
    more_output = written == room && !ended_;
  }
  return {};
}

}  // namespace

result<> lz4_compress(int level, bytes_view in, scratch_buffer& out) {
  LZ4F_cctx* context = compressor();
  const auto chosen = preferences(level);
  const std::size_t bound = LZ4F_HEADER_SIZE_MAX + LZ4F_compressBound(in.size(), &chosen);
  char* const start = out.prepare(bound);
  std::size_t used = LZ4F_compressBegin(context, start, bound, &chosen);
  if (LZ4F_isError(used) != 0) return fail(errc::internal, "lz4 did not begin");
  std::size_t n = LZ4F_compressUpdate(context, start + used, bound - used, in.data(), in.size(), nullptr);
  if (LZ4F_isError(n) != 0) return fail(errc::internal, "lz4 did not compress");
  used += n;
  n = LZ4F_compressEnd(context, start + used, bound - used, nullptr);
  if (LZ4F_isError(n) != 0) return fail(errc::internal, "lz4 did not finish");
  out.commit(used + n);
  return {};
}

result<> lz4_decompress(bytes_view in, std::size_t max_out, scratch_buffer& out) {
  decompressor d;
  if (auto done = d.decode(in, in.size(), max_out, out); !done) return done;
  return d.finish();
}

result<> lz4_decompress_v0(bytes_view in, std::size_t max_out, scratch_buffer& out) {
  constexpr std::size_t magic_size = 4;
  if (in.size() < magic_size + 3) return cut_off("lz4");
  const std::size_t size = descriptor_size(in[magic_size]);
  if (in.size() < magic_size + size + 1) return cut_off("lz4");
  char header[LZ4F_HEADER_SIZE_MAX];
  std::memcpy(header, in.data(), magic_size + size);
  header[magic_size + size] = static_cast<char>(xxh32_short({header + magic_size, size}) >> 8);
  decompressor d;
  if (auto done = d.decode({header, magic_size + size + 1}, in.size(), max_out, out); !done) return done;
  if (auto done = d.decode(in.substr(magic_size + size + 1), in.size(), max_out, out); !done) return done;
  return d.finish();
}

}  // namespace penstock::wire::codecs
