// SPDX-License-Identifier: Apache-2.0
#include "rows.h"

#include <utility>

namespace nexmark {

penstock::result<rows> rows::to(const std::string& path) {
  rows made;
  if (path.empty()) return made;
  made.shared_->path = path;
  made.shared_->to_file = true;
  made.shared_->file.open(path, std::ios::binary | std::ios::trunc);
  if (!made.shared_->file) return penstock::fail(penstock::errc::io, "cannot write " + path);
  return made;
}

void rows::flush() {
  if (seen_ == 0) return;
  shared_->count += std::exchange(seen_, 0);
  if (lines_.empty()) return;
  const std::lock_guard lock(shared_->mutex);
  shared_->file << lines_;
  lines_.clear();
}

penstock::result<> rows::close() {
  if (!shared_->to_file) return {};
  shared_->file.close();
  if (shared_->file) return {};
  return penstock::fail(penstock::errc::io, "cannot write all rows to " + shared_->path);
}

}  // namespace nexmark
