// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <vector>

#include "base/shared_buffer.h"

namespace penstock::client {

/// Buffers for responses, used again once nobody holds them: a fresh buffer of megabytes costs more page
/// faults than its bytes cost to receive. Keeps at most `max_kept` bytes; what is handed out may be more.
class buffer_pool {
 public:
  explicit buffer_pool(std::size_t max_kept = std::size_t{64} << 20) noexcept : max_kept_(max_kept) {}

  /// A buffer of at least `size` bytes that no one else holds.
  base::shared_buffer take(std::size_t size) {
    const std::size_t wanted = round_up(size);
    if (wanted <= small) return base::shared_buffer(wanted);
    for (auto& b : kept_) {
      if (b.capacity() >= size && b.capacity() <= 4 * wanted && b.unique()) return b;
    }
    base::shared_buffer fresh(wanted);
    keep(fresh);
    return fresh;
  }
  std::size_t kept_bytes() const noexcept { return kept_bytes_; }

 private:
  // Smaller ones malloc serves as fast from its own lists.
  static constexpr std::size_t small = 64 << 10;

  // To eighths of a power of two, so that answers of about the same size fit each other's buffers.
  static std::size_t round_up(std::size_t size) noexcept {
    const std::size_t step = std::max<std::size_t>(std::bit_floor(size | 1) / 8, 512);
    return (size + step - 1) / step * step;
  }
  void keep(const base::shared_buffer& b) {
    // Idle ones make room first, oldest first; those in use are merely forgotten.
    while (!kept_.empty() && kept_bytes_ + b.capacity() > max_kept_) {
      auto idle = std::find_if(kept_.begin(), kept_.end(), [](const auto& k) { return k.unique(); });
      if (idle == kept_.end()) idle = kept_.begin();
      kept_bytes_ -= idle->capacity();
      kept_.erase(idle);
    }
    if (b.capacity() > max_kept_) return;
    kept_bytes_ += b.capacity();
    kept_.push_back(b);
  }

  std::vector<base::shared_buffer> kept_;
  std::size_t kept_bytes_ = 0;
  std::size_t max_kept_;
};

}  // namespace penstock::client
