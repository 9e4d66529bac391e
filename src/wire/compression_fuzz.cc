// SPDX-License-Identifier: Apache-2.0
// The first byte chooses the codec, the rest is decompressed; what comes out must survive a round trip.
#include <cstdlib>
#include <vector>

#include "wire/compression.h"
#include "wire/compression_codecs.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  constexpr std::size_t limit = std::size_t{1} << 20;
  if (size == 0) return 0;
  const std::vector<char> exact(data + 1, data + size);
  const bytes_view in(exact.data(), exact.size());
  const auto codec = static_cast<compression>(data[0] % 6);
  wire::scratch_buffer out;
  if (data[0] % 6 == 5) {
    (void)wire::codecs::lz4_decompress_v0(in, limit, out);
    return 0;
  }
  if (!wire::decompress(codec, in, limit, out)) return 0;
  if (out.size() > limit) std::abort();
  wire::scratch_buffer packed, again;
  if (!wire::compress(codec, default_compression_level, out.view(), packed)) std::abort();
  if (!wire::decompress(codec, packed.view(), out.size(), again) || again.view() != out.view()) std::abort();
  return 0;
}
