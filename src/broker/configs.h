// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/compression.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "broker/config_table.h"
#include "broker/metadata_file.h"
#include "broker/server.h"
#include "log/log_config.h"

namespace penstock::broker {

/// A topic's settings, ready for use.
struct topic_settings {
  log::log_config log;
  std::int64_t max_message_bytes = 1048588;
  std::int64_t timestamp_before_max_ms = 0;
  std::int64_t timestamp_after_max_ms = 0;
  std::optional<compression> recompress;  ///< nothing: batches stay as they came
  int compression_level = default_compression_level;
  bool compacted = false;
  bool deletes = true;  ///< cleanup.policy contains delete
};

struct config_value {
  std::string value;
  config_source source = config_source::built_in;
  std::string name;  ///< of the setting that the value is from: a topic's may come from the broker's
};

/// Finds what a setting is: the topic's own, else the broker's for all topics, else what the broker was
/// started with, else the built-in value. Borrows the metadata; a value.
class configs {
 public:
  configs(const server_options& options, const broker_metadata& metadata)
      : options_(&options), metadata_(&metadata) {}

  /// All values, the one that counts first, the built-in one last.
  std::vector<config_value> topic_values(const config_map& overrides, const config_definition& d) const;
  /// The same for a setting of the broker, by the broker's name for it.
  std::vector<config_value> broker_values(std::string_view name, const config_definition& d) const;

  topic_settings settings(const config_map& overrides) const;
  /// A broker setting as a number; `d` must be one of the broker's.
  std::int64_t broker_number(std::string_view name) const;
  bool auto_create_topics() const;

  /// What changes in a broker's settings without a restart.
  static bool dynamic(std::string_view broker_config_name);
  std::string broker_resource() const { return std::to_string(options_->node_id); }
  void listening_on(std::string listener, std::string advertised) {
    listener_ = std::move(listener);
    advertised_ = std::move(advertised);
  }

 private:
  std::optional<std::string> started_with(std::string_view broker_name) const;
  void add_broker_values(std::string_view broker_name, std::vector<config_value>& out) const;

  const server_options* options_;
  const broker_metadata* metadata_;
  std::string listener_;
  std::string advertised_;
};

}  // namespace penstock::broker
