// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/settings.h>
#include <penstock/result.h>

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "client/cluster.h"
#include "client/fetcher.h"
#include "connectors/kafka/changelog_rows.h"
#include "io/event_loop.h"

namespace penstock::connectors {

/// Reads changelogs while another process writes them, so that this one has their rows when it takes over.
/// What goes wrong costs nothing but time: `rows` of that topic is null then, and they are read as always.
///
/// Threads: everything on the one that runs the loop.
class changelog_follower {
 public:
  /// `topics` need not exist yet.
  static result<std::unique_ptr<changelog_follower>> start(io::event_loop& loop,
                                                           const kafka::producer_settings& settings,
                                                           std::vector<std::string> topics);
  /// Takes in what has arrived. Call it after handlers ran.
  void step();
  /// Nobody else writes any more: reads all that is committed. Runs the loop; errors only when stopped.
  result<> catch_up(const std::stop_token& stop);
  /// After catch_up: the topic's rows by its id and its partitions' number, or null.
  struct followed {
    std::int32_t partitions = 0;
    std::string id;  ///< empty: not known
    changelog_rows rows;
    std::uint64_t bytes = 0;  ///< of the records that were read
  };
  const followed* rows(const std::string& topic) const;
  std::uint64_t row_count() const;

 private:
  struct topic {
    std::string name;
    followed state;
    std::vector<std::int64_t> next{};  // by partition; empty: not found yet
    bool usable = true;
    io::instant last_at_end{};
    std::size_t tidy_bytes = 0;  // of the rows when they were last tidied up
  };
  changelog_follower(io::event_loop& loop, std::unique_ptr<client::cluster> cluster,
                     std::vector<std::string> topics);
  void find_topics();
  void give_up(topic& t);
  static void tidy_up(topic& t);
  void check_age();
  bool at_end(const topic& t) const;
  result<std::vector<std::int64_t>> ends_of(const topic& t, const std::stop_token& stop);

  io::event_loop& loop_;
  std::unique_ptr<client::cluster> cluster_;
  client::fetcher fetcher_;
  std::vector<topic> topics_;
};

}  // namespace penstock::connectors
