// SPDX-License-Identifier: Apache-2.0
#include "broker/input_buffer.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace penstock::broker {

block_pool::block block_pool::take(std::size_t size, std::size_t wanted) {
  auto best = free_.end();
  for (auto it = free_.begin(); it != free_.end(); ++it) {
    if (it->size < size) continue;
    const auto distance = [&](const block& b) { return b.size > wanted ? b.size - wanted : wanted - b.size; };
    if (best == free_.end() || distance(*it) < distance(*best)) best = it;
  }
  if (best != free_.end()) {
    block b = std::move(*best);
    free_.erase(best);
    return b;
  }
  if (allocated_ + size > most_) trim();
  if (allocated_ + size > most_) return {};
  allocated_ += size;
  return {std::make_unique_for_overwrite<char[]>(size), size};
}

void block_pool::give_back(block b) {
  if (b.bytes == nullptr) return;
  if (free_.size() < kept_blocks && b.size <= largest_kept)
    free_.push_back(std::move(b));
  else
    allocated_ -= b.size;
}

void block_pool::trim() {
  for (const auto& b : free_) allocated_ -= b.size;
  free_.clear();
}

input_buffer::~input_buffer() { pool_->give_back(std::move(block_)); }

void input_buffer::to_front() noexcept {
  if (begin_ == 0) return;
  std::memmove(data_, data_ + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
}

bool input_buffer::move_to_block(std::size_t total) {
  const std::size_t held = end_ - begin_;
  const std::size_t size = std::max(smallest_block, std::min(total, held * 4));
  auto larger = pool_->take(size, total);
  if (larger.bytes == nullptr) return false;
  std::memcpy(larger.bytes.get(), data_ + begin_, held);
  pool_->give_back(std::move(block_));
  block_ = std::move(larger);
  data_ = block_.bytes.get();
  capacity_ = block_.size;
  begin_ = 0;
  end_ = held;
  return true;
}

std::span<char> input_buffer::room(std::size_t total) {
  const std::size_t held = end_ - begin_;
  if (held == 0) {
    begin_ = end_ = 0;
    if (block_.bytes != nullptr) pool_->give_back(std::exchange(block_, {}));
    data_ = small_.get();
    capacity_ = small_size;
    return {data_, capacity_};
  }
  if (capacity_ - begin_ < total || end_ == capacity_) to_front();
  if (capacity_ < total && (block_.bytes == nullptr || end_ == capacity_) && !move_to_block(total)) return {};
  // Of a large request exactly the rest, so that nothing of the next one has to be moved to the front again.
  const std::size_t most = total >= smallest_block ? total - held : capacity_ - end_;
  return {data_ + end_, std::min(most, capacity_ - end_)};
}

}  // namespace penstock::broker
