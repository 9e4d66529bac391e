// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace penstock {

/// A number with a meaning: two ids of different tags never mix, and nothing converts by accident.
///
///     using producer_id = strong_id<struct producer_id_tag, std::int64_t>;
///     producer_id p{7};  p.value() == 7
template <typename Tag, typename Rep>
class strong_id {
 public:
  using rep = Rep;
  constexpr strong_id() noexcept = default;
  constexpr explicit strong_id(Rep v) noexcept : value_(v) {}
  constexpr Rep value() const noexcept { return value_; }
  friend constexpr auto operator<=>(strong_id, strong_id) noexcept = default;

 private:
  Rep value_{};
};

}  // namespace penstock

template <typename Tag, typename Rep>
struct std::hash<penstock::strong_id<Tag, Rep>> {
  std::size_t operator()(penstock::strong_id<Tag, Rep> id) const noexcept {
    return std::hash<Rep>{}(id.value());
  }
};
