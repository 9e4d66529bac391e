// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <penstock/kafka/admin.h>
#include <penstock/kafka/sink.h>

#include <utility>

#include "connectors/kafka/common.h"
#include "connectors/kafka/epoch_writer.h"
#include "connectors/kafka/job_admin.h"
#include "connectors/kafka/sink_writer.h"

namespace penstock::kafka {
namespace {

class kafka_sink_connector final : public sink_connector {
 public:
  explicit kafka_sink_connector(sink options) : options_(std::move(options)) {}

  std::string describe() const override { return "kafka topic " + options_.topic; }

  void validate(std::vector<std::string>& problems) const override {
    if (options_.topic.empty()) problems.push_back("a kafka::sink needs a .topic");
    if (options_.acks == acks::none)
      problems.push_back("a kafka::sink with acks none cannot tell whether its records arrived");
  }

  result<> prepare(const job_info& job) override {
    auto brokers = connectors::brokers_of(job, options_.brokers);
    if (!brokers) return fail(brokers.error());
    auto made_admin = connectors::job_admin::create(
        {.bootstrap_servers = *brokers, .connection = options_.connection}, job.stop);
    if (!made_admin) return fail(made_admin.error());
    kafka::admin& admin = **made_admin;
    auto there = admin.describe_topics({options_.topic});
    if (there) return {};
    if (there.error().kind() != errc::not_found || !options_.create)
      return fail(there.error().with_context(fmt::format("sink '{}'", job.name)));
    const create_topic& c = *options_.create;
    auto made = admin.create_topics({{.name = options_.topic,
                                      .partitions = c.partitions,
                                      .replication_factor = c.replication_factor,
                                      .configs = c.configs}});
    if (!made && made.error().kind() != errc::already_exists)
      return fail(made.error().with_context(fmt::format("sink '{}'", job.name)));
    return admin.await_topics({options_.topic}, std::chrono::seconds(10));
  }

  std::string transaction_domain(const job_info& job) const override {
    auto brokers = connectors::brokers_of(job, options_.brokers);
    return brokers ? "kafka at " + *brokers : "";
  }
  result<std::unique_ptr<sink_writer>> open_writer(const lane_context& lane) override {
    if (lane.transactions != nullptr)
      return std::make_unique<connectors::epoch_writer>(
          options_, dynamic_cast<connectors::kafka_epochs&>(*lane.transactions), lane.loop);
    return connectors::kafka_sink_writer::create(options_, lane);
  }

 private:
  sink options_;
};

}  // namespace

std::unique_ptr<sink_connector> sink::make_sink() const {
  return std::make_unique<kafka_sink_connector>(*this);
}

}  // namespace penstock::kafka
