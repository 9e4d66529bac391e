// SPDX-License-Identifier: Apache-2.0
// A properties file of somebody else, and what the settings make of it.
#include <penstock/kafka/properties.h>
#include <penstock/kafka/settings.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock::kafka;
  const auto given = properties::parse({reinterpret_cast<const char*>(data), size}, "fuzz");
  if (!given) return 0;
  std::size_t bytes = 0;
  for (const auto& e : given->entries()) bytes += e.name.size() + e.value.size();
  if (bytes > 2 * size) std::abort();          // a \u of six bytes becomes at most four
  if (given->entries().size() > 64) return 0;  // unknown names are compared with every known one
  static_cast<void>(producer_settings::from_properties(*given));
  static_cast<void>(consumer_settings::from_properties(*given));
  return 0;
}
