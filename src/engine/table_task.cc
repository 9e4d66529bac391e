// SPDX-License-Identifier: Apache-2.0
#include "engine/table_task.h"

#include <algorithm>
#include <utility>

namespace penstock::engine {

result<bool> table_task::step() {
  if (std::all_of(splits_.begin(), splits_.end(), [](const progress& p) { return p.finished; })) return false;
  auto read = into_.poll();
  if (!read) return fail(std::move(read.error()));
  if (read->next < 0 && !read->finished) return false;
  for (progress& p : splits_) {
    if (p.number != read->split) continue;
    p.position = std::max(p.position, read->next);
    p.finished |= read->finished;
  }
  return true;
}

bool table_task::loaded() const noexcept {
  return std::all_of(splits_.begin(), splits_.end(),
                     [](const progress& p) { return p.finished || p.position >= p.end; });
}

}  // namespace penstock::engine
