// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

namespace penstock::detail {

/// A vector whose first element needs no memory of its own: for what is nearly always one, beside what it
/// belongs to. Elements that are moved must not throw.
template <typename T>
class few {
 public:
  using value_type = T;
  using iterator = T*;
  few() noexcept {}
  few(few&& other) noexcept { take(other); }
  few& operator=(few&& other) noexcept {
    if (this != &other) {
      release();
      take(other);
    }
    return *this;
  }
  ~few() { release(); }

  T* begin() noexcept { return data(); }
  T* end() noexcept { return data() + size_; }
  const T* begin() const noexcept { return const_cast<few*>(this)->data(); }
  const T* end() const noexcept { return begin() + size_; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  T& front() noexcept { return *data(); }

  void push_back(T value) { insert(end(), std::move(value)); }
  T* insert(T* at, T value) {
    const std::size_t i = static_cast<std::size_t>(at - begin());
    if (size_ == capacity_) grow();
    T* const all = data();
    for (std::size_t j = size_; j > i; --j) move_to(all + j, all[j - 1]);
    ::new (static_cast<void*>(all + i)) T(std::move(value));
    ++size_;
    return all + i;
  }
  T* erase(T* at) noexcept {
    at->~T();
    for (T* to = at; to + 1 != end(); ++to) move_to(to, to[1]);
    --size_;
    return at;
  }
  void clear() noexcept {
    std::destroy_n(data(), size_);
    size_ = 0;
  }
  template <typename Unwanted>
  friend void erase_if(few& all, Unwanted unwanted) {
    for (T* at = all.begin(); at != all.end();) at = unwanted(std::as_const(*at)) ? all.erase(at) : at + 1;
  }

 private:
  T* data() noexcept { return capacity_ == 1 ? std::launder(reinterpret_cast<T*>(room_.one)) : room_.many; }
  static void move_to(T* to, T& from) noexcept {
    ::new (static_cast<void*>(to)) T(std::move(from));
    from.~T();
  }
  void grow() {
    const std::uint32_t more = capacity_ == 1 ? 4 : capacity_ * 2;
    T* const bigger = std::allocator<T>().allocate(more);
    for (std::uint32_t i = 0; i < size_; ++i) move_to(bigger + i, data()[i]);
    free_room();
    room_.many = bigger;
    capacity_ = more;
  }
  void free_room() noexcept {
    if (capacity_ != 1) std::allocator<T>().deallocate(room_.many, capacity_);
  }
  void release() noexcept {
    clear();
    free_room();
    capacity_ = 1;
  }
  /// This one is empty, without memory; the other is then.
  void take(few& other) noexcept {
    if (other.capacity_ == 1) {
      if (other.size_ != 0) move_to(data(), other.front());
    } else {
      room_.many = other.room_.many;
      capacity_ = std::exchange(other.capacity_, 1);
    }
    size_ = std::exchange(other.size_, 0);
  }

  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = 1;
  union room {
    alignas(T) std::byte one[sizeof(T)];
    T* many;
  } room_;
};

}  // namespace penstock::detail
