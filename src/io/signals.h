// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "base/unique_function.h"
#include "io/event_loop.h"

namespace penstock::io {

/// Calls `f` with the number each time SIGINT or SIGTERM arrives, on the loop, while it lives. SIGPIPE is
/// ignored for the process from the first one on.
class stop_signals {
 public:
  stop_signals(event_loop& loop, unique_function<void(int)> f);
  ~stop_signals();

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace penstock::io
