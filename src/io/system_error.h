// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <penstock/result.h>

#include <cerrno>
#include <string_view>
#include <system_error>

namespace penstock::io::detail {

/// The kind of a failed system call's errno.
inline errc kind_of(int number) noexcept {
  switch (number) {
    case ENOENT: return errc::not_found;
    case EEXIST: return errc::already_exists;
    case ENOSPC:
    case EDQUOT: return errc::exhausted;
    default: return errc::io;
  }
}

/// "cannot open /a/b: No such file or directory"
inline error system_failure(std::string_view what, std::string_view path, int number) {
  return error(kind_of(number),
               fmt::format("cannot {} {}: {}", what, path, std::generic_category().message(number)));
}

}  // namespace penstock::io::detail
