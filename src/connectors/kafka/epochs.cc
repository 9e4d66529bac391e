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
#include "connectors/kafka/offset_marks.h"
#include "io/failpoint.h"
#include "io/random.h"
#include "wire/error_code.h"

namespace penstock::connectors {
namespace {

using namespace std::chrono_literals;
using wire::error_code;

constexpr std::chrono::milliseconds least_timeout = 20s;

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
  s.allow_auto_create_topics = false;  // a topic that is gone is an error, not an empty one (S18)
  // Nothing is visible before the epoch's end, which sends what lingers: so it costs no time, and short
  // epochs are one request a broker.
  s.linger = std::clamp<std::chrono::milliseconds>(interval_of(job), 5ms, 50ms);
  // E5. An epoch that lasts a minute wants a long time; brokers allow 15 minutes unless told otherwise.
  s.transaction_timeout = std::max(least_timeout, 4 * interval_of(job));
  s.delivery_timeout = s.transaction_timeout / 2;
  return std::make_unique<kafka_epochs>(std::move(s), source, job);
}

kafka_epochs::kafka_epochs(kafka::producer_settings settings, const kafka::source& source,
                           const job_info& job)
    : settings_(std::move(settings)),
      application_(job.application),
      job_(job),
      source_topics_(source.topics),
      await_topics_(source.await_topics) {}

kafka_epochs::~kafka_epochs() = default;

result<job_admin> kafka_epochs::connect_admin() const {
  return job_admin::create(
      {.bootstrap_servers = settings_.bootstrap_servers, .connection = settings_.connection}, job_.stop);
}

/// At a restart: whether another process has become this application meanwhile. Then it goes on and this one
/// does not: else both would shut each other out for ever.
result<> kafka_epochs::check_alone() const {
  auto admin = connect_admin();
  if (!admin) return fail(std::move(admin.error()));
  auto offsets = (*admin)->group_offsets(application_);
  if (!offsets) return fail(offsets.error());
  for (const auto& o : *offsets) {
    const std::string_view run = decode_marks(o.position.metadata).run;
    if (run.empty() || run == run_name()) continue;
    return fail(errc::cancelled,
                fmt::format("another process runs as the application '{}' and has taken over: this one ends",
                            application_));
  }
  return {};
}

result<> kafka_epochs::take_over(const std::vector<std::string>& operators) {
  // Before anybody is disturbed.
  auto names = changelog_names(application_, operators);
  if (!names) return fail(std::move(names.error()));
  if (job_.standby.count() != 0) {
    if (auto turn = await_turn(*names); !turn) return turn;
  } else if (ran_before(application_)) {
    if (auto alone = check_alone(); !alone) return alone;
  }
  auto made = transactional_producer::create(settings_);
  if (!made) return fail(std::move(made.error()));
  producer_ = std::move(*made);
  if (auto r = io::failpoint("take_over.connected"); !r) return r;
  if (auto done = producer_->init(job_.stop); !done)
    return fail(done.error().with_context(fmt::format("taking over as '{}'", settings_.transactional_id)));
  return catch_up();
}

/// Follows the changelogs until the work is this process's: the one that had it has left, or the group's
/// coordinator has not heard of it for its session's time.
result<> kafka_epochs::await_turn(const std::vector<std::string>& changelogs) {
  {
    auto admin = connect_admin();
    if (!admin) return fail(std::move(admin.error()));
    if (auto r = (*admin)->await_topics(source_topics_, await_topics_); !r) return r;
  }
  loop_ = std::make_unique<io::event_loop>();
  auto follower = changelog_follower::start(*loop_, settings_, changelogs);
  if (!follower) return fail(std::move(follower.error()));
  follower_ = std::move(*follower);
  const auto wake = [loop = loop_.get()] { loop->post([] {}); };
  auto seat = work_seat::join({.bootstrap_servers = settings_.bootstrap_servers,
                               .connection = settings_.connection,
                               .group = application_ + "-standby",
                               .topics = source_topics_,
                               .session_timeout = job_.standby},
                              wake);
  if (!seat) return fail(std::move(seat.error()));
  seat_ = std::move(*seat);
  std::stop_callback on_stop(job_.stop, wake);
  const io::clock& clock = io::clock::system();
  const io::instant began = clock.now();
  bool told = false;
  while (!seat_->has()) {
    if (job_.stop.stop_requested()) return fail(errc::cancelled, "standing by was stopped");
    if (auto why = seat_->failure()) return fail(why->with_context("standing by"));
    loop_->run_some_until(clock.now() + 1s);
    follower_->step();
    if (told || clock.now() - began < 1s || !job_.tell) continue;
    told = true;
    job_.tell(fmt::format("{}: stands by, another process works", application_));
  }
  if (told) job_.tell(fmt::format("{}: takes over, the process that worked is gone", application_));
  return {};
}

/// After the one that worked was shut out: what it committed last.
result<> kafka_epochs::catch_up() {
  if (follower_ == nullptr) return {};
  return follower_->catch_up(job_.stop);
}

const changelog_follower::followed* kafka_epochs::followed(const changelog_topic& topic) const {
  const auto* f = follower_ == nullptr ? nullptr : follower_->rows(topic.name);
  return f != nullptr && f->partitions == topic.partitions && f->id == topic.id ? f : nullptr;
}

void kafka_epochs::close() {
  producer_.reset();
  seat_.reset();
  follower_.reset();
}

result<> kafka_epochs::prepare(const std::vector<std::string>& operators) {
  if (auto r = io::failpoint("changelogs.before"); !r) return r;
  if (operators.empty()) return {};
  auto admin = connect_admin();
  if (!admin) return fail(std::move(admin.error()));
  auto offsets = (*admin)->group_offsets(application_);
  if (!offsets) return fail(std::move(offsets.error()));
  known_ = !offsets->empty();
  auto topics = prepare_changelogs(**admin, application_, operators, *offsets);
  if (!topics) return fail(std::move(topics.error()));
  changelogs_ = std::move(*topics);
  mark_ = changelog_mark(changelogs_);
  return {};
}

result<std::unique_ptr<lane_transactions>> kafka_epochs::open_lane(const lane_context& lane) {
  return changelog::create(*this, lane, settings_);
}

void kafka_epochs::commit(std::uint64_t, std::vector<epoch_position> positions,
                          std::function<void(result<>)> done) {
  if (auto r = io::failpoint("commit.posted"); !r) return done(std::move(r));
  std::vector<kafka::partition_offset> offsets;
  follower_.reset();  // every lane has its rows
  offsets.reserve(positions.size());
  for (const epoch_position& p : positions) {
    std::string metadata =
        encode_marks({.metadata = p.metadata, .topic_id = p.identity, .state = mark_, .run = run_name()});
    offsets.push_back({{p.topic, p.partition}, {.offset = p.position, .metadata = std::move(metadata)}});
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
