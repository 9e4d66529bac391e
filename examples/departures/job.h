// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/topology.h>

namespace departures {

/// The job `departure-board`: reads `departures` and the table `airlines`, writes `board` and `carriers`. It
/// ends with the records that were there when it started.
penstock::topology departure_board();

}  // namespace departures
