// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace penstock::engine {

/// `s` as a JSON string, quotes included.
std::string json_string(std::string_view s);

}  // namespace penstock::engine
