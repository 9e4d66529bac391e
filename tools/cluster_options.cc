// SPDX-License-Identifier: Apache-2.0
#include "cluster_options.h"

namespace penstock::tools {

result<kafka::properties> cluster_options::properties() const {
  kafka::properties all;
  if (!config_file.empty()) {
    const auto read = kafka::properties::read(config_file);
    if (!read) return fail(read.error().with_context("--config-file"));
    all.add(*read);
  }
  if (!brokers.empty()) all.set("bootstrap.servers", brokers, "--brokers");
  for (const auto& pair : settings) {
    if (auto taken = all.set_pair(pair, "-X"); !taken) return fail(taken.error());
  }
  return all;
}

result<> cluster_options::check_brokers(const std::string& bootstrap_servers) {
  if (!bootstrap_servers.empty()) return {};
  return fail(errc::invalid_argument,
              "no broker is named: give --brokers host:port, or bootstrap.servers with --config-file or -X");
}

void add_cluster_options(command c, cluster_options& o) {
  const auto brokers =
      c.value("--brokers,-b", o.brokers, "host:port of one or more brokers, with commas between");
  const auto file =
      c.value("--config-file,-F", o.config_file, "a properties file with settings by Kafka's names");
  const auto setting =
      c.values("-X", o.settings,
               "NAME=VALUE, a setting by Kafka's name; may be given several times (see penstock settings)");
  c.needs_one_of({brokers, file, setting}, "--brokers (or bootstrap.servers in --config-file or -X)");
}

}  // namespace penstock::tools
