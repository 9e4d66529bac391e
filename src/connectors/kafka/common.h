// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/settings.h>
#include <penstock/lane.h>
#include <penstock/result.h>

#include <charconv>
#include <chrono>
#include <cstdint>
#include <string>
#include <system_error>

namespace penstock::connectors {

/// The brokers to use: a connector's own, or what the application was started with.
inline result<std::string> brokers_of(const job_info& job, const std::string& own) {
  if (!own.empty()) return own;
  const auto set = job.settings.find("bootstrap.servers");
  if (set != job.settings.end() && !set->second.empty()) return set->second;
  return fail(errc::invalid_argument,
              "'" + job.name + "' has no brokers: set .brokers, or start with --brokers");
}

/// A connector's own settings, with what the application was started with where those say nothing else.
inline kafka::connection_settings connection_of(const job_info& job, kafka::connection_settings own) {
  const auto age = job.settings.find("metadata.max.age.ms");
  std::int64_t ms = 0;
  if (age == job.settings.end() || own.metadata_max_age != kafka::connection_settings{}.metadata_max_age)
    return own;
  const std::string& text = age->second;
  if (std::from_chars(text.data(), text.data() + text.size(), ms).ec == std::errc{} && ms > 0)
    own.metadata_max_age = std::chrono::milliseconds(ms);
  return own;
}

}  // namespace penstock::connectors
