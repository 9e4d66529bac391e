// SPDX-License-Identifier: Apache-2.0
#include <zlib.h>

#include <algorithm>
#include <limits>
#include <new>

#include "wire/compression_codecs.h"

namespace penstock::wire::codecs {
namespace {

constexpr int gzip_window = 15 + 16;  // zlib's way of asking for the gzip header
constexpr std::size_t max_piece = std::numeric_limits<uInt>::max();

Bytef* bytes_of(bytes_view in) {
  return reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));  // zlib does not write to it
}

// Setting up a stream costs 256 KiB of allocation; every thread keeps one of each kind.
class deflater {
 public:
  ~deflater() {
    if (ready_) deflateEnd(&stream_);
  }
  z_stream& get(int level) {
    if (ready_ && level_ == level) {
      deflateReset(&stream_);
      return stream_;
    }
    if (ready_) deflateEnd(&stream_);
    stream_ = {};
    ready_ = deflateInit2(&stream_, level, Z_DEFLATED, gzip_window, 8, Z_DEFAULT_STRATEGY) == Z_OK;
    if (!ready_) throw std::bad_alloc();
    level_ = level;
    return stream_;
  }

 private:
  z_stream stream_{};
  int level_ = 0;
  bool ready_ = false;
};

class inflater {
 public:
  ~inflater() {
    if (ready_) inflateEnd(&stream_);
  }
  z_stream& get() {
    if (!ready_) {
      ready_ = inflateInit2(&stream_, gzip_window) == Z_OK;
      if (!ready_) throw std::bad_alloc();
    } else {
      inflateReset(&stream_);
    }
    return stream_;
  }

 private:
  z_stream stream_{};
  bool ready_ = false;
};

}  // namespace

result<> gzip_compress(int level, bytes_view in, scratch_buffer& out) {
  thread_local deflater contexts;
  if (in.size() > max_piece) return fail(errc::invalid_argument, "more than 4 GiB to compress with gzip");
  z_stream& z = contexts.get(level);
  const std::size_t bound = deflateBound(&z, in.size());
  z.next_in = bytes_of(in);
  z.avail_in = static_cast<uInt>(in.size());
  z.next_out = reinterpret_cast<Bytef*>(out.prepare(bound));
  z.avail_out = static_cast<uInt>(std::min(bound, max_piece));
  const uInt room = z.avail_out;
  if (deflate(&z, Z_FINISH) != Z_STREAM_END) return fail(errc::internal, "gzip did not finish");
  out.commit(room - z.avail_out);
  return {};
}

result<> gzip_decompress(bytes_view in, std::size_t max_out, scratch_buffer& out) {
  thread_local inflater contexts;
  if (in.size() > max_piece) return fail(errc::invalid_argument, "more than 4 GiB of gzip data");
  z_stream& z = contexts.get();
  z.next_in = bytes_of(in);
  z.avail_in = static_cast<uInt>(in.size());
  for (;;) {
    const std::size_t room = std::min(next_room(out, in.size(), max_out), max_piece);
    z.next_out = reinterpret_cast<Bytef*>(out.prepare(room));
    z.avail_out = static_cast<uInt>(room);
    const int status = inflate(&z, Z_NO_FLUSH);
    out.commit(room - z.avail_out);
    if (out.size() > max_out) return too_large("gzip", max_out);
    if (status == Z_STREAM_END) {
      if (z.avail_in == 0) return {};
      inflateReset(&z);  // another member
    } else if (status == Z_BUF_ERROR || (status == Z_OK && z.avail_in == 0 && z.avail_out != 0)) {
      return cut_off("gzip");
    } else if (status != Z_OK) {
      return damaged("gzip");
    }
  }
}

}  // namespace penstock::wire::codecs
