// SPDX-License-Identifier: Apache-2.0
// Events out of nothing but a seed: event n is the same whoever makes it, and in whatever order. Proportions,
// ids and distributions are those of the benchmark's own generator.
#pragma once

#include <cstdint>
#include <memory>

#include "events.h"

namespace nexmark {

struct generator_options {
  std::uint64_t seed = 1;
  std::int64_t first_ms = 1'436'918'400'000;  ///< 2015-07-15 00:00:00
  std::int64_t events_per_second = 10'000;    ///< of event time
  /// So many events on end share their times among themselves in another order. 1: all times ascend.
  std::int64_t out_of_order = 1;
};

/// Of 50 events one is a person, three are auctions, the rest bids. Cheap to copy; copies may be used on
/// different threads.
class generator {
 public:
  explicit generator(generator_options o = {});

  /// Makes event `number` (0, 1, 2 ...) in `into`, whose memory is used again.
  void make(std::int64_t number, event& into) const;
  event operator()(std::int64_t number) const {
    event e;
    make(number, e);
    return e;
  }

 private:
  struct texts;
  class dice;
  timestamp time_at(std::int64_t number) const;
  void fill(std::int64_t id, timestamp at, dice& d, person& p) const;
  void fill(std::int64_t id, timestamp at, dice& d, auction& a) const;
  void fill(std::int64_t id, timestamp at, dice& d, bid& b) const;
  void append_extra(dice& d, std::size_t so_far, std::size_t mean, std::string& out) const;

  generator_options options_;
  std::shared_ptr<const texts> texts_;
};

}  // namespace nexmark
