// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>

namespace penstock::broker {

/// The numbers of DescribeConfigs.
enum class config_type : std::int8_t {
  boolean = 1,
  string = 2,
  int32 = 3,
  int16 = 4,
  int64 = 5,
  float64 = 6,
  list = 7,
};
enum class config_source : std::int8_t {
  topic = 1,
  dynamic_broker = 2,
  dynamic_default_broker = 3,
  static_broker = 4,
  built_in = 5,
};

/// One setting of a topic or of the broker: what it is called, what it may be, what it is when nobody said.
struct config_definition {
  std::string_view name;
  config_type type;
  std::string_view standard;     ///< the value when nothing is set
  std::string_view broker_name;  ///< of a topic's: the broker's setting that gives the default; may be empty
  std::int64_t min = std::numeric_limits<std::int64_t>::min();
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
  std::string_view
      choices;            ///< of strings and lists: the words allowed, separated by commas; empty: anything
  std::string_view text;  ///< one sentence
};

/// Ordered by name.
std::span<const config_definition> topic_configs() noexcept;
std::span<const config_definition> broker_configs() noexcept;  ///< those that are not a topic's default

const config_definition* find_topic_config(std::string_view name) noexcept;
const config_definition* find_broker_config(std::string_view name) noexcept;
/// The topic's setting whose default the broker setting `broker_name` is.
const config_definition* find_topic_config_by_broker_name(std::string_view broker_name) noexcept;

/// errc::invalid_argument with a sentence that names the setting, when the value cannot be.
result<> check_config(const config_definition& definition, std::string_view value);

}  // namespace penstock::broker
