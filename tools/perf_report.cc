// SPDX-License-Identifier: Apache-2.0
#include "perf_report.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>

namespace penstock::tools {
namespace {

rusage usage() {
  rusage u{};
  getrusage(RUSAGE_SELF, &u);
  return u;
}

std::int64_t cpu_ns(const rusage& u) {
  const auto micros = (std::int64_t{u.ru_utime.tv_sec} + u.ru_stime.tv_sec) * 1'000'000 + u.ru_utime.tv_usec +
                      u.ru_stime.tv_usec;
  return micros * 1'000;
}

}  // namespace

measurement::measurement() : began_(io::clock::system().now()), cpu_ns_(cpu_ns(usage())) {}

std::string measurement::line(std::int64_t records, std::int64_t bytes) const {
  const std::chrono::duration<double> took = io::clock::system().now() - began_;
  const auto used = usage();
  const double seconds = std::max(took.count(), 1e-9);
  const auto n = static_cast<double>(records);
  return fmt::format(
      "{{\"records\":{},\"bytes\":{},\"seconds\":{:.3f},\"records_per_second\":{:.0f},"
      "\"megabytes_per_second\":{:.1f},\"cpu_ns_per_record\":{:.1f},\"max_rss_kib\":{}}}\n",
      records, bytes, seconds, n / seconds, static_cast<double>(bytes) / seconds / 1e6,
      static_cast<double>(cpu_ns(used) - cpu_ns_) / std::max(n, 1.0), used.ru_maxrss);
}

}  // namespace penstock::tools
