// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace penstock::tools {

/// Standard output in large pieces: append to `text()`, and it is written when it is large or flushed.
class output {
 public:
  std::string& text() noexcept { return text_; }
  /// Writes once there is a lot. False when the reader has gone away (a pipe to `head`, say): stop quietly.
  bool flush_if_large() { return text_.size() < large ? open_ : flush(); }
  bool flush();

 private:
  static constexpr std::size_t large = 64 * 1024;
  std::string text_;
  bool open_ = true;
};

/// Writes the text to standard output now; an error names what failed.
result<> print(std::string_view text);

}  // namespace penstock::tools
