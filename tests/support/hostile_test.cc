// SPDX-License-Identifier: Apache-2.0
// A hostile broker: whatever it answers, the client neither crashes nor hangs nor takes memory without bound,
// and when the answers are good again it goes on. The embedded broker gives the answers, the proxy spoils
// them; seeds are printed.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <penstock/broker.h>
#include <penstock/kafka/admin.h>
#include <penstock/kafka/consumer.h>
#include <penstock/kafka/producer.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <random>

#include "largest_allocation.h"
#include "proxy_thread.h"

namespace penstock::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t most_of_an_answer = 2u << 20;
// What the client has for its buffers (the broker is in here too), and as much again.
constexpr std::size_t most_allocated = 40u << 20;
constexpr auto deadline = 400ms;
// Deadlines add up where one call asks several brokers or tries again; a hang is something else.
constexpr auto patience = 15s;

class a_hostile_broker : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() / fmt::format("penstock-hostile-{}", ::getpid());
    std::filesystem::remove_all(directory_);
    auto started =
        embedded_broker::start({.directory = directory_.string(), .group_min_session_timeout = 100ms});
    ASSERT_TRUE(started) << started.error().message();
    broker_.emplace(std::move(*started));
    proxy_ = std::make_unique<proxy_thread>(broker_->bootstrap_servers(), GetParam());
    std::cout << "seed " << GetParam() << "\n";
  }
  void TearDown() override {
    proxy_.reset();
    if (broker_) {
      EXPECT_TRUE(broker_->stop());
    }
    std::filesystem::remove_all(directory_);
  }

  kafka::connection_settings connection() {
    return {.request_timeout = deadline / 2,
            .connect_timeout = deadline,
            .reconnect_backoff = 1ms,
            .reconnect_backoff_max = 10ms,
            .retry_backoff = 1ms,
            .retry_backoff_max = 10ms,
            .metadata_max_age = 50ms,
            .default_api_timeout = deadline,
            .max_response_bytes = most_of_an_answer};
  }

  /// Calls it; the result may be anything, but it must come. Whether it was a success.
  template <typename Call>
  bool in_time(const char* what, Call call) {
    const auto began = std::chrono::steady_clock::now();
    const bool well = call().has_value();
    const auto took = std::chrono::steady_clock::now() - began;
    EXPECT_LT(took, patience) << what;
    ++calls_;
    succeeded_ += well;
    return well;
  }

  // Each returns whether everything in it succeeded.
  bool administer(const std::string& topic) {
    auto a = kafka::admin::create({.bootstrap_servers = proxy_->address(), .connection = connection()});
    if (!a) return false;
    const kafka::topic_partition tp{topic, 0};
    bool well = in_time("create_topics", [&] {
      return a->create_topics({{.name = topic, .partitions = 2, .replication_factor = 1}});
    });
    well &= in_time("describe_cluster", [&] { return a->describe_cluster(); });
    well &= in_time("list_topics", [&] { return a->list_topics(); });
    well &= in_time("describe_topics", [&] { return a->describe_topics({topic}); });
    well &= in_time("create_partitions", [&] { return a->create_partitions(topic, 3); });
    well &= in_time("describe_configs",
                    [&] { return a->describe_configs(kafka::config_resource::topic, topic); });
    well &= in_time("alter_configs", [&] {
      return a->alter_configs(kafka::config_resource::topic, topic, {{"retention.ms", "1000000"}});
    });
    well &= in_time("list_groups", [&] { return a->list_groups(); });
    well &= in_time("alter_group_offsets", [&] { return a->alter_group_offsets("other", {{topic, 0, 0}}); });
    well &= in_time("describe_group", [&] { return a->describe_group("other"); });
    well &= in_time("group_offsets", [&] { return a->group_offsets("other"); });
    well &= in_time("delete_group", [&] { return a->delete_group("other"); });
    well &= in_time("list_offsets", [&] { return a->list_offsets({tp}, kafka::latest_offset); });
    well &= in_time("delete_records", [&] { return a->delete_records({{tp, 0}}); });
    // Not every broker has these.
    in_time("describe_acls", [&] { return a->describe_acls(); });
    in_time("describe_scram_users", [&] { return a->describe_scram_users(); });
    in_time("describe_client_quotas", [&] { return a->describe_client_quotas(); });
    in_time("describe_log_dirs", [&] { return a->describe_log_dirs(); });
    in_time("elect_leaders", [&] { return a->elect_leaders(kafka::election::preferred, {tp}); });
    in_time("list_reassignments", [&] { return a->list_reassignments({tp}); });
    in_time("delete_group_offsets", [&] { return a->delete_group_offsets("other", {tp}); });
    return well;
  }
  bool produce(const std::string& topic) {
    auto p = kafka::producer::create({.bootstrap_servers = proxy_->address(),
                                      .compression = compression::lz4,
                                      .linger = 0ms,
                                      .delivery_timeout = deadline,
                                      .max_block = deadline,
                                      .connection = connection()});
    if (!p) return false;
    bool well = true;
    for (int i = 0; i < 5; ++i) {
      well &= in_time("send", [&] { return p->send({.topic = topic, .key = "k", .value = "some value"}); });
      well &= in_time("flush", [&] { return p->flush(2 * deadline); });
    }
    return in_time("close", [&] { return p->close(2 * deadline); }) && well;
  }
  bool consume(const std::string& topic, bool in_group) {
    auto c = kafka::consumer::create({.bootstrap_servers = proxy_->address(),
                                      .group_id = "group",
                                      .auto_offset_reset = kafka::offset_reset::earliest,
                                      .session_timeout = 300ms,
                                      .heartbeat_interval = 50ms,
                                      .fetch_max_wait = 20ms,
                                      .connection = connection()});
    if (!c) return false;
    const kafka::topic_partition tp{topic, 0};
    bool well = in_time("subscribe or assign", [&] {
      return in_group ? c->subscribe({topic}) : c->assign({{tp, kafka::earliest_offset}});
    });
    for (int i = 0; i < 8; ++i) {
      well &= in_time("poll", [&]() -> result<> {
        auto batches = c->poll(30ms);
        if (!batches) return fail(batches.error());
        for (const auto& b : *batches)
          for (const auto& r : b.records()) bytes_ += r.key.size() + r.value.size();
        return {};
      });
    }
    well &= in_time("commit_sync", [&] { return c->commit_sync(); });
    well &= in_time("committed", [&] { return c->committed({tp}); });
    well &= in_time("end_offsets", [&] { return c->end_offsets({tp}); });
    well &= in_time("offsets_for_time", [&] { return c->offsets_for_time({tp}, 1000); });
    return in_time("close", [&] { return c->close(2 * deadline); }) && well;
  }
  bool everything(const std::string& topic) {
    bool well = administer(topic);
    well &= produce(topic);
    well &= consume(topic, false);
    well &= consume(topic, true);
    return well;
  }

  std::filesystem::path directory_;
  std::optional<embedded_broker> broker_;
  std::unique_ptr<proxy_thread> proxy_;
  int calls_ = 0, succeeded_ = 0;
  std::size_t bytes_ = 0;
};

