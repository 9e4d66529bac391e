// SPDX-License-Identifier: Apache-2.0
#include "connectors/kafka/transactional_producer.h"

#include <fmt/format.h>

#include <future>
#include <utility>

#include "io/failpoint.h"
#include "io/random.h"

namespace penstock::connectors {
namespace {

using client::append_status;
constexpr std::chrono::seconds take_over_time{60};
constexpr std::chrono::milliseconds leave_time{500};

}  // namespace

transactional_producer::transactional_producer(kafka::producer_settings settings)
    : settings_(std::move(settings)), accumulator_(settings_, io::random_source::system()) {}

result<std::unique_ptr<transactional_producer>> transactional_producer::create(
    kafka::producer_settings settings) {
  std::unique_ptr<transactional_producer> p(new transactional_producer(std::move(settings)));
  auto cluster = client::cluster::create(p->loop_, p->settings_.bootstrap_servers, p->settings_.connection);
  if (!cluster) return fail(std::move(cluster.error()));
  p->cluster_ = std::move(*cluster);
  p->sender_ = std::make_unique<client::sender>(*p->cluster_, p->accumulator_, p->settings_, &p->mutex_);
  p->transactions_ = std::make_unique<client::transactions>(*p->cluster_, *p->sender_, p->accumulator_,
                                                            p->settings_, &p->mutex_);
  p->sender_->take_part_in(p->transactions_.get());
  p->sender_->on_writable([self = p.get()] {
    if (self->waited_for_.exchange(false)) self->tell_channels(&epoch_channel::drain);
  });
  p->sender_->on_delivery([self = p.get()](const kafka::delivery& d) {
    if (d.failure == nullptr) return;
    {
      const std::lock_guard lock(self->mutex_);
      if (!self->failure_) self->failure_ = *d.failure;
    }
    self->tell_channels(&epoch_channel::drain);
  });
  p->thread_ = std::thread([self = p.get()] { self->loop_.run(); });
  return p;
}

transactional_producer::~transactional_producer() {
  if (thread_.joinable()) leave();
  loop_.stop();
  if (thread_.joinable()) thread_.join();
}

// So that readers need not wait for the broker to give it up.
void transactional_producer::leave() {
  auto done = std::make_shared<std::promise<void>>();
  auto over = done->get_future();
  loop_.post([this, done] {
    const auto state = transactions_->status().state;
    if (state != kafka::transaction_state::open && state != kafka::transaction_state::must_abort)
      return done->set_value();
    transactions_->abort(cluster_->now() + leave_time, [done](const result<>&) { done->set_value(); });
  });
  over.wait_for(leave_time);
}

result<> transactional_producer::init(const std::stop_token& stop) {
  if (result<> r = io::failpoint("producer.init"); !r) return r;
  // Whoever is first: the answer, or the stop.
  struct first_word {
    std::promise<result<>> promise;
    std::atomic_flag said;
    void set_value(result<> r) {
      if (!said.test_and_set()) promise.set_value(std::move(r));
    }
  };
  auto done = std::make_shared<first_word>();
  auto outcome = done->promise.get_future();
  std::stop_callback on_stop(stop, [done] { done->set_value(fail(errc::cancelled, "was stopped")); });
  loop_.post([this, done] {
    transactions_->init(cluster_->now() + take_over_time, [this, done](result<> r) {
      done->set_value(r ? transactions_->begin() : std::move(r));
    });
  });
  return outcome.get();
}

void transactional_producer::set_compression(std::string_view topic, compression codec,
                                             std::optional<int> level) {
  const std::lock_guard lock(mutex_);
  auto& of_topic = accumulator_.find_or_add(topic);
  of_topic.codec = codec;
  of_topic.level = level;
}

std::shared_ptr<epoch_channel> transactional_producer::open_channel(io::event_loop& lane) {
  auto made = std::make_shared<epoch_channel>(*this, lane);
  const std::lock_guard lock(mutex_);
  channels_.push_back(made);
  return made;
}

void transactional_producer::tell_channels(void (epoch_channel::*what)()) {
  const std::lock_guard lock(mutex_);
  for (const auto& known : channels_) {
    if (const auto c = known.lock()) {
      c->lane().post([known, what] {
        if (const auto still = known.lock()) ((*still).*what)();
      });
    }
  }
}

void transactional_producer::kick() {
  if (kicked_.exchange(true)) return;
  loop_.post([this] {
    kicked_ = false;
    sender_->kick();
  });
}

result<std::size_t> transactional_producer::append(std::string_view topic, std::int32_t partition,
                                                   std::span<const outgoing> records) {
  if (result<> r = io::failpoint("producer.append"); !r) return fail(std::move(r.error()));
  std::size_t taken = 0;
  bool work = false;
  auto status = append_status::accepted;
  std::int64_t now = -1;
  {
    const std::lock_guard lock(mutex_);
    if (failure_) return fail(*failure_);
    auto* const queues = accumulator_.find(topic);
    for (const outgoing& r : records) {
      std::int64_t ts = r.timestamp_ms;
      if (ts < 0) ts = now < 0 ? now = clock_.wall_ms() : now;
      auto done = accumulator_.append(queues,
                                      {.topic = topic,
                                       .key = r.key,
                                       .value = r.value,
                                       .partition = partition,
                                       .timestamp_ms = ts,
                                       .headers = r.headers},
                                      ts, clock_, nullptr);
      if (!done) return fail(std::move(done.error()));
      work |= done->work;
      status = done->status;
      if (status != append_status::accepted) break;
      ++taken;
    }
    if (status != append_status::accepted) waited_for_ = true;
  }
  if (status == append_status::no_metadata)
    loop_.post([this, name = std::string(topic)] { sender_->want_topic(name); });
  if (work || status != append_status::accepted) kick();
  return taken;
}

void transactional_producer::commit(std::vector<kafka::partition_offset> offsets, const std::string& group,
                                    std::function<void(result<>)> done) {
  loop_.post([this, offsets = std::move(offsets), group, done = std::move(done)]() mutable {
    begin_commit(std::move(offsets), group, std::move(done));
  });
}

void transactional_producer::begin_commit(std::vector<kafka::partition_offset> offsets,
                                          const std::string& group, std::function<void(result<>)> done) {
  if (result<> r = io::failpoint("commit.begin"); !r) return done(std::move(r));
  // E5: given up at half of the time after which the broker would abort.
  const io::instant deadline = cluster_->now() + settings_.transaction_timeout / 2;
  if (!offsets.empty())
    transactions_->send_offsets(std::move(offsets), {.group_id = group}, deadline, [](const result<>& r) {
      if (r) static_cast<void>(io::failpoint("commit.offsets_written"));
    });
  if (result<> r = io::failpoint("commit.offsets_asked"); !r) return done(std::move(r));
  // E2: the end waits for every batch and for the offsets, and fails with either.
  transactions_->commit(deadline, [done = std::move(done)](result<> r) {
    if (r) r = io::failpoint("commit.answered");
    done(std::move(r));
  });
  static_cast<void>(io::failpoint("commit.asked"));
  if (transactions_->begin()) tell_channels(&epoch_channel::next_epoch);
}

}  // namespace penstock::connectors
