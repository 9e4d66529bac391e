// SPDX-License-Identifier: Apache-2.0
// Fetch (1), versions 4-18.
//
// v4    isolation level, aborted transactions
// v5    log start offset
// v7    sessions: every answer says session 0, "there is none", and clients send whole fetches (KIP-227
// allows it) v9    leader epoch v10   zstd v12   flexible; last fetched epoch, diverging epoch v13   topics
// by id v15   replica state as a tagged field v16   the leader's endpoint, when it moved: never here v17-18
// fields of replicas
//
// Record bytes go from the segment files to the socket without passing through the process. A fetch that
// finds less than min_bytes is parked until that much was appended or max_wait_ms is over.
#include <algorithm>

#include "broker/handlers/common.h"

namespace penstock::broker {
namespace {

constexpr std::int64_t most_bytes =
    57'671'680;  // of an answer, whatever is asked for (Kafka's fetch.max.bytes)
constexpr std::chrono::minutes longest_wait{5};
constexpr std::int8_t read_committed = 1;

struct gathered {
  wire::fetch_response response;
  std::vector<io::write_piece> pieces;
  std::int64_t bytes = 0;
  bool has_error = false;
};

using request_partition = wire::fetch_request::fetch_partition;
using response_partition = wire::fetch_response::partition_data;

// KIP-595: tells a reader whose log went another way where it did.
bool diverges(const log::partition_log& log, const request_partition& want, response_partition& out) {
  if (want.last_fetched_epoch < 0) return false;
  const auto end = log.end_offset_for_epoch(want.last_fetched_epoch);
  if (end.epoch == want.last_fetched_epoch ? end.end_offset >= want.fetch_offset : end.epoch < 0)
    return false;
  out.diverging_epoch = {end.epoch, end.end_offset};
  return true;
}

error_code read(broker_core& core, const wire::fetch_request& q, log::partition_log& log,
                const request_partition& want, response_partition& out, gathered& all) {
  const std::int64_t visible = core.visible_end(log);
  const std::int64_t bound = q.isolation_level == read_committed ? core.stable_end(log) : visible;
  out.high_watermark = visible;
  out.last_stable_offset = core.stable_end(log);
  out.log_start_offset = log.log_start_offset();
  if (q.isolation_level == read_committed) out.aborted_transactions.emplace();
  if (want.fetch_offset < out.log_start_offset || want.fetch_offset > log.end_offset())
    return error_code::offset_out_of_range;
  if (diverges(log, want, out)) return error_code::none;
  const std::int64_t left = std::min<std::int64_t>(q.max_bytes, most_bytes) - all.bytes;
  if (want.fetch_offset >= bound || (all.bytes > 0 && left <= 0)) return error_code::none;

  log::read_request request;
  request.offset = want.fetch_offset;
  request.max_bytes = static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, std::min<std::int64_t>(left, want.partition_max_bytes)));
  request.upper_bound = bound;
  request.at_least_one = all.bytes == 0;
  auto slice = log.read(request);
  if (!slice) return core.storage_error(slice.error());
  if (slice->length == 0) return error_code::none;
  if (q.isolation_level == read_committed) {
    auto aborted = log.aborted_transactions(want.fetch_offset, slice->next_offset);
    if (!aborted) return core.storage_error(aborted.error());
    for (const auto& t : *aborted) out.aborted_transactions->push_back({t.producer_id, t.first_offset});
  }
  out.records = wire::records_field::external(static_cast<std::uint32_t>(slice->length));
  all.bytes += static_cast<std::int64_t>(slice->length);
  all.pieces.push_back({{}, slice->file.get(), slice->position, slice->length, slice->file});
  return error_code::none;
}

error_code fetch(broker_core& core, const wire::fetch_request& q, const topic_lookup& t,
                 const request_partition& want, response_partition& out, gathered& all) {
  if (t.found == nullptr) return t.error;
  partition* p = t.found->find(want.partition);
  if (p == nullptr) return error_code::unknown_topic_or_partition;
  if (const auto e = core.check_leader_epoch(want.current_leader_epoch); e != error_code::none) return e;
  auto log = core.topics.open_log(*p);
  if (!log) return core.storage_error(log.error());
  return read(core, q, **log, want, out, all);
}

