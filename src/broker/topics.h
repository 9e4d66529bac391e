// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/unique_function.h"
#include "broker/configs.h"
#include "broker/metadata_file.h"
#include "log/partition_log.h"

namespace penstock::broker {

struct parked_fetch;
struct topic;

/// One partition of a topic at run time. Its log is opened at the broker's start if its directory is there,
/// otherwise when somebody first needs it: a topic of many partitions costs nothing until they are used.
struct partition {
  topic* owner = nullptr;
  std::int32_t index = 0;
  std::shared_ptr<log::partition_log> log;  ///< null: not opened yet, and empty

  std::vector<std::shared_ptr<parked_fetch>> waiting;  ///< fetches that want to know of appends
  bool unsynced = false;                               ///< on the list of what the flush thread does next

  std::string name() const;  ///< "topic-3"
};

struct topic {
  topic_record record;
  topic_settings settings;
  bool internal = false;
  std::vector<std::unique_ptr<partition>> partitions;

  const std::string& name() const noexcept { return record.name; }
  partition* find(std::int32_t index) {
    return index >= 0 && static_cast<std::size_t>(index) < partitions.size()
               ? partitions[static_cast<std::size_t>(index)].get()
               : nullptr;
  }
};

struct new_topic {
  std::string name;
  std::int32_t partitions = 1;
  config_map configs;
};

/// Whether a topic may be called so: 1 to 249 of [a-zA-Z0-9._-], not "." or "..".
result<> check_topic_name(std::string_view name);
inline constexpr std::string_view offsets_topic = "__consumer_offsets";
inline constexpr std::string_view transactions_topic = "__transaction_state";
inline bool is_internal_topic(std::string_view name) {
  return name == offsets_topic || name == transactions_topic;
}

/// The topics: durable in the metadata file, their logs beside it. One thread (the server's).
class topic_catalog {
 public:
  topic_catalog(const server_options& options, const environment& env, broker_metadata& metadata,
                const configs& settings);

  /// Makes every topic of the metadata, and opens the logs whose directories are there. `clean` says that all
  /// logs were closed by the last process.
  result<> open_all(bool clean);

  topic* find(std::string_view name);
  topic* find(const wire::uuid& id);
  /// By name.
  const std::map<std::string, std::unique_ptr<topic>, std::less<>>& all() const noexcept { return topics_; }

  /// All of them or none, durable when it returns. Names and configs have been checked.
  result<> create(const std::vector<new_topic>& wanted);
  result<> add_partitions(topic& t, std::int32_t total);
  result<> set_configs(topic& t, config_map configs_);
  /// After a broker-wide setting changed.
  void apply_settings();

  /// The log, opened now if it was not.
  result<log::partition_log*> open_log(partition& p);

  /// Takes the topic out, durably; its directories are listed in the metadata until finish_removal. The
  /// returned topic keeps its logs open: whoever uses them on other threads must be waited for first.
  result<std::unique_ptr<topic>> remove(topic& t);
  /// Removes the directories of a removed topic. Any thread.
  static result<> remove_directories(io::file_system& fs, const std::string& data, const topic_record& t);
  /// The topic's directories are gone: its name may be used again. The file is told with the next change;
  /// should that not come, the next start finds nothing to remove.
  void finish_removal(const topic_record& t);
  /// True while directories of a removed topic of this name are there.
  bool being_removed(std::string_view name) const;

  result<> save();  ///< writes the metadata file
  std::vector<std::shared_ptr<log::partition_log>> open_logs() const;

 private:
  topic& make(const topic_record& record);
  std::string directory_of(const partition& p) const;

  const server_options& options_;
  environment env_;
  broker_metadata& metadata_;
  const configs& configs_;
  std::map<std::string, std::unique_ptr<topic>, std::less<>> topics_;
  std::unordered_map<wire::uuid, topic*> by_id_;
  bool clean_ = false;
};

}  // namespace penstock::broker
