// SPDX-License-Identifier: Apache-2.0
#include "io/terminal.h"

#include <unistd.h>

namespace penstock::io {

bool error_is_terminal() noexcept { return ::isatty(STDERR_FILENO) == 1; }

}  // namespace penstock::io
