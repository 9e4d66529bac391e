// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "io/clock.h"

namespace penstock::tools {

/// Measures one stretch of work of this process, its other threads included.
class measurement {
 public:
  measurement();
  /// One line of JSON: records, bytes, seconds, records_per_second, megabytes_per_second (10^6 bytes),
  /// cpu_ns_per_record (user and system time of the stretch) and max_rss_kib (of the process so far).
  std::string line(std::int64_t records, std::int64_t bytes) const;

 private:
  io::instant began_;
  std::int64_t cpu_ns_;
};

}  // namespace penstock::tools
