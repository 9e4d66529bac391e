// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "base/bytes.h"

namespace penstock::wire {

/// Bytes that grow and are used again: what batches are built in and decompressed into. Unlike a std::string
/// it does not set new bytes to zero first, and large blocks grow without a copy (realloc).
///
/// clear() keeps the memory; release() gives it back. Throws std::bad_alloc. One owner, no locks.
class scratch_buffer {
 public:
  scratch_buffer() noexcept = default;
  scratch_buffer(scratch_buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  scratch_buffer& operator=(scratch_buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }
  ~scratch_buffer() { std::free(data_); }

  char* data() noexcept { return data_; }
  const char* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  std::size_t capacity() const noexcept { return capacity_; }
  bool empty() const noexcept { return size_ == 0; }
  bytes_view view() const noexcept { return {data_, size_}; }

  void clear() noexcept { size_ = 0; }
  void release() noexcept {
    std::free(data_);
    data_ = nullptr;
    size_ = capacity_ = 0;
  }
  void reserve(std::size_t capacity) {
    if (capacity > capacity_) reallocate(capacity);
  }
  /// Sets the size; bytes beyond the old size are not initialised.
  void resize(std::size_t size) {
    if (size > capacity_) grow(size);
    size_ = size;
  }
  /// Makes sure of `room` free bytes and returns where they begin; commit() says how many were written.
  char* prepare(std::size_t room) {
    if (capacity_ - size_ < room) [[unlikely]]
      grow(size_ + room);
    return data_ + size_;
  }
  void commit(std::size_t written) noexcept { size_ += written; }
  void append(bytes_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(prepare(bytes.size()), bytes.data(), bytes.size());
    size_ += bytes.size();
  }

 private:
  // Out of line, so that the path without growth stays small.
  [[gnu::noinline]] void grow(std::size_t at_least) {
    reallocate(std::max({at_least, capacity_ + capacity_ / 2, std::size_t{256}}));
  }
  void reallocate(std::size_t capacity) {
    char* p = static_cast<char*>(std::realloc(data_, capacity));
    if (p == nullptr) throw std::bad_alloc();
    data_ = p;
    capacity_ = capacity;
  }

  char* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace penstock::wire
