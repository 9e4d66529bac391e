// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <random>
#include <string>

namespace penstock::testing {

/// Spoils an answer as a broken or hostile broker might: random bytes for its body, single bytes changed, a
/// huge or negative number where a length or count may be, the end missing, bytes too many, another
/// correlation id, twice the same, or a frame length that is not true.
void garble(std::string& frame, std::mt19937_64& dice);

}  // namespace penstock::testing
