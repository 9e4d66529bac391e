// SPDX-License-Identifier: Apache-2.0
// For tests: what scripted brokers say, as bytes.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "wire/error_code.h"
#include "wire/writer.h"

namespace penstock::client::testing {

/// The message in a version. Throws where that cannot say it: an error of the test.
template <typename Message>
std::string encoded(const Message& m, std::int16_t version) {
  std::string bytes;
  wire::writer w(bytes);
  if (auto ok = m.encode(w, version); !ok) throw std::runtime_error(ok.error().message());
  return bytes;
}

constexpr std::int16_t code(wire::error_code c) noexcept { return static_cast<std::int16_t>(c); }

}  // namespace penstock::client::testing
