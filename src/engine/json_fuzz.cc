// SPDX-License-Identifier: Apache-2.0
// Reads the bytes as JSON into a struct; what was read must survive being written and read again. The same
// bytes are tried as what a commit keeps beside a position.
#include <penstock/json.h>

#include <cmath>
#include <cstdlib>
#include <vector>

#include "engine/restored_time.h"

namespace {

struct leg {
  std::string from;
  std::vector<int> stops;
};
BOOST_DESCRIBE_STRUCT(leg, (), (from, stops))
struct flight {
  std::int64_t id = 0;
  double price = 0;
  bool late = false;
  std::optional<int> delay;
  std::optional<leg> first;
  std::vector<std::string> tags;
};
BOOST_DESCRIBE_STRUCT(flight, (), (id, price, late, delay, first, tags))

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  const std::vector<char> exact(data, data + size);
  const std::string_view bytes(exact.data(), exact.size());
  if (const auto t = engine::decode_time(bytes)) {
    const auto again = engine::decode_time(engine::encode_time(*t));
    if (t->watermark != min_watermark &&
        (!again || again->watermark != t->watermark || again->idle != t->idle))
      std::abort();
  }
  static const json_format<flight> format = json<flight>;
  flight f;
  if (!format.decode(detail::record_of(bytes), f)) return 0;
  if (!std::isfinite(f.price)) return 0;
  std::string text, again;
  format.encode(f, text);
  flight back;
  if (!format.decode(detail::record_of(text), back)) std::abort();
  format.encode(back, again);
  if (again != text) std::abort();
  return 0;
}
