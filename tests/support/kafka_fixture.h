// SPDX-License-Identifier: Apache-2.0
// What the client's tests against a broker share: the embedded one, or, with KAFKA_BOOTSTRAP set, any other
// (KAFKA_VERSION says which Kafka that is).
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <penstock/broker.h>
#include <penstock/kafka/admin.h>
#include <penstock/kafka/consumer.h>
#include <penstock/kafka/producer.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace penstock::kafka::testing {

/// The value, or an exception with the error's sentence, which fails the test.
template <typename T>
auto good(result<T> r) {
  if (!r) throw std::runtime_error(r.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*r);
}

/// Looks again and again until `done` says so; false after `patience`.
inline bool eventually(const std::function<bool()>& done,
                       std::chrono::seconds patience = std::chrono::seconds(30)) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!done()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

/// One broker for all tests of a suite. Each test makes topics and groups of its own.
class with_broker : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (const char* given = std::getenv("KAFKA_BOOTSTRAP")) {
      bootstrap = given;
      return;
    }
    const auto* suite = ::testing::UnitTest::GetInstance()->current_test_suite();
    directory =
        std::filesystem::temp_directory_path() / fmt::format("penstock-{}-{}", suite->name(), ::getpid());
    std::filesystem::remove_all(directory);
    start_broker({.directory = directory.string(),
                  .auto_create_topics = false,
                  .group_min_session_timeout = std::chrono::milliseconds(100)});
  }
  static void TearDownTestSuite() {
    if (!broker) return;
    EXPECT_TRUE(broker->stop());
    broker.reset();
    std::filesystem::remove_all(directory);
  }
  static void start_broker(broker_options options) {
    broker.emplace(good(embedded_broker::start(std::move(options))));
    bootstrap = broker->bootstrap_servers();
  }
  /// Kafka 0.10: no producer ids, no headers.
  static bool is_very_old() {
    const char* version = std::getenv("KAFKA_VERSION");
    return !broker && version != nullptr && std::string_view(version).starts_with("0.10");
  }
  /// Commits with leader epochs came with Kafka 2.1.
  static bool keeps_epochs() {
    const char* version = std::getenv("KAFKA_VERSION");
    if (broker || version == nullptr) return true;
    const std::string_view v(version);
    return !v.starts_with("0.") && !v.starts_with("1.") && !v.starts_with("2.0");
  }
  /// Apache Kafka allows none below six seconds unless it is told so.
  static std::chrono::milliseconds session_timeout() {
    return std::chrono::milliseconds(broker ? 600 : 6000);
  }

  std::string name(const char* kind) {
    return fmt::format("{}-{}-{}-{}", kind, ::testing::UnitTest::GetInstance()->current_test_info()->name(),
                       ::getpid(), next_name++);
  }
  void make(const std::string& topic, std::int32_t partitions,
            const std::map<std::string, std::string>& configs = {}) {
    auto a = admin();
    good<void>(a.create_topics(
        {{.name = topic, .partitions = partitions, .replication_factor = 1, .configs = configs}}));
    good(a.await_topics({topic}, std::chrono::seconds(15)));
  }
  std::string topic(std::int32_t partitions, const std::map<std::string, std::string>& configs = {}) {
    auto t = name("t");
    make(t, partitions, configs);
    return t;
  }
  kafka::admin admin() { return good(kafka::admin::create({.bootstrap_servers = bootstrap})); }
  kafka::producer producer(producer_settings s = {}) {
    s.bootstrap_servers = bootstrap;
    if (is_very_old()) s.idempotence = false;
    return good(kafka::producer::create(std::move(s)));
  }

  static inline std::optional<embedded_broker> broker;
  static inline std::filesystem::path directory;
  static inline std::string bootstrap;
  static inline int next_name = 0;
};

}  // namespace penstock::kafka::testing
