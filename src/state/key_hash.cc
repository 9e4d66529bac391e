// SPDX-License-Identifier: Apache-2.0
#include <penstock/key.h>

#include "base/hash.h"

namespace penstock::detail {

std::uint32_t partition_hash(std::string_view key_bytes) noexcept {
  return base::murmur2(key_bytes) & 0x7fffffff;
}

}  // namespace penstock::detail
