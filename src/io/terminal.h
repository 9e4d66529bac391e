// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace penstock::io {

/// Whether standard error is a terminal that a person looks at: then long work shows its progress there, and
/// is quiet otherwise.
bool error_is_terminal() noexcept;

}  // namespace penstock::io
