// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/detail/graph.h>

namespace penstock::engine {

/// True when an operator with state takes, through whatever lies between, what another one with state has
/// made. A window of the first may then be gone while the second still needs what it gave, so replaying from
/// an epoch in the middle would not rebuild the second.
bool has_cascaded_state(const detail::graph& g);

}  // namespace penstock::engine