TEST_P(a_hostile_broker, does_not_harm_the_client) {
  largest_allocation().store(0);
  // Few spoiled answers, so that all parts of the client meet some, then many.
  int round = 0;
  for (const char* chance : {"0.1", "0.3", "0.7"}) {
    proxy_->rule(fmt::format("garble times=0 chance={}", chance));
    everything(fmt::format("topic-{}", round++));
    proxy_->command("clear");
  }
  const auto garbled = proxy_->events().size();
  std::map<wire::api_key, int> apis;
  for (const auto& e : proxy_->events()) ++apis[e.request.key];
  fmt::print("{} answers spoiled, of {} APIs; {} of {} calls succeeded all the same\n", garbled, apis.size(),
             succeeded_, calls_);
  EXPECT_GT(garbled, 50u);
  EXPECT_GT(apis.size(), 8u);
  EXPECT_LT(largest_allocation().load(), most_allocated);
  // With good answers everything works, on the same broker and proxy.
  EXPECT_TRUE(everything("good"));
}

// One API after the other, the first answers of each.
class a_hostile_api : public a_hostile_broker {};

TEST_P(a_hostile_api, does_not_harm_the_client_either) {
  ASSERT_TRUE(everything("t"));
  std::set<wire::api_key> used;
  for (const auto& r : proxy_->requests()) used.insert(r.key);
  EXPECT_GT(used.size(), 15u);
  largest_allocation().store(0);
  for (const auto key : used) {
    SCOPED_TRACE(std::string(wire::to_string(key)));
    proxy_->rule(fmt::format("garble api={} times=6", wire::to_string(key)));
    everything("t");
    proxy_->command("clear");
  }
  EXPECT_LT(largest_allocation().load(), most_allocated);
}

/// The same few each time, or as many others as PENSTOCK_SEEDS says.
std::vector<std::uint64_t> seeds(std::vector<std::uint64_t> usual) {
  const char* others = std::getenv("PENSTOCK_SEEDS");
  if (others == nullptr) return usual;
  std::vector<std::uint64_t> drawn(std::strtoul(others, nullptr, 10));
  std::random_device device;
  for (auto& seed : drawn) seed = device();
  return drawn;
}

INSTANTIATE_TEST_SUITE_P(seeds, a_hostile_broker, ::testing::ValuesIn(seeds({1, 2, 3})));
INSTANTIATE_TEST_SUITE_P(seeds, a_hostile_api, ::testing::ValuesIn(seeds({1})));

}  // namespace
}  // namespace penstock::testing
