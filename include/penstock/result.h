// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/error.h>

#include <tl/expected.hpp>
#include <utility>

namespace penstock {

/// A value, or the error why there is none. `result<>` carries no value.
///
///     result<std::int64_t> end = log.end_offset();
///     if (!end) return fail(end.error());
///     use(*end);
///
/// An alias of tl::expected: C++23's std::expected, which g++ 12 does not have yet.
template <typename T = void>
using result = tl::expected<T, error>;

/// The error branch of a `result`, from an error at hand or from its parts.
inline tl::unexpected<error> fail(error e) { return tl::unexpected<error>(std::move(e)); }
inline tl::unexpected<error> fail(errc kind, std::string message, recovery what_to_do = recovery::fatal) {
  return tl::unexpected<error>(error(kind, std::move(message), what_to_do));
}

}  // namespace penstock
