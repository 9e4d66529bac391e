// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/detail/op.h>

#include <cstdint>
#include <utility>

namespace penstock::detail {

/// What comes out of windows. Outlet 0: results; outlet 1: late records.
template <typename Result, typename T>
struct window_outlets {
  output<batch<Result>> results;
  output<batch<T>> late;
  std::uint64_t emitted = 0;

  void connect(std::uint32_t outlet, op& consumer) {
    if (outlet == 0) {
      results.connect(consumer);
    } else {
      late.connect(consumer);
    }
  }
  void emit(Result&& result, std::int64_t timestamp) {
    results.add(std::move(result), timestamp);
    ++emitted;
  }
  void flush(op_counters& counters) {
    results.flush();
    late.flush();
    op_counters::add(counters.out, std::exchange(emitted, 0));
  }
};

}  // namespace penstock::detail
