// SPDX-License-Identifier: Apache-2.0
#include "connectors/kafka/epochs.h"

#include <fmt/format.h>
#include <penstock/kafka/admin.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "connectors/kafka/changelog.h"
#include "connectors/kafka/common.h"
#include "io/failpoint.h"
#include "io/random.h"
#include "wire/error_code.h"

namespace penstock::connectors {
namespace {

using namespace std::chrono_literals;
using wire::error_code;

constexpr std::int32_t changelog_partitions = 4;
constexpr std::chrono::milliseconds least_timeout = 20s;
constexpr std::string_view run_mark = " run=";

/// Of this process.
const std::string& run_name() {
  static const std::string name = fmt::format("{:016x}", io::random_source::system().next());
  return name;
}
/// Applications that ran in this process: a second start of one is a restart.
bool ran_before(const std::string& application) {
  static std::mutex mutex;
  static std::set<std::string> known;
  const std::lock_guard lock(mutex);
  return !known.insert(application).second;
}

std::chrono::milliseconds interval_of(const job_info& job) {
  std::int64_t ms = 0;
  const auto set = job.settings.find("commit.interval.ms");
  if (set != job.settings.end())
    std::from_chars(set->second.data(), set->second.data() + set->second.size(), ms);
  return std::chrono::milliseconds(ms);
}

}  // namespace

std::string_view without_run_mark(std::string_view metadata) {
  return metadata.substr(0, metadata.find(run_mark));
}

std::string changelog_name(std::string_view application, std::string_view op) {
  std::string name = fmt::format("{}-{}-changelog", application, op);
  for (char& c : name) {
    const bool legal = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '.' || c == '_' || c == '-';
    if (!legal) c = '_';
  }
  return name;
}

result<std::unique_ptr<epoch_transactions>> kafka_epochs::create(const kafka::source& source,
                                                                 const job_info& job) {
  auto brokers = brokers_of(job, source.brokers);
  if (!brokers) return fail(brokers.error());
  kafka::producer_settings s;
  s.bootstrap_servers = *brokers;
  s.connection = source.connection;
  s.transactional_id = job.application + "-0";
  if (io::broken("no-fencing")) s.transactional_id += run_name();
  s.batch_size = 256u << 10;
  s.buffer_memory = 64u << 20;
  s.linger = 5ms;
  // E5. An epoch that lasts a minute wants a long time; brokers allow 15 minutes unless told otherwise.
  s.transaction_timeout = std::max(least_timeout, 4 * interval_of(job));
  s.delivery_timeout = s.transaction_timeout / 2;
  return std::make_unique<kafka_epochs>(std::move(s), job.application);
}

kafka_epochs::kafka_epochs(kafka::producer_settings settings, std::string application)
    : settings_(std::move(settings)), application_(std::move(application)) {}

kafka_epochs::~kafka_epochs() = default;

/// At a restart: whether another process has become this application meanwhile. Then it goes on and this one
/// does not: else both would shut each other out for ever.
result<> kafka_epochs::check_alone() const {
  auto admin = kafka::admin::create(
      {.bootstrap_servers = settings_.bootstrap_servers, .connection = settings_.connection});
  if (!admin) return fail(admin.error());
  auto offsets = admin->group_offsets(application_);
  if (!offsets) return fail(offsets.error());
  for (const auto& o : *offsets) {
    const auto at = o.position.metadata.find(run_mark);
    if (at == std::string::npos || o.position.metadata.substr(at + run_mark.size()) == run_name()) continue;
    return fail(errc::cancelled,
                fmt::format("another process runs as the application '{}' and has taken over: this one ends",
                            application_));
  }
  return {};
}

result<> kafka_epochs::take_over() {
  if (ran_before(application_)) {
    if (auto alone = check_alone(); !alone) return alone;
  }
  auto made = transactional_producer::create(settings_);
  if (!made) return fail(std::move(made.error()));
  producer_ = std::move(*made);
  if (auto r = io::failpoint("take_over.connected"); !r) return r;
  if (auto done = producer_->init(); !done)
    return fail(done.error().with_context(fmt::format("taking over as '{}'", settings_.transactional_id)));
  return {};
}

result<> kafka_epochs::prepare(const std::vector<std::string>& operators) {
  if (auto r = io::failpoint("changelogs.before"); !r) return r;
  if (operators.empty()) return {};
  auto admin = kafka::admin::create(
      {.bootstrap_servers = settings_.bootstrap_servers, .connection = settings_.connection});
  if (!admin) return fail(admin.error());
  for (const std::string& op : operators) {
    changelog_topic topic{changelog_name(application_, op), 0};
    auto there = admin->describe_topics({topic.name});
    if (!there && there.error().kind() == errc::not_found) {
      auto made = admin->create_topics({{.name = topic.name,
                                         .partitions = changelog_partitions,
                                         .configs = {{"cleanup.policy", "compact"},
                                                     {"segment.bytes", "67108864"},
                                                     {"min.cleanable.dirty.ratio", "0.2"}}}});
      if (!made && made.error().kind() != errc::already_exists)
        return fail(made.error().with_context(fmt::format("the topic for the state of '{}'", op)));
      if (auto r = admin->await_topics({topic.name}, 30s); !r) return r;
      there = admin->describe_topics({topic.name});
    }
    if (!there) return fail(there.error());
    topic.partitions = static_cast<std::int32_t>(there->front().partitions.size());
    changelogs_.push_back(std::move(topic));
    if (auto r = io::failpoint("changelogs.made"); !r) return r;
  }
  return {};
}

result<std::unique_ptr<lane_transactions>> kafka_epochs::open_lane(const lane_context& lane) {
  return changelog::create(*this, lane, settings_);
}

void kafka_epochs::commit(std::uint64_t, std::vector<epoch_position> positions,
                          std::function<void(result<>)> done) {
  if (auto r = io::failpoint("commit.posted"); !r) return done(std::move(r));
  std::vector<kafka::partition_offset> offsets;
  offsets.reserve(positions.size());
  for (epoch_position& p : positions) {
    p.metadata.append(run_mark).append(run_name());
    offsets.push_back({{p.topic, p.partition}, {.offset = p.position, .metadata = std::move(p.metadata)}});
  }
  if (io::broken("offsets-outside")) {
    auto admin = kafka::admin::create({.bootstrap_servers = settings_.bootstrap_servers});
    static_cast<void>(admin->alter_group_offsets(application_, offsets));
    offsets.clear();
  }
  producer_->commit(std::move(offsets), application_, std::move(done));
}

bool kafka_epochs::may_pass(const error& why) const {
  if (why.retriable() || why.what_to_do() == recovery::abort_transaction) return true;
  switch (why.kind()) {
    case errc::io:
    case errc::timeout:
    case errc::closed: return true;
    case errc::kafka: break;
    default: return false;
  }
  switch (static_cast<error_code>(why.kafka_code())) {
    case error_code::producer_fenced:
    case error_code::invalid_producer_epoch:
    case error_code::invalid_txn_state:
    case error_code::invalid_producer_id_mapping:
    case error_code::unknown_producer_id:
    case error_code::out_of_order_sequence_number:
    case error_code::transaction_coordinator_fenced:
    case error_code::transaction_abortable:
    case error_code::unknown_server_error: return true;
    default: return wire::retriable(static_cast<error_code>(why.kafka_code()));
  }
}

}  // namespace penstock::connectors
