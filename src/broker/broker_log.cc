// SPDX-License-Identifier: Apache-2.0
#include "broker/broker_log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace penstock::broker {

spdlog::logger& broker_log() {
  static const std::shared_ptr<spdlog::logger> logger = [] {
    auto registered = spdlog::get("penstock");
    return registered != nullptr ? registered : spdlog::stderr_color_mt("penstock");
  }();
  return *logger;
}

}  // namespace penstock::broker
