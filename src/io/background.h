// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "base/unique_function.h"
#include "io/event_loop.h"

namespace penstock::io {

/// A thread for calls that block (a Kerberos library, a user's function), so that their loop does not. One
/// call at a time, in order; the thread starts with the first.
///
/// Belongs to the loop's thread and goes before the loop. Destroying it waits for the call under way and
/// drops the others and what was to follow, uncalled.
class background {
 public:
  explicit background(event_loop& loop) noexcept : loop_(loop) {}
  ~background();
  background(const background&) = delete;
  background& operator=(const background&) = delete;

  /// Runs `work` on the thread and then, on the loop, what it returned. `work` does not throw.
  void run(unique_function<unique_function<void()>()> work);

 private:
  struct shared;
  event_loop& loop_;
  std::shared_ptr<shared> shared_;
};

}  // namespace penstock::io
