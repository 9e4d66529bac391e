// SPDX-License-Identifier: Apache-2.0
#include "client/fetcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "client/offsets.h"
#include "client/section_end.h"
#include "wire/error_code.h"

namespace penstock::client {
namespace {

using wire::error_code;

// Scratch buffers that are kept for the next compressed batch.
constexpr std::size_t kept_scratch = 64;

std::string name_of(const kafka::topic_partition& tp) {
  return fmt::format("topic '{}', partition {}", tp.topic, tp.partition);
}

}  // namespace

// One partition that is read.
struct fetcher::partition {
  std::shared_ptr<const kafka::topic_partition> tp;
  std::int64_t tag = 0;
  std::uint64_t epoch = 0;  // raised by seek and remove: what was asked for before is not wanted any more
  std::int64_t wanted = kafka::no_offset;      // earliest or latest, still to be looked up
  std::int64_t next_fetch = kafka::no_offset;  // behind what has arrived
  std::int64_t position = kafka::no_offset;    // behind what was polled
  std::optional<std::int64_t> high_watermark;
  bool paused = false;
  bool stopped = false;  // by an error
  io::instant not_before{};
  std::optional<io::instant> unknown_since;
  std::deque<section> parked;  // arrived while paused
};

// The records that one answer brought for one partition, as far as they were not polled yet.
struct fetcher::section {
  partition_ptr p;
  std::uint64_t epoch = 0;
  base::shared_buffer frame;
  wire::records_reader reader{bytes_view(), {}};
  std::size_t left = 0;  // bytes that count as buffered
  std::int64_t high_watermark = 0;
  std::vector<wire::fetch_response::aborted_transaction> aborted;  // by first offset
  std::size_t next_aborted = 0;
  std::set<std::int64_t> aborting;  // producers whose transaction is an aborted one at this point
};

struct fetcher::request {
  struct entry {
    partition_ptr p;
    std::uint64_t epoch;
    std::int64_t offset;
  };
  std::int32_t broker = -1;
  std::vector<entry> entries;
};

fetcher::fetcher(cluster& c, fetcher_settings settings)
    : cluster_(c), settings_(settings), retry_timer_(c.loop()) {
  cluster_.on_metadata(alive_, [this](const result<>&) { kick(); });
}

fetcher::~fetcher() = default;

fetcher::partition_ptr fetcher::find(const kafka::topic_partition& tp) const {
  const auto it = partitions_.find(tp);
  return it == partitions_.end() ? nullptr : it->second;
}

void fetcher::restart(partition& p, std::int64_t offset) {
  ++p.epoch;
  p.wanted = offset < 0 ? offset : kafka::no_offset;
  p.next_fetch = p.position = offset < 0 ? kafka::no_offset : offset;
  p.stopped = false;
  p.not_before = {};
  p.unknown_since.reset();
  p.parked.clear();
  std::erase_if(sections_, [&](const section& s) {
    if (s.p.get() != &p) return false;
    buffered_ -= s.left;
    return true;
  });
  kick();
}

void fetcher::assign(const kafka::topic_partition& tp, std::int64_t offset, std::int64_t tag) {
  auto& p = partitions_[tp];
  if (!p) {
    p = std::make_shared<partition>();
    p->tp = std::make_shared<const kafka::topic_partition>(tp);
  }
  p->tag = tag;
  cluster_.watch_topic(tp.topic);
  restart(*p, offset);
}

void fetcher::remove(const kafka::topic_partition& tp) {
  const auto p = find(tp);
  if (!p) return;
  restart(*p, kafka::no_offset);
  partitions_.erase(tp);
}

void fetcher::seek(const kafka::topic_partition& tp, std::int64_t offset) {
  if (const auto p = find(tp)) restart(*p, offset);
}

void fetcher::pause(const kafka::topic_partition& tp) {
  if (const auto p = find(tp)) p->paused = true;
}

void fetcher::resume(const kafka::topic_partition& tp) {
  const auto p = find(tp);
  if (!p || !std::exchange(p->paused, false)) return;
  for (; !p->parked.empty(); p->parked.pop_back()) {
    buffered_ += p->parked.back().left;
    sections_.push_front(std::move(p->parked.back()));
  }
  kick();
}

std::optional<std::int64_t> fetcher::position(const kafka::topic_partition& tp) const {
  const auto p = find(tp);
  if (!p || p->position < 0) return std::nullopt;
  return p->position;
}

std::optional<std::int64_t> fetcher::high_watermark(const kafka::topic_partition& tp) const {
  const auto p = find(tp);
  return p ? p->high_watermark : std::nullopt;
}

std::vector<kafka::topic_partition> fetcher::assignment() const {
  std::vector<kafka::topic_partition> all;
  for (const auto& [tp, p] : partitions_) all.push_back(tp);
  return all;
}

void fetcher::kick() {
  if (std::exchange(kicked_, true)) return;
  cluster_.loop().post([this, alive = std::weak_ptr<void>(alive_)] {
    if (!alive.expired()) run();
  });
}

void fetcher::run() {
  kicked_ = false;
  look_up_offsets();
  send_fetches();
  // Data that was parked may be wanted by now.
  if (ready()) announce();
}

void fetcher::announce() {
  if (on_ready_) on_ready_();
}

// Positions that are not known yet.

void fetcher::look_up_offsets() {
  if (looking_up_) return;
  request asked;
  std::vector<offset_query> queries;
  const auto now = cluster_.now();
  for (const auto& [tp, p] : partitions_) {
    if (p->wanted == kafka::no_offset || p->stopped || p->not_before > now) continue;
    asked.entries.push_back({p, p->epoch, p->wanted});
    queries.push_back({tp, p->wanted});
  }
  if (queries.empty()) return;
  looking_up_ = true;
  list_offsets(cluster_, std::move(queries), settings_.isolation,
               now + cluster_.settings().default_api_timeout,
               [this, asked = std::move(asked), alive = std::weak_ptr<void>(alive_)](auto offsets) {
                 if (!alive.expired()) offsets_arrived(asked, std::move(offsets));
               });
}

void fetcher::offsets_arrived(const request& asked, result<std::vector<std::int64_t>> offsets) {
  looking_up_ = false;
  for (std::size_t i = 0; i < asked.entries.size(); ++i) {
    auto& p = *asked.entries[i].p;
    if (p.epoch != asked.entries[i].epoch) continue;
    if (offsets) {
      p.wanted = kafka::no_offset;
      p.next_fetch = p.position = (*offsets)[i];
    } else if (offsets.error().retriable()) {
      wait(p);
    } else {
      stop(p, offsets.error());
    }
  }
  run();
}

// Requests.

void fetcher::wait(partition& p) {
  p.not_before = cluster_.now() + cluster_.settings().retry_backoff;
  if (!retry_timer_.armed()) retry_timer_.arm(cluster_.settings().retry_backoff, [this] { run(); });
}

bool fetcher::may_fetch(partition& p) {
  if (p.paused || p.stopped || p.next_fetch < 0) return false;
  if (p.not_before <= cluster_.now()) return true;
  if (!retry_timer_.armed()) retry_timer_.arm(p.not_before - cluster_.now(), [this] { run(); });
  return false;
}

// The leader is not known. That passes, unless the topic or the partition does not exist.
void fetcher::leaderless(partition& p) {
  const auto now = cluster_.now();
  const auto* topic = cluster_.metadata().find(p.tp->topic);
  cluster_.request_metadata();
  if (topic == nullptr) return;
  if (topic->error != error_code::none && topic->error != error_code::unknown_topic_or_partition &&
      !wire::retriable(topic->error))
    return stop(p, wire::make_error(topic->error, name_of(*p.tp)));
  const bool exists = static_cast<std::size_t>(p.tp->partition) < topic->partitions.size();
  if (exists) return p.unknown_since.reset();
  if (!p.unknown_since) p.unknown_since = now;
  if (now - *p.unknown_since < settings_.unknown_topic_after) return;
  stop(p, {errc::not_found, topic->partitions.empty()
                                ? fmt::format("topic '{}' does not exist", p.tp->topic)
                                : fmt::format("topic '{}' has no partition {}, it has {}", p.tp->topic,
                                              p.tp->partition, topic->partitions.size())});
}

// Bytes that the next answer may bring.
std::size_t fetcher::budget() const noexcept {
  std::size_t taken = buffered_;
  for (const auto& [broker, bytes] : outstanding_) taken += bytes;
  return settings_.max_buffered_bytes - std::min(taken, settings_.max_buffered_bytes);
}

void fetcher::send_fetches() {
  std::map<std::int32_t, std::vector<partition_ptr>> by_leader;
  for (const auto& [tp, p] : partitions_) {
    if (!may_fetch(*p)) continue;
    const auto* leader = cluster_.metadata().leader_of(tp.topic, tp.partition);
    if (leader == nullptr)
      leaderless(*p);
    else if (!outstanding_.contains(leader->leader))
      by_leader[leader->leader].push_back(p);
  }
  for (auto& [broker, partitions] : by_leader) {
    // Small answers cost as much as large ones: rather wait until there is room for one worth its while.
    const auto worth = std::min<std::size_t>(static_cast<std::size_t>(settings_.max_bytes),
                                             settings_.max_buffered_bytes / 2);
    if (budget() < worth && (buffered_ > 0 || !outstanding_.empty())) continue;
    send_fetch(broker, std::move(partitions));
  }
}

void fetcher::send_fetch(std::int32_t broker, std::vector<partition_ptr> partitions) {
  // A broker fills its answer in the order of the request, so everyone gets to be first.
  std::rotate(partitions.begin(),
              partitions.begin() + static_cast<std::ptrdiff_t>(turn_++ % partitions.size()),
              partitions.end());
  wire::fetch_request fetch;
  fetch.max_wait_ms = static_cast<std::int32_t>(settings_.max_wait.count());
  fetch.min_bytes = settings_.min_bytes;
  fetch.max_bytes = static_cast<std::int32_t>(std::min<std::size_t>(
      static_cast<std::size_t>(settings_.max_bytes), std::max<std::size_t>(budget(), 1)));
  fetch.isolation_level = static_cast<std::int8_t>(settings_.isolation);
  auto asked = std::make_shared<request>();
  asked->broker = broker;
  std::map<std::string_view, std::size_t> topics;
  for (const auto& p : partitions) {
    const auto [it, added] = topics.try_emplace(p->tp->topic, fetch.topics.size());
    if (added) fetch.topics.push_back({p->tp->topic, {}, {}});
    auto& entry = fetch.topics[it->second].partitions.emplace_back();
    entry.partition = p->tp->partition;
    entry.current_leader_epoch = cluster_.metadata().leader_of(p->tp->topic, p->tp->partition)->leader_epoch;
    entry.fetch_offset = p->next_fetch;
    entry.partition_max_bytes = settings_.partition_max_bytes;
    asked->entries.push_back({p, p->epoch, p->next_fetch});
  }
  outstanding_[broker] =
      std::min(static_cast<std::size_t>(fetch.max_bytes),
               partitions.size() * static_cast<std::size_t>(settings_.partition_max_bytes));

  outgoing out;
  out.key = wire::fetch_request::key;
  out.min_version = 3;   // Kafka 0.10.1: a limit for the whole answer
  out.max_version = 12;  // from 13 on topics have ids instead of names
  out.timeout = cluster_.settings().request_timeout + settings_.max_wait;
  out.encode = [fetch = std::move(fetch)](wire::writer& w, std::int16_t version) {
    return fetch.encode(w, version);
  };
  out.done = [this, asked, alive = std::weak_ptr<void>(alive_)](result<incoming> in) {
    if (!alive.expired()) arrived(*asked, std::move(in));
  };
  cluster_.send(broker, channel::fetch, std::move(out));
}

// Answers.

void fetcher::arrived(const request& asked, result<incoming> in) {
  outstanding_.erase(asked.broker);
  wire::fetch_response response;
  result<> good;
  if (!in)
    good = fail(in.error());
  else if (auto decoded = response.decode(in->body, in->version); !decoded)
    good = fail(decoded.error().with_context(in->from));
  else if (response.error_code != 0)
    good = fail(wire::make_error(response.error_code, fmt::format("fetch from {}", in->from)));

  const bool had_something = ready();
  if (good) {
    take_answer(asked, response, in->frame);
  } else {
    for (const auto& e : asked.entries) {
      if (e.p->epoch != e.epoch) continue;
      if (good.error().retriable())
        wait(*e.p);
      else
        stop(*e.p, good.error().with_context(name_of(*e.p->tp)));
    }
  }
  send_fetches();  // the broker works on the next answer while this one is read
  look_up_offsets();
  if (!had_something && ready()) announce();
}

void fetcher::take_answer(const request& asked, const wire::fetch_response& response,
                          const base::shared_buffer& frame) {
  std::size_t next = 0;  // answers usually come in the order of the request
  for (const auto& topic : response.responses) {
    for (const auto& data : topic.partitions) {
      for (std::size_t tried = 0; tried < asked.entries.size(); ++tried, ++next) {
        const auto& e = asked.entries[next % asked.entries.size()];
        if (e.p->tp->partition != data.partition_index || e.p->tp->topic != topic.topic) continue;
        if (e.p->epoch != e.epoch || e.p->next_fetch != e.offset)
          break;  // moved meanwhile, or answered twice
        if (data.error_code != 0)
          failed(*e.p, data);
        else
          take_records(e.p, data, frame);
        break;
      }
    }
  }
}

void fetcher::take_records(const partition_ptr& p, const wire::fetch_response::partition_data& data,
                           const base::shared_buffer& frame) {
  p->unknown_since.reset();
  p->high_watermark = data.high_watermark;
  if (settings_.isolation == kafka::isolation_level::read_committed && data.last_stable_offset >= 0)
    p->high_watermark = data.last_stable_offset;
  if (data.records.bytes.empty()) return;
  section s;
  s.p = p;
  s.epoch = p->epoch;
  s.frame = frame;
  s.reader = wire::records_reader(data.records.bytes, {.fetch_offset = p->next_fetch,
                                                       .check_crc = settings_.check_crcs,
                                                       .max_decompressed = settings_.max_decompressed});
  s.left = data.records.bytes.size();
  s.high_watermark = *p->high_watermark;
  if (data.aborted_transactions) {
    s.aborted = *data.aborted_transactions;
    std::sort(s.aborted.begin(), s.aborted.end(),
              [](const auto& a, const auto& b) { return a.first_offset < b.first_offset; });
  }
  p->next_fetch = end_of_section(data.records.bytes, p->next_fetch);
  if (p->paused) {
    p->parked.push_back(std::move(s));
  } else {
    buffered_ += s.left;
    sections_.push_back(std::move(s));
  }
}

void fetcher::failed(partition& p, const wire::fetch_response::partition_data& data) {
  const auto code = static_cast<error_code>(data.error_code);
  switch (code) {
    case error_code::offset_out_of_range:
      if (settings_.reset == kafka::offset_reset::none)
        return stop(p, {errc::data_loss, fmt::format("{}: offset {} does not exist (any more)",
                                                     name_of(*p.tp), p.next_fetch)});
      // What was fetched before is still good; the position moves when the lookup is done.
      p.wanted =
          settings_.reset == kafka::offset_reset::earliest ? kafka::earliest_offset : kafka::latest_offset;
      p.next_fetch = kafka::no_offset;
      return;
    case error_code::not_leader_or_follower:
    case error_code::leader_not_available:
    case error_code::replica_not_available:
    case error_code::kafka_storage_error:
    case error_code::fenced_leader_epoch:
    case error_code::unknown_leader_epoch:
    case error_code::unknown_topic_or_partition:
    case error_code::offset_not_available:
    case error_code::unknown_server_error: cluster_.request_metadata(); return wait(p);
    case error_code::corrupt_message:
      return stop(
          p, {errc::corrupt,
              wire::make_error(code, fmt::format("{}, offset {}", name_of(*p.tp), p.next_fetch)).message()});
    default:
      if (wire::retriable(code)) return wait(p);
      return stop(p, wire::make_error(code, name_of(*p.tp)));
  }
}

void fetcher::stop(partition& p, error why) {
  p.stopped = true;
  errors_.push_back(std::move(why));
  announce();
}

// Handing out.

bool fetcher::ready() const noexcept {
  if (!errors_.empty()) return true;
  return std::any_of(sections_.begin(), sections_.end(),
                     [](const section& s) { return !s.p->paused && s.epoch == s.p->epoch; });
}

result<std::size_t> fetcher::poll(std::vector<fetched>& out, std::size_t max_bytes) {
  const std::size_t before = out.size();
  std::size_t bytes = 0;
  while (!sections_.empty() && (bytes < max_bytes || out.size() == before)) {
    auto& s = sections_.front();
    if (s.epoch == s.p->epoch && s.p->paused) {
      buffered_ -= s.left;
      s.p->parked.push_back(std::move(s));
    } else if (s.epoch == s.p->epoch && take_batch(s, out, bytes)) {
      continue;
    } else {
      buffered_ -= s.left;
    }
    sections_.pop_front();
  }
  if (budget() > 0) send_fetches();
  if (out.size() > before || errors_.empty()) return out.size() - before;
  auto why = std::move(errors_.front());
  errors_.pop_front();
  return fail(std::move(why));
}

// The next batch of a section; false at its end.
bool fetcher::take_batch(section& s, std::vector<fetched>& out, std::size_t& bytes) {
  auto& p = *s.p;
  const auto& scratch = spare_scratch();
  wire::fetched_batch batch;
  const auto more = s.reader.next(batch, *scratch);
  if (!more) {
    stop(p, more.error().with_context(name_of(*p.tp)));
    return false;
  }
  if (!*more) return false;

  auto& f = out.emplace_back();
  f.partition = p.tp;
  f.tag = p.tag;
  f.header = batch.header;
  f.first_offset = std::max(p.position, batch.header.base_offset);
  f.next_offset = s.reader.next_offset();
  f.high_watermark = s.high_watermark;
  f.bytes = batch.bytes.size();
  if (!is_aborted(s, batch)) f.records = batch.cursor;
  if (s.reader.uses_scratch())
    f.memory.plain = scratch;
  else
    f.memory.frame = s.frame;
  p.position = f.next_offset;
  bytes += f.bytes;
  const auto counted = std::min(f.bytes, s.left);
  s.left -= counted;
  buffered_ -= counted;
  return true;
}

// Whether a batch's records are not for the application: the marks of transactions, and what was aborted.
bool fetcher::is_aborted(section& s, const wire::fetched_batch& batch) {
  const auto& h = batch.header;
  if (settings_.isolation == kafka::isolation_level::read_committed) {
    while (s.next_aborted < s.aborted.size() && s.aborted[s.next_aborted].first_offset <= h.last_offset())
      s.aborting.insert(s.aborted[s.next_aborted++].producer_id);
    if (h.control()) {
      auto cursor = batch.cursor;
      record_view record;
      if (cursor.next(record)) {
        const auto marker = wire::parse_marker(record);
        if (marker && marker->type == wire::marker_type::abort) s.aborting.erase(h.producer_id);
      }
    } else if (h.transactional() && s.aborting.contains(h.producer_id)) {
      return true;
    }
  }
  return h.control();
}

const std::shared_ptr<wire::scratch_buffer>& fetcher::spare_scratch() {
  for (const auto& b : scratch_)
    if (b.use_count() == 1) return b;
  if (scratch_.size() >= kept_scratch) scratch_.erase(scratch_.begin());
  return scratch_.emplace_back(std::make_shared<wire::scratch_buffer>());
}

}  // namespace penstock::client
