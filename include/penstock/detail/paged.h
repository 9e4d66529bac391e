// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace penstock::detail {

/// A column by number. Grows page by page: nothing is moved, so no step takes long, and references stay.
template <typename T>
class paged {
 public:
  T& operator[](std::size_t i) noexcept { return pages_[i / page][i % page]; }
  const T& operator[](std::size_t i) const noexcept { return pages_[i / page][i % page]; }
  /// There is room for this number.
  void reach(std::size_t i) {
    while (pages_.size() * page <= i) pages_.push_back(std::make_unique<T[]>(page));
  }
  bool reaches(std::size_t i) const noexcept { return i / page < pages_.size(); }

 private:
  static constexpr std::size_t page = 1024;
  std::vector<std::unique_ptr<T[]>> pages_;
};

/// Fetches all of an object's lines.
template <typename T>
void prefetch_all(const T& object) noexcept {
  const char* const bytes = reinterpret_cast<const char*>(&object);
  for (std::size_t i = 0; i < sizeof(T) && i < 256; i += 64) __builtin_prefetch(bytes + i, 1);
  __builtin_prefetch(bytes + (sizeof(T) < 256 ? sizeof(T) : 256) - 1, 1);
}

}  // namespace penstock::detail
