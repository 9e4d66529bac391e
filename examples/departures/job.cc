// SPDX-License-Identifier: Apache-2.0
#include "job.h"

#include <penstock/penstock.h>

#include "board.h"

namespace ps = penstock;

namespace departures {

ps::topology departure_board() {
  return departure_board(ps::kafka::source{.topics = {"airlines"}},
                         ps::kafka::source{.topics = {"departures"},
                                           .watermarks = {.max_lag = disorder},
                                           .stop = ps::kafka::stop_at::latest()},
                         ps::kafka::sink{.topic = "board"}, ps::kafka::sink{.topic = "carriers"});
}

}  // namespace departures
