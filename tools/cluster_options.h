// SPDX-License-Identifier: Apache-2.0
// How a command reaches a cluster: --brokers, --config-file and -X, which every command that talks to one
// has.
#pragma once

#include <penstock/kafka/properties.h>
#include <penstock/kafka/settings.h>

#include <string>
#include <vector>

#include "arguments.h"

namespace penstock::tools {

struct cluster_options {
  std::string brokers;
  std::string config_file;
  std::vector<std::string> settings;  ///< NAME=VALUE

  /// All of them: the file's, then --brokers, then -X, each over those before.
  result<kafka::properties> properties() const;
  /// Sets them in `s`, over what the command's own options have set there.
  template <typename Settings>
  result<> apply(Settings& s) const {
    const auto given = properties();
    if (!given) return fail(given.error());
    if (auto applied = s.apply(*given); !applied) return applied;
    return check_brokers(s.bootstrap_servers);
  }

 private:
  static result<> check_brokers(const std::string& bootstrap_servers);
};

void add_cluster_options(command c, cluster_options& o);

}  // namespace penstock::tools
