// SPDX-License-Identifier: Apache-2.0
#include "proxy_garble.h"

#include <array>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"

namespace penstock::testing {
namespace {

constexpr std::size_t length_bytes = 4, header_bytes = 8;

using namespace std::string_view_literals;
// As 16 and 32 bits, and of variable length: the most, the least, and what a client might just believe.
constexpr std::array numbers = {"\x7f\xff\xff\xff"sv, "\x80\0\0\0"sv,     "\xff\xff\xff\xff"sv,
                                "\x7f\xff"sv,         "\0\xff\xff\xff"sv, "\xff\xff\xff\xff\x0f"sv,
                                "\xff\xff\xff\x07"sv, "\0\0\0\0"sv,       "\x00"sv};

class spoiler {
 public:
  spoiler(std::string& frame, std::mt19937_64& dice) : frame_(frame), dice_(dice) {}

  void spoil() {
    switch (below(9)) {
      case 0: return random_body();
      case 1: return frame_.resize(header_bytes + below(body())), true_length();
      case 2: return change_bytes();
      case 3:
      case 4: return huge_number();
      case 5: return append(1 + below(300)), true_length();
      case 6: return base::store_be(frame_.data() + length_bytes, static_cast<std::int32_t>(dice_()));
      case 7: return void(frame_ += std::string(frame_));
      default: return wrong_length();
    }
  }

 private:
  std::size_t below(std::size_t n) { return n == 0 ? 0 : dice_() % n; }
  std::size_t body() const { return frame_.size() - header_bytes; }
  void append(std::size_t n) {
    for (; n > 0; --n) frame_.push_back(static_cast<char>(dice_()));
  }
  void true_length() {
    base::store_be(frame_.data(), static_cast<std::uint32_t>(frame_.size() - length_bytes));
  }
  void random_body() {
    frame_.resize(header_bytes);
    append(below(200));
    true_length();
  }
  void change_bytes() {
    for (std::size_t n = 1 + below(6); n > 0 && body() > 0; --n)
      frame_[header_bytes + below(body())] = static_cast<char>(dice_());
  }
  void huge_number() {
    const auto number = numbers[below(numbers.size())];
    if (body() >= number.size())
      frame_.replace(header_bytes + below(body() - number.size() + 1), number.size(), number);
  }
  void wrong_length() {
    const std::uint32_t lengths[] = {
        0, 3, 0x7fffffffu, 0x80000000u, 0xffffffffu, static_cast<std::uint32_t>(frame_.size() + below(5000))};
    base::store_be(frame_.data(), lengths[below(std::size(lengths))]);
  }

  std::string& frame_;
  std::mt19937_64& dice_;
};

}  // namespace

void garble(std::string& frame, std::mt19937_64& dice) {
  if (frame.size() >= header_bytes) spoiler(frame, dice).spoil();
}

}  // namespace penstock::testing
