// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace penstock::broker {

/// Large blocks that connections borrow while a large request comes in, within a bound over all of them. One
/// thread.
class block_pool {
 public:
  struct block {
    std::unique_ptr<char[]> bytes;
    std::size_t size = 0;
  };
  explicit block_pool(std::size_t most) : most_(most) {}

  /// A block of at least `size` bytes, and as near to `wanted` as one that is at hand; without bytes when the
  /// bound is reached.
  block take(std::size_t size, std::size_t wanted);
  void give_back(block b);
  /// Frees what nobody uses.
  void trim();
  std::size_t allocated() const noexcept { return allocated_; }

 private:
  static constexpr std::size_t kept_blocks = 8;
  static constexpr std::size_t largest_kept = std::size_t{4} << 20;

  std::size_t most_;
  std::size_t allocated_ = 0;
  std::vector<block> free_;
};

/// What a connection has read and not yet handled: a few KiB while it waits, a block of the pool while a
/// larger request comes in. It grows with what has come, never at once to what a request's length announces.
class input_buffer {
 public:
  explicit input_buffer(block_pool& pool) : pool_(&pool) {}
  ~input_buffer();
  input_buffer(const input_buffer&) = delete;
  input_buffer& operator=(const input_buffer&) = delete;

  std::string_view held() const noexcept { return {data_ + begin_, end_ - begin_}; }
  void consume(std::size_t n) noexcept { begin_ += n; }
  void filled(std::size_t n) noexcept { end_ += n; }
  /// Where to read next, when the request at the front is `total` bytes long in all (0: not known yet). Empty
  /// when the pool's bound is reached.
  std::span<char> room(std::size_t total);

 private:
  static constexpr std::size_t small_size = 4096;
  static constexpr std::size_t smallest_block = std::size_t{64} << 10;

  void to_front() noexcept;
  bool move_to_block(std::size_t total);

  block_pool* pool_;
  std::unique_ptr<char[]> small_ = std::make_unique_for_overwrite<char[]>(small_size);
  block_pool::block block_;
  char* data_ = small_.get();
  std::size_t capacity_ = small_size;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace penstock::broker
