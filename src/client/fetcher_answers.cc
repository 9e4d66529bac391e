// SPDX-License-Identifier: Apache-2.0
// What comes back from a fetch, and how it is handed out.
#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "client/fetcher.h"
#include "client/fetcher_parts.h"
#include "client/section_end.h"
#include "wire/error_code.h"

namespace penstock::client {
namespace {

using wire::error_code;

// A broker that forgets its sessions is asked anew at once, but one that knows nothing else is not to be
// asked without end.
constexpr int patience_for_sessions = 3;

bool is_about_session(std::int16_t code) {
  switch (static_cast<error_code>(code)) {
    case error_code::fetch_session_id_not_found:
    case error_code::invalid_fetch_session_epoch:
    case error_code::fetch_session_topic_id_error: return true;
    default: return false;
  }
}

// What was asked of a partition that an answer names.
template <typename Entry>
const Entry* find_entry(const std::vector<Entry>& entries,
                        const wire::fetch_response::fetchable_topic_response& topic, std::int32_t number) {
  const std::string* name = &topic.topic;
  if (name->empty()) {
    const auto it = std::find_if(entries.begin(), entries.end(),
                                 [&](const auto& e) { return e.p->topic_id == topic.topic_id; });
    if (it == entries.end()) return nullptr;
    name = &it->p->tp->topic;
  }
  const auto it = std::lower_bound(entries.begin(), entries.end(), std::tie(*name, number),
                                   [](const auto& e, const auto& wanted) {
                                     return std::tie(e.p->tp->topic, e.p->tp->partition) < wanted;
                                   });
  if (it == entries.end() || it->p->tp->topic != *name || it->p->tp->partition != number) return nullptr;
  return &*it;
}

// Scratch buffers that are kept for the next compressed batch.
constexpr std::size_t kept_scratch = 64;

}  // namespace

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
  auto& session = sessions_[asked.broker];
  if (good) {
    session_failures_ = 0;
    session.answered(response);
    take_answer(asked, response, in->frame);
  } else if (is_about_session(response.error_code) && session_failures_ < patience_for_sessions) {
    ++session_failures_;
    session.reset(true);  // and asked for everything, at once
  } else {
    session.reset();
    for (const auto& e : asked.entries) {
      if (e.p->epoch != e.epoch) continue;
      if (e.p->replica == asked.broker) e.p->replica = -1;
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
  for (const auto& topic : response.responses) {
    for (const auto& data : topic.partitions) {
      const auto* e = find_entry(asked.entries, topic, data.partition_index);
      if (e == nullptr || e->p->epoch != e->epoch || e->p->next_fetch != e->offset)
        continue;  // moved meanwhile, or answered twice
      auto& p = *e->p;
      if (data.error_code != 0)
        failed(p, asked.broker, data);
      else if (data.diverging_epoch.end_offset >= 0 && data.diverging_epoch.end_offset < p.next_fetch)
        truncated(p, data.diverging_epoch.end_offset, data.diverging_epoch.epoch);
      else if (data.preferred_read_replica >= 0 && data.preferred_read_replica != asked.broker)
        prefer(p, data.preferred_read_replica);
      else
        take_records(e->p, data, frame);
    }
  }
}

void fetcher::prefer(partition& p, std::int32_t replica) {
  p.replica = replica;
  p.replica_until = cluster_.now() + cluster_.settings().metadata_max_age;
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
  const auto end = end_of_section(data.records.bytes, p->next_fetch);
  p->next_fetch = end.offset;
  if (end.leader_epoch >= 0) {
    // The first epoch that is known needs no check: its leader has just answered.
    if (p->fetched_epoch < 0)
      if (const auto* leader = cluster_.metadata().leader_of(p->tp->topic, p->tp->partition))
        p->checked_epoch = std::max(p->checked_epoch, leader->leader_epoch);
    p->fetched_epoch = end.leader_epoch;
  }
  buffered_ += s.left;
  if (p->paused)
    park(std::move(s));
  else
    sections_.push_back(std::move(s));
}

// What arrived for a paused partition waits; but not so much of it that nothing is left for the others: then
// it is fetched again later.
void fetcher::park(section s) {
  auto& p = *s.p;
  if (parked_ + s.left <= settings_.max_buffered_bytes / 2) {
    parked_ += s.left;
    p.parked.push_back(std::move(s));
    return;
  }
  buffered_ -= s.left;
  const bool stopped = p.stopped;
  restart(p, {.offset = p.position, .leader_epoch = -1, .time = {}});
  p.stopped = stopped;
}

void fetcher::failed(partition& p, std::int32_t broker, const wire::fetch_response::partition_data& data) {
  const auto code = static_cast<error_code>(data.error_code);
  if (p.replica == broker) {
    // A replica may lag behind; what the leader says counts.
    p.replica = -1;
    if (code == error_code::offset_out_of_range) return;
  }
  switch (code) {
    case error_code::offset_out_of_range:
      if (settings_.reset == kafka::offset_reset::none) return tell_loss(p);
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
    case error_code::unknown_topic_id:
    case error_code::inconsistent_topic_id:
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
      auto paused = std::move(s);
      sections_.pop_front();
      park(std::move(paused));
      continue;
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
