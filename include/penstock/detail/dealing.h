// SPDX-License-Identifier: Apache-2.0
// How a block of records is dealt to the lanes behind an exchange, and whether its times are all alike there.
#pragma once

#include <cstddef>
#include <cstdint>

namespace penstock::detail {

/// lane_of_key (state_log.h) for n numbers of eight bytes, as key_traits has their bytes; at most 65,535
/// lanes.
void lanes_of_numbers(const void* keys, std::size_t n, std::uint32_t lanes, std::uint16_t* into) noexcept;

/// Sorts records by lane: `order` gets the numbers of those of lane 0, then of lane 1 ..., each lane's in
/// their order; `ends` where each lane's end. There is room for 16 more in `order` than for n, and for
/// `lanes` in `ends`; at most 65,535 records.
void sort_by_lane(const std::uint16_t* lane_of, std::size_t n, std::size_t lanes, std::uint16_t* order,
                  std::uint16_t* ends) noexcept;
inline constexpr std::size_t sort_by_lane_slack = 16;
/// What it does where the processor has not what it is made for.
void sort_by_lane_plainly(const std::uint16_t* lane_of, std::size_t n, std::size_t lanes,
                          std::uint16_t* order, std::uint16_t* ends) noexcept;

/// Deals numbers of eight bytes to the lanes of lanes_of_numbers, each lane's in their order: to into[lane],
/// where there is room for pick_slack more than for n; counts[lane] of them. One of `into` may be `keys`
/// itself, without the room for more. False, and nothing done, where the processor has not what it takes.
bool pick_by_lane(const void* keys, std::size_t n, std::size_t lanes, void* const* into,
                  std::uint16_t* counts) noexcept;
inline constexpr std::size_t pick_slack = 8;
inline constexpr std::size_t most_pick_lanes = 4;  // a pass over what is hashed for each

/// Whether `ts` is in [start, start + length), should that end behind the end of time too.
constexpr bool is_within(std::int64_t ts, std::int64_t start, std::int64_t length) noexcept {
  return ts >= start && static_cast<std::uint64_t>(ts) - static_cast<std::uint64_t>(start) <
                            static_cast<std::uint64_t>(length);
}
/// The same of all these times. True when there are none.
bool all_within(const std::int64_t* times, std::size_t n, std::int64_t start, std::int64_t length) noexcept;

}  // namespace penstock::detail
