// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/detail/op.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace penstock::engine {

/// A global table on one lane: read to the end that its splits had when the job started, followed from then
/// on.
class table_task {
 public:
  explicit table_task(detail::table_op& into) : into_(into) {}
  void add(std::uint32_t number, const split& s) {
    splits_.push_back({number, s.start, s.stop ? *s.stop : s.end, false});
  }
  /// True when something was read.
  result<bool> step();
  bool loaded() const noexcept;

 private:
  struct progress {
    std::uint32_t number;
    std::int64_t position;
    std::int64_t end;
    bool finished;
  };
  detail::table_op& into_;
  std::vector<progress> splits_;
};

}  // namespace penstock::engine
