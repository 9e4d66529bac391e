// SPDX-License-Identifier: Apache-2.0
// Settings that other Kafka clients have and this one has not.
#pragma once

#include <span>
#include <string_view>

namespace penstock::client {

struct foreign_setting {
  std::string_view name;
  std::string_view instead;  ///< a sentence: why not, or what to write in its place
};

/// About in the order of their names.
std::span<const foreign_setting> foreign_settings();
const foreign_setting* find_foreign_setting(std::string_view name);

}  // namespace penstock::client
