// SPDX-License-Identifier: Apache-2.0
// For tests: a transactional producer on a fake cluster, with calls that run the loop until they are
// answered.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/fake_cluster.h"
#include "client/producer.h"
#include "client/transactions.h"

namespace penstock::client::testing {

inline kafka::producer_settings transactional_settings(const fake_cluster& kafka) {
  using namespace std::chrono_literals;
  kafka::producer_settings s;
  s.bootstrap_servers = kafka.bootstrap();
  s.transactional_id = "app-0";
  s.linger = 0ms;
  s.batch_size = 256;
  s.delivery_timeout = 10s;
  s.connection.request_timeout = 2s;
  s.connection.retry_backoff = 2ms;
  s.connection.retry_backoff_max = 10ms;
  s.connection.reconnect_backoff = 2ms;
  s.connection.reconnect_backoff_max = 10ms;
  return s;
}

class transactional {
 public:
  transactional(io::event_loop& loop, const kafka::producer_settings& settings)
      : loop_(loop),
        cluster_(std::move(*cluster::create(loop, settings.bootstrap_servers, settings.connection))),
        producer_(std::make_unique<producer>(*cluster_, settings)) {}

  transactions& control() { return *producer_->transactions(); }
  producer& records() { return *producer_; }
  kafka::transaction_status status() { return control().status(); }

  template <typename Start>
  result<> wait(Start start) {
    // The answer may come after the test gave up waiting.
    auto outcome = std::make_shared<std::optional<result<>>>();
    start([outcome](result<> r) { *outcome = std::move(r); });
    EXPECT_TRUE(run_until(
        loop_, [&] { return outcome->has_value(); }, std::chrono::seconds(30)));
    return outcome->value_or(fail(errc::internal, "the test waited too long"));
  }
  result<> init(std::chrono::milliseconds timeout = std::chrono::seconds(20)) {
    return wait([&](auto done) { control().init(loop_.time().now() + timeout, std::move(done)); });
  }
  result<> resume(kafka::producer_identity who) {
    return wait([&](auto done) {
      control().resume(who, loop_.time().now() + std::chrono::seconds(20), std::move(done));
    });
  }
  result<> begin() { return control().begin(); }
  result<> send(const std::string& value, std::int32_t partition = 0) {
    for (;;) {
      auto sent = producer_->try_send({.topic = "t", .value = value, .partition = partition});
      if (!sent) return fail(sent.error());
      if (*sent == append_status::accepted) return {};
      loop_.run_some_until(loop_.time().now() + std::chrono::seconds(1));
    }
  }
  result<> send_offset(std::int64_t offset, kafka::group_metadata group = {.group_id = "g"},
                       std::chrono::milliseconds timeout = std::chrono::seconds(20)) {
    return wait([&](auto done) {
      control().send_offsets({{{"in", 0}, {.offset = offset}}}, std::move(group),
                             loop_.time().now() + timeout, std::move(done));
    });
  }
  result<> commit(std::chrono::milliseconds timeout = std::chrono::seconds(20)) {
    return wait([&](auto done) { control().commit(loop_.time().now() + timeout, std::move(done)); });
  }
  result<> abort(std::chrono::milliseconds timeout = std::chrono::seconds(20)) {
    return wait([&](auto done) { control().abort(loop_.time().now() + timeout, std::move(done)); });
  }

 private:
  io::event_loop& loop_;
  std::unique_ptr<cluster> cluster_;
  std::unique_ptr<producer> producer_;
};

}  // namespace penstock::client::testing
