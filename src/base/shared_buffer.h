// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <string_view>
#include <utility>

namespace penstock::base {

/// Reference-counted bytes of a fixed capacity, in one allocation and not initialised: what a fetch response
/// is read into, and what the record views of its batches borrow from.
///
/// A handle may be copied to another thread; the bytes themselves are written by one owner before they are
/// shared.
class shared_buffer {
 public:
  shared_buffer() noexcept = default;
  /// Throws std::bad_alloc.
  explicit shared_buffer(std::size_t capacity)
      : block_(static_cast<block*>(std::malloc(sizeof(block) + capacity))) {
    if (block_ == nullptr) throw std::bad_alloc();
    new (block_) block{1, capacity};
  }
  shared_buffer(const shared_buffer& other) noexcept : block_(other.block_) {
    if (block_ != nullptr) block_->references.fetch_add(1, std::memory_order_relaxed);
  }
  shared_buffer(shared_buffer&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  shared_buffer& operator=(shared_buffer other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~shared_buffer() {
    if (block_ != nullptr && block_->references.fetch_sub(1, std::memory_order_acq_rel) == 1)
      std::free(block_);
  }

  explicit operator bool() const noexcept { return block_ != nullptr; }
  char* data() noexcept { return block_ == nullptr ? nullptr : reinterpret_cast<char*>(block_ + 1); }
  const char* data() const noexcept {
    return block_ == nullptr ? nullptr : reinterpret_cast<const char*>(block_ + 1);
  }
  std::size_t capacity() const noexcept { return block_ == nullptr ? 0 : block_->capacity; }
  /// True when no other handle exists, so the bytes may be used again.
  bool unique() const noexcept {
    return block_ != nullptr && block_->references.load(std::memory_order_acquire) == 1;
  }

 private:
  struct block {
    std::atomic<std::uint32_t> references;
    std::size_t capacity;
  };
  block* block_ = nullptr;
};

}  // namespace penstock::base
