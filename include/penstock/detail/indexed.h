// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/source.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace penstock::detail {

struct index_range {
  std::int64_t first = 0;
  std::size_t size = 0;
  std::uint32_t split = 0;
  bool finished = false;
  const penstock::split* from = nullptr;
};

/// The ranges of indices that a lane reads, taken in turns.
class index_splits {
 public:
  void add(std::uint32_t number, const split& s);
  /// The next piece of the next range that is not used up; size 0 without `finished` when there is none left.
  index_range next();
  bool set_paused(std::uint32_t number, bool paused);

 private:
  static constexpr std::int64_t piece = 4096;
  struct range {
    std::uint32_t number;
    const split* from;
    std::int64_t position;
    std::int64_t stop;
    bool finished;
    bool paused = false;
  };
  std::vector<range> ranges_;
  std::size_t turn_ = 0;
};

/// A connector over the indices 0 .. count-1, cut into `splits` ranges. It has no reader: the head makes the
/// records.
std::unique_ptr<source_connector> make_indexed_connector(std::int64_t count, std::uint32_t splits);

}  // namespace penstock::detail
