// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>

#include <string_view>

#include "rows.h"

namespace departures {

/// What SQLite computes from the same CSV files: the judge of the stream's rows. It shares no code with the
/// job: SQL parses the times, groups and averages.
penstock::result<answer> batch_answer(std::string_view flights_csv, std::string_view airlines_csv);

}  // namespace departures
