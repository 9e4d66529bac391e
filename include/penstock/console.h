// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/sink.h>

#include <memory>

namespace penstock {

/// A sink that writes one line a record to standard output: the value alone. `print` uses it.
struct console {
  std::unique_ptr<sink_connector> make_sink() const;
};

}  // namespace penstock
