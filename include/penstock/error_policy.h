// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace penstock {

/// What happens to a record that cannot be decoded, or at which the user's code throws (S20).
enum class error_policy : std::uint8_t {
  fail,            ///< the job ends with an error that names operator, topic, partition and offset
  skip_and_count,  ///< the record is dropped and counted (operator_metrics::skipped)
  dead_letter,     ///< counted as well, and written to topology::dead_letters with its origin and the error
};

}  // namespace penstock
