// SPDX-License-Identifier: Apache-2.0
#include "io/simulated_content.h"

#include <algorithm>

namespace penstock::io::detail {

void simulated_content::apply(std::string& to, const change& c) {
  const auto position = static_cast<std::size_t>(c.position);
  if (c.is_truncate) {
    to.resize(position, '\0');
  } else if (!c.bytes.empty()) {
    to.resize(std::max(to.size(), position + c.bytes.size()), '\0');
    std::copy(c.bytes.begin(), c.bytes.end(), to.begin() + static_cast<std::ptrdiff_t>(position));
  }
}

void simulated_content::write(std::uint64_t position, std::string_view bytes) {
  pending_.push_back({.position = position, .bytes = std::string(bytes)});
  apply(seen_, pending_.back());
}

void simulated_content::truncate(std::uint64_t size) {
  pending_.push_back({.is_truncate = true, .position = size});
  apply(seen_, pending_.back());
}

void simulated_content::sync() {
  for (const auto& c : pending_) apply(durable_, c);
  pending_.clear();
}

/// Writes reach a disk in any order and in part; a size that grew may be there before the bytes are. What
/// changes the size downwards is journaled: when it is lost, so is all that came after it.
void simulated_content::settle(survival what, random_source& random) {
  bool truncate_lost = false;
  for (auto& c : pending_) {
    enum fate : std::uint8_t { whole, lost, prefix, zeros };
    auto drawn = static_cast<fate>(random.next() % 4);
    if (what == survival::all) drawn = whole;
    if (what == survival::nothing || truncate_lost) drawn = lost;
    if (c.is_truncate) {
      truncate_lost = truncate_lost || drawn != whole;
      if (!truncate_lost) apply(durable_, c);
      continue;
    }
    if (drawn == lost) continue;
    if (drawn == prefix) c.bytes.resize(random.next() % (c.bytes.size() + 1));
    if (drawn == zeros) {
      // Only new space reads as zeros; what was there before keeps its old bytes.
      const auto end = c.position + c.bytes.size();
      if (end > durable_.size()) durable_.resize(static_cast<std::size_t>(end), '\0');
      continue;
    }
    apply(durable_, c);
  }
  pending_.clear();
}

}  // namespace penstock::io::detail
