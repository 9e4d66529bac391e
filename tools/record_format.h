// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/record_view.h>
#include <penstock/result.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::tools {

/// How `consume` prints a record: text with the fields of a record in it, as kcat has them.
///
///     %t topic   %p partition   %o offset   %T timestamp in milliseconds (-1: none)   %h headers "a=1,b=2"
///     %k key     %K its length in bytes (-1: null)    %s value   %S its length (-1: null)     %% a percent
///     sign \n \t \r \\ \0 and \xHH as in C
class record_format {
 public:
  /// errc::invalid_argument names what is not understood.
  static result<record_format> parse(std::string_view text);

  /// Appends the record. A null key or value is printed as nothing.
  void append(std::string& out, std::string_view topic, std::int32_t partition, const record_view& r) const;

 private:
  struct part {
    char field = 0;  ///< 0: `text` as it is
    std::string text;
  };
  void add_text(char c);
  std::vector<part> parts_;
};

}  // namespace penstock::tools
