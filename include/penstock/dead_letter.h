// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

/// The headers of a dead letter (topology::dead_letters, S20), before those that the record had itself. Those
/// of a source are there when the record was still as it was read.
namespace penstock::dead_letter {

inline constexpr std::string_view operator_header = "penstock.operator";
inline constexpr std::string_view step_header = "penstock.step";
inline constexpr std::string_view error_header = "penstock.error";
inline constexpr std::string_view topic_header = "penstock.topic";
inline constexpr std::string_view partition_header = "penstock.partition";
inline constexpr std::string_view offset_header = "penstock.offset";
/// There when key and value are not the record's: behind a named stream or a key.
inline constexpr std::string_view record_header = "penstock.record";

}  // namespace penstock::dead_letter
