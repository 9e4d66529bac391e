// SPDX-License-Identifier: Apache-2.0
// penstock cluster describe | features | log-dirs
#include <fmt/format.h>

#include <memory>

#include "admin_tool.h"
#include "output.h"

namespace penstock::tools {
namespace {

struct options {
  cluster_options cluster;
};

result<> describe(kafka::admin& admin, const options&) {
  const auto cluster = admin.describe_cluster();
  if (!cluster) return fail(cluster.error());
  std::string out = fmt::format("cluster {}  controller {}\n{:>6}  {:<28} {}\n", cluster->cluster_id,
                                cluster->controller_id, "broker", "address", "rack");
  for (const auto& b : cluster->brokers)
    out += fmt::format("{:>6}  {:<28} {}\n", b.id, fmt::format("{}:{}", b.host, b.port),
                       b.rack.empty() ? "-" : b.rack);
  return print(out);
}

result<> features(kafka::admin& admin, const options&) {
  const auto all = admin.describe_features();
  if (!all) return fail(all.error());
  std::string out = fmt::format("{:<32} {:>8} {:>8} {:>8}\n", "feature", "in force", "lowest", "highest");
  for (const auto& f : *all)
    out += fmt::format("{:<32} {:>8} {:>8} {:>8}\n", f.name,
                       f.finalized < 0 ? "-" : std::to_string(f.finalized), f.min_supported, f.max_supported);
  return print(out);
}

result<> log_dirs(kafka::admin& admin, const options&) {
  const auto all = admin.describe_log_dirs();
  if (!all) return fail(all.error());
  std::string out;
  for (const auto& b : *all)
    for (const auto& d : b.directories) {
      out += fmt::format("broker {}  {}  {}\n", b.broker, d.path, d.failure ? d.failure->message() : "");
      for (const auto& r : d.replicas)
        out +=
            fmt::format("{:>16}  {}{}\n", r.bytes, to_string(r.partition), r.future ? "  (moving here)" : "");
    }
  return print(out);
}

}  // namespace

void add_cluster(command root) {
  auto o = std::make_shared<options>();
  auto cluster = root.add("cluster", "What a cluster consists of");
  add_admin_command(cluster, "describe", "Its id, controller and brokers", o, describe);
  add_admin_command(cluster, "features", "What it supports and what is in force", o, features);
  add_admin_command(cluster, "log-dirs", "What each broker keeps where, in bytes", o, log_dirs);
}

}  // namespace penstock::tools
