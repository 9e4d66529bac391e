// SPDX-License-Identifier: Apache-2.0
#include "output.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace penstock::tools {
namespace {

bool write_out(std::string_view text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

}  // namespace

bool output::flush() {
  if (open_ && !text_.empty()) open_ = write_out(text_);
  text_.clear();
  return open_;
}

result<> print(std::string_view text) {
  if (write_out(text)) return {};
  return fail(errc::io, std::string("standard output cannot be written: ") + std::strerror(errno));
}

}  // namespace penstock::tools
