// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/admin.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "client/admin_client.h"
#include "client/blocking.h"
#include "client/cluster.h"

namespace penstock::kafka {

/// The calling thread runs the loop while it waits for an answer.
struct admin::impl {
  explicit impl(admin_settings s) : settings(std::move(s)) {}

  admin_settings settings;
  std::atomic<bool> cancelled{false};
  io::event_loop loop;
  std::unique_ptr<client::cluster> cluster;
  std::unique_ptr<client::admin_client> client;

  // The operations end by themselves at their deadlines; this is for those that need several requests.
  io::instant deadline() const { return cluster->now() + settings.connection.default_api_timeout; }
  io::instant patience() const { return deadline() + std::chrono::seconds(1); }

  template <typename T, typename Start>
  result<T> wait(const char* what, Start start) {
    return client::wait_for<T>(loop, patience(), what, std::move(start), &cancelled);
  }
  /// For `count` things; if there is no answer at all, that is each one's result.
  template <typename T, typename Start>
  outcomes<T> wait_each(std::size_t count, const char* what, Start start) {
    auto all = wait<client::each<T>>(what, std::move(start));
    if (all) return outcomes<T>(std::move(*all));
    return outcomes<T>(client::each<T>(std::max<std::size_t>(count, 1), fail(all.error())));
  }
};

}  // namespace penstock::kafka
