// SPDX-License-Identifier: Apache-2.0
#include <zstd.h>

#include <memory>
#include <new>

#include "wire/compression_codecs.h"

namespace penstock::wire::codecs {
namespace {

struct free_compressor {
  void operator()(ZSTD_CCtx* c) const { ZSTD_freeCCtx(c); }
};
struct free_decompressor {
  void operator()(ZSTD_DCtx* c) const { ZSTD_freeDCtx(c); }
};

ZSTD_CCtx* compressor() {
  thread_local const std::unique_ptr<ZSTD_CCtx, free_compressor> context(ZSTD_createCCtx());
  if (context == nullptr) throw std::bad_alloc();
  return context.get();
}

ZSTD_DCtx* decompressor() {
  thread_local const std::unique_ptr<ZSTD_DCtx, free_decompressor> context(ZSTD_createDCtx());
  if (context == nullptr) throw std::bad_alloc();
  ZSTD_DCtx_reset(context.get(), ZSTD_reset_session_only);
  return context.get();
}

// The first frame's size as its header has it, for one allocation that fits; 0 when it does not say.
std::size_t declared_size(bytes_view in) {
  const auto size = ZSTD_getFrameContentSize(in.data(), in.size());
  return size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR ? 0 : size;
}

}  // namespace

result<> zstd_compress(int level, bytes_view in, scratch_buffer& out) {
  const std::size_t bound = ZSTD_compressBound(in.size());
  const std::size_t n =
      ZSTD_compressCCtx(compressor(), out.prepare(bound), bound, in.data(), in.size(), level);
  if (ZSTD_isError(n) != 0)
    return fail(errc::internal, std::string("zstd did not compress: ") + ZSTD_getErrorName(n));
  out.commit(n);
  return {};
}

result<> zstd_decompress(bytes_view in, std::size_t max_out, scratch_buffer& out) {
  const std::size_t declared = declared_size(in);
  if (declared > max_out) return too_large("zstd", max_out);
  ZSTD_DCtx* context = decompressor();
  ZSTD_inBuffer source{in.data(), in.size(), 0};
  std::size_t room = declared != 0 ? declared : next_room(out, in.size(), max_out);
  for (;;) {
    ZSTD_outBuffer target{out.prepare(room), room, 0};
    const std::size_t expected = ZSTD_decompressStream(context, &target, &source);
    if (ZSTD_isError(expected) != 0) return damaged("zstd");
    out.commit(target.pos);
    if (out.size() > max_out) return too_large("zstd", max_out);
    // Output that fills its room exactly may have more behind it.
    if (source.pos == source.size && target.pos < target.size && expected != 0) return cut_off("zstd");
    if (source.pos == source.size && expected == 0) return {};
    room = next_room(out, in.size(), max_out);
  }
}

}  // namespace penstock::wire::codecs
