// SPDX-License-Identifier: Apache-2.0
#include <penstock/error.h>

namespace penstock {

std::string_view to_string(errc kind) noexcept {
  switch (kind) {
    case errc::invalid_argument: return "invalid_argument";
    case errc::not_found: return "not_found";
    case errc::already_exists: return "already_exists";
    case errc::io: return "io";
    case errc::timeout: return "timeout";
    case errc::closed: return "closed";
    case errc::corrupt: return "corrupt";
    case errc::unsupported: return "unsupported";
    case errc::kafka: return "kafka";
    case errc::data_loss: return "data_loss";
    case errc::user: return "user";
    case errc::cancelled: return "cancelled";
    case errc::exhausted: return "exhausted";
    case errc::internal: return "internal";
    case errc::authentication: return "authentication";
  }
  return "unknown";
}

}  // namespace penstock
