// SPDX-License-Identifier: Apache-2.0
#include "wire/reader.h"

#include <fmt/format.h>

namespace penstock::wire {

result<> reader::finish(std::string_view what) const {
  if (ok()) return {};
  return penstock::fail(errc::corrupt,
                        fmt::format("cannot decode {}: {} at byte {}", what, why_, failed_at_));
}

}  // namespace penstock::wire
