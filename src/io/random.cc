// SPDX-License-Identifier: Apache-2.0
#include "io/random.h"

#include <sys/random.h>

#include <cerrno>
#include <exception>

namespace penstock::io {
namespace {

class system_random final : public random_source {
 public:
  std::uint64_t next() noexcept override {
    std::uint64_t v;
    // Up to 256 bytes come whole or not at all (getrandom(2)); only the wait for the first entropy is
    // interruptible.
    while (::getrandom(&v, sizeof v, 0) != static_cast<ssize_t>(sizeof v)) {
      if (errno != EINTR) std::terminate();
    }
    return v;
  }
};

}  // namespace

random_source& random_source::system() noexcept {
  static system_random instance;
  return instance;
}

}  // namespace penstock::io
