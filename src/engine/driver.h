// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/detail/op.h>

#include <vector>

#include "io/clock.h"

namespace penstock::engine {

/// What puts work into a lane's operators: a source, or the receiving end of an exchange.
class driver {
 public:
  virtual ~driver() = default;
  /// One bounded piece of work. False when there was none.
  virtual bool step(io::instant now) = 0;
  /// The operator that it pushes into.
  virtual detail::op& entry() noexcept = 0;

  /// The operators that its records reach on this lane; set once, before the first step.
  void set_reach(std::vector<detail::op*> ops) { reach_ = std::move(ops); }
  /// True while something that it reaches wants no more: it must not step then.
  bool held_back() const {
    for (const detail::op* o : reach_) {
      if (o->blocked()) return true;
    }
    return false;
  }

 private:
  std::vector<detail::op*> reach_;
};

}  // namespace penstock::engine
