// SPDX-License-Identifier: Apache-2.0
// The JSON lines that the peers print, with the same names as `penstock perf`.
#pragma once

#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <vector>

namespace peers {

inline double seconds(clockid_t which) {
  timespec t{};
  clock_gettime(which, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}
inline double now() { return seconds(CLOCK_MONOTONIC); }

/// One stretch of work of this process, all its threads included.
class measurement {
 public:
  double seconds() const { return now() - began_; }
  /// `from`: when the stretch began, if that was later; CPU time is of all of it.
  void print(long long records, long long bytes, double from = 0) const {
    const double took = now() - std::max(began_, from);
    const double cpu = peers::seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_;
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    std::printf(
        "{\"records\":%lld,\"bytes\":%lld,\"seconds\":%.3f,\"records_per_second\":%.0f,"
        "\"megabytes_per_second\":%.1f,\"cpu_ns_per_record\":%.1f,\"max_rss_kib\":%ld}\n",
        records, bytes, took, static_cast<double>(records) / took, static_cast<double>(bytes) / took / 1e6,
        cpu * 1e9 / static_cast<double>(std::max(records, 1LL)), usage.ru_maxrss);
    std::fflush(stdout);
  }

 private:
  double began_ = now();
  double cpu_ = peers::seconds(CLOCK_PROCESS_CPUTIME_ID);
};

/// Of the times in nanoseconds.
inline void print_latency(std::vector<std::int64_t> times) {
  std::sort(times.begin(), times.end());
  const auto at = [&](double share) {
    const auto i = static_cast<std::size_t>(share * static_cast<double>(times.size() - 1));
    return static_cast<double>(times[i]) / 1e3;
  };
  std::printf("{\"records\":%zu,\"p50_us\":%.0f,\"p90_us\":%.0f,\"p99_us\":%.0f,\"max_us\":%.0f}\n",
              times.size(), at(0.5), at(0.9), at(0.99), at(1.0));
  std::fflush(stdout);
}

}  // namespace peers
