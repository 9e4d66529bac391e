// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace penstock::detail {

/// Contiguous values that are appended one by one and thrown away together; keeps its memory for the next
/// round. (A std::vector would do, but for std::vector<bool>.)
template <typename T>
class buffer {
  static_assert(std::is_nothrow_move_constructible_v<T> || std::is_copy_constructible_v<T>);

 public:
  buffer() noexcept = default;
  buffer(buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  buffer& operator=(buffer other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }
  ~buffer() {
    clear();
    if (data_ != nullptr) std::allocator<T>().deallocate(data_, capacity_);
  }

  template <typename... Args>
  void emplace_back(Args&&... args) {
    if (size_ == capacity_) [[unlikely]]
      grow();
    ::new (static_cast<void*>(data_ + size_)) T(std::forward<Args>(args)...);
    ++size_;
  }
  void clear() noexcept {
    if constexpr (!std::is_trivially_destructible_v<T>) std::destroy_n(data_, size_);
    size_ = 0;
  }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  T* data() noexcept { return data_; }
  T& operator[](std::size_t i) noexcept { return data_[i]; }
  const T& operator[](std::size_t i) const noexcept { return data_[i]; }
  T* begin() noexcept { return data_; }
  T* end() noexcept { return data_ + size_; }

 private:
  void grow() {
    const std::size_t wanted = capacity_ == 0 ? 64 : capacity_ * 2;
    T* fresh = std::allocator<T>().allocate(wanted);
    for (std::size_t i = 0; i < size_; ++i) {
      ::new (static_cast<void*>(fresh + i)) T(std::move_if_noexcept(data_[i]));
      data_[i].~T();
    }
    if (data_ != nullptr) std::allocator<T>().deallocate(data_, capacity_);
    data_ = fresh;
    capacity_ = wanted;
  }

  T* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace penstock::detail
