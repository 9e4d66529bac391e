// SPDX-License-Identifier: Apache-2.0
#include "io/clock.h"

namespace penstock::io {
namespace {

class system_clock final : public clock {
 public:
  instant now() const noexcept override { return std::chrono::steady_clock::now(); }
  std::int64_t wall_ms() const noexcept override {
    const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count();
  }
};

}  // namespace

const clock& clock::system() noexcept {
  static const system_clock instance;
  return instance;
}

}  // namespace penstock::io
