// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/admin.h>

#include <functional>
#include <memory>
#include <stop_token>
#include <utility>

namespace penstock::connectors {

/// An admin client for the start of a job: its calls end with errc::cancelled once the job is to stop.
class job_admin {
 public:
  static result<job_admin> create(kafka::admin_settings settings, const std::stop_token& stop) {
    auto made = kafka::admin::create(std::move(settings));
    if (!made) return fail(std::move(made.error()));
    return job_admin(std::make_unique<parts>(std::move(*made), stop));
  }
  kafka::admin& operator*() const noexcept { return parts_->admin; }
  kafka::admin* operator->() const noexcept { return &parts_->admin; }

 private:
  struct parts {
    parts(kafka::admin a, const std::stop_token& stop)
        : admin(std::move(a)), on_stop(stop, [this] { admin.cancel(); }) {}
    kafka::admin admin;
    std::stop_callback<std::function<void()>> on_stop;
  };
  explicit job_admin(std::unique_ptr<parts> p) : parts_(std::move(p)) {}
  std::unique_ptr<parts> parts_;
};

}  // namespace penstock::connectors
