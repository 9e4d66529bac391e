// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>

#include <string_view>

namespace penstock::io {

/// A step at which tests may have something happen. The environment variable PENSTOCK_FAILPOINTS says what:
///
///     commit.before=kill@3          the process kills itself (SIGKILL) at the third time
///     commit.before=error@1         this call answers an error that may pass
///     state.save=delay:200@2        the step takes 200 ms more
///
/// several separated by commas; without @n, every time. Builds with NDEBUG have none of it: there this is
/// nothing at all.
///
/// `broken` is true for what PENSTOCK_BREAK names: a rule left out on purpose, to see that a test notices.
#ifdef NDEBUG
inline result<> failpoint(std::string_view) { return {}; }
inline bool broken(std::string_view) { return false; }
#else
result<> failpoint(std::string_view name);
bool broken(std::string_view rule);
#endif

}  // namespace penstock::io