gathered fetch_all(broker_core& core, const request_info& info, const wire::fetch_request& q) {
  gathered all;
  for (const auto& t : q.topics) {
    auto& out_topic = all.response.responses.emplace_back();
    out_topic.topic = t.topic;
    out_topic.topic_id = t.topic_id;
    const auto found = find_topic(core, t.topic, t.topic_id, info.version >= 13);
    for (const auto& want : t.partitions) {
      auto& out = out_topic.partitions.emplace_back();
      out.partition_index = want.partition;
      out.records = wire::records_field::borrow({});
      if (const auto e = fetch(core, q, found, want, out, all); e != error_code::none) {
        all.has_error = true;
        out.error_code = number(e);
        if (out.high_watermark == 0) out.high_watermark = -1;
      }
      all.has_error |= out.diverging_epoch.end_offset >= 0;
    }
  }
  return all;
}

void answer(broker_core& core, const std::shared_ptr<parked_fetch>& f) {
  if (std::exchange(f->answered, true)) return;
  f->timer.cancel();
  for (partition* p : std::exchange(f->watched, {})) std::erase(p->waiting, f);
  if (!f->reply.slot().wanted()) return;
  auto all = fetch_all(core, f->info, f->request);
  f->reply.send(all.response, std::move(all.pieces));
}

void park(broker_core& core, const request_info& info, wire::fetch_request q,
          responder<wire::fetch_response> reply, std::int64_t missing) {
  auto f = std::make_shared<parked_fetch>(core.loop, std::move(q), info, std::move(reply));
  f->missing = missing;
  for (const auto& t : f->request.topics) {
    const auto found = find_topic(core, t.topic, t.topic_id, info.version >= 13);
    if (found.found == nullptr) continue;
    for (const auto& want : t.partitions) {
      partition* p = found.found->find(want.partition);
      if (p == nullptr || std::find(p->waiting.begin(), p->waiting.end(), f) != p->waiting.end()) continue;
      p->waiting.push_back(f);
      f->watched.push_back(p);
    }
  }
  const auto wait =
      std::min<std::chrono::milliseconds>(std::chrono::milliseconds(f->request.max_wait_ms), longest_wait);
  f->timer.arm(wait, [&core, f] { answer(core, f); });
}

}  // namespace

// Whether a read_committed fetch would find more than before in this partition: what is appended in a
// transaction is nothing yet for it.
static bool readable(broker_core& core, const parked_fetch& f, const partition& p) {
  if (f.request.isolation_level != read_committed || p.log == nullptr) return true;
  const std::int64_t stable = core.stable_end(*p.log);
  for (const auto& t : f.request.topics) {
    if (t.topic != p.owner->name() && t.topic_id != p.owner->record.id) continue;
    for (const auto& want : t.partitions)
      if (want.partition == p.index) return want.fetch_offset < stable;
  }
  return true;
}

void wake_fetches(broker_core& core, partition& p, std::uint64_t bytes) {
  if (p.waiting.empty()) return;
  const auto waiting = p.waiting;  // answering changes the list
  for (const auto& f : waiting) {
    f->missing -= static_cast<std::int64_t>(bytes);
    if ((f->missing <= 0 && readable(core, *f, p)) || !f->reply.slot().wanted()) answer(core, f);
  }
}

void wake_all_fetches(broker_core& core, topic& t) {
  for (auto& p : t.partitions) {
    const auto waiting = p->waiting;
    for (const auto& f : waiting) answer(core, f);
  }
}

void handle_fetch(broker_core& core, const request_info& info, wire::fetch_request& q,
                  responder<wire::fetch_response> reply) {
  if (q.session_id != 0 && q.session_epoch > 0) {
    wire::fetch_response none;
    none.error_code = number(error_code::fetch_session_id_not_found);
    return reply.send(none);
  }
  auto all = fetch_all(core, info, q);
  const bool enough = all.has_error || all.bytes >= q.min_bytes || q.max_wait_ms <= 0 || q.topics.empty();
  if (enough) return reply.send(all.response, std::move(all.pieces));
  const std::int64_t missing = q.min_bytes - all.bytes;
  park(core, info, std::move(q), std::move(reply), missing);
}

}  // namespace penstock::broker
