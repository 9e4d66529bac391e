// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/lane.h>
#include <penstock/result.h>

#include <string>

namespace penstock::connectors {

/// The brokers to use: a connector's own, or what the application was started with.
inline result<std::string> brokers_of(const job_info& job, const std::string& own) {
  if (!own.empty()) return own;
  const auto set = job.settings.find("bootstrap.servers");
  if (set != job.settings.end() && !set->second.empty()) return set->second;
  return fail(errc::invalid_argument,
              "'" + job.name + "' has no brokers: set .brokers, or start with --brokers");
}

}  // namespace penstock::connectors
