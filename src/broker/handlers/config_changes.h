// SPDX-License-Identifier: Apache-2.0
// What AlterConfigs and IncrementalAlterConfigs share.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "broker/handlers/common.h"

namespace penstock::broker {

/// The numbers of IncrementalAlterConfigs.
enum class config_operation : std::int8_t { set = 0, remove = 1, append = 2, subtract = 3 };

struct config_change {
  std::string name;
  config_operation operation = config_operation::set;
  std::optional<std::string> value;
};

struct change_outcome {
  error_code error = error_code::none;
  std::optional<std::string> message;
};

/// Changes the settings of one resource, all of them or none. `replace_all`: what is not named goes back to
/// its default.
change_outcome change_configs(broker_core& core, std::int8_t resource_type, const std::string& resource_name,
                              const std::vector<config_change>& changes, bool replace_all,
                              bool validate_only);

}  // namespace penstock::broker
