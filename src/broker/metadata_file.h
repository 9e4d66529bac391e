// SPDX-License-Identifier: Apache-2.0
// What the broker knows beside its logs, in one text file, `penstock-meta`, that is replaced whole at every
// change:
//
//   penstock-meta 1
//   cluster <cluster id>
//   epoch <leader epoch of the last start>
//   next-producer <first producer id never given out>
//   broker-config <resource> <name> <value>      resource: the broker's number, or * for every broker's
//   default topic <id> <partitions> <name> topic-config <topic> <name> <value> deleted <id> <partitions>
//   <name>             its directories are still to be removed end <CRC-32C of everything before this line,
//   eight hex digits>
//
// Fields end at a blank; in values and names %, control characters and blanks are written %XX.
#pragma once

#include <penstock/result.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "io/file.h"
#include "wire/uuid.h"

namespace penstock::broker {

using config_map = std::map<std::string, std::string, std::less<>>;

struct topic_record {
  std::string name;
  wire::uuid id;
  std::int32_t partitions = 1;
  config_map configs;
  friend bool operator==(const topic_record&, const topic_record&) = default;
};

struct broker_metadata {
  std::string cluster_id;
  std::int32_t leader_epoch = -1;
  std::int64_t next_producer_id = 0;
  std::map<std::string, config_map, std::less<>> broker_configs;
  std::map<std::string, topic_record, std::less<>> topics;
  std::vector<topic_record> deleted;
  friend bool operator==(const broker_metadata&, const broker_metadata&) = default;
};

std::string encode(const broker_metadata& m);
/// errc::corrupt, naming the line.
result<broker_metadata> decode_metadata(std::string_view text);

/// The file in `directory`; a value with an empty cluster id when there is none yet.
result<broker_metadata> read_metadata(io::file_system& fs, const std::string& directory);
result<> write_metadata(io::file_system& fs, const std::string& directory, const broker_metadata& m);

}  // namespace penstock::broker
