// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/random.h"

namespace penstock::io::detail {

/// How much of what was not synced a crash leaves.
enum class survival : std::uint8_t { all, nothing, any };

/// The bytes of one simulated file twice: as programs see them, and as they are on the disk; between the two
/// the changes that no sync has covered yet.
class simulated_content {
 public:
  const std::string& bytes() const noexcept { return seen_; }
  void write(std::uint64_t position, std::string_view bytes);
  void truncate(std::uint64_t size);
  void sync();
  /// A sync that failed: any part of the changes reached the disk, and no later sync brings the rest.
  void sync_in_vain(random_source& random) { settle(survival::any, random); }
  /// What programs see from now on is what the disk has.
  void crash(survival what, random_source& random) {
    settle(what, random);
    seen_ = durable_;
  }

 private:
  struct change {
    bool is_truncate = false;
    std::uint64_t position = 0;  // of a truncate: the new size
    std::string bytes{};
  };
  static void apply(std::string& to, const change& c);
  void settle(survival what, random_source& random);

  std::string seen_;
  std::string durable_;
  std::vector<change> pending_;
};

}  // namespace penstock::io::detail
