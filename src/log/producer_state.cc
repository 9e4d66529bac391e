// SPDX-License-Identifier: Apache-2.0
#include "log/producer_state.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/crc32c.h"

namespace penstock::log {

using wire::batch_header;

namespace {

append_status check_marker(const producer_entry& e, const batch_header& batch,
                           const std::optional<wire::transaction_marker>& marker, bool epoch_of_its_own) {
  if (marker && marker->coordinator_epoch < e.coordinator_epoch) return append_status::coordinator_fenced;
  const bool open = e.transaction_first_offset >= 0;
  const bool late =
      epoch_of_its_own && open ? batch.producer_epoch <= e.epoch : batch.producer_epoch < e.epoch;
  return late ? append_status::invalid_producer_epoch : append_status::appended;
}

}  // namespace

producer_state::verdict producer_state::check(const batch_header& batch,
                                              const std::optional<wire::transaction_marker>& marker,
                                              bool epoch_of_its_own) const {
  if (!batch.has_producer()) return {};
  const auto found = producers_.find(batch.producer_id);
  if (found == producers_.end()) {  // expired or never seen
    const bool in_the_middle = epoch_of_its_own && !batch.control() && batch.base_sequence != 0;
    return {.status = in_the_middle ? append_status::out_of_order_sequence : append_status::appended,
            .original = {}};
  }
  const producer_entry& e = found->second;
  if (batch.control()) return {.status = check_marker(e, batch, marker, epoch_of_its_own), .original = {}};
  const std::int32_t first = batch.base_sequence, last = batch.last_sequence();
  if (batch.producer_epoch == e.epoch) {
    for (std::size_t i = 0; i < e.batch_count; ++i) {
      const producer_batch& b = e.batches[i];
      if (b.first_sequence == first && b.last_sequence == last)
        return {.status = append_status::duplicate, .original = b};
    }
  }
  if (batch.producer_epoch < e.epoch)
    return {.status = append_status::invalid_producer_epoch, .original = {}};
  // Without a batch of this epoch the first sequence is 0.
  const std::int32_t expected =
      batch.producer_epoch == e.epoch ? wire::add_sequence(e.last_sequence(), 1) : 0;
  const bool in_order = first == expected;
  if (!in_order) return {.status = append_status::out_of_order_sequence, .original = {}};
  if (e.transaction_first_offset >= 0 && !batch.transactional())
    return {.status = append_status::invalid_txn_state, .original = {}};
  return {};
}

void producer_state::note(producer_entry& e, const batch_header& batch) {
  if (batch.producer_epoch != e.epoch) {
    e.epoch = batch.producer_epoch;
    e.batch_count = 0;
  }
  if (e.batch_count == producer_entry::batches_kept) {
    std::move(e.batches.begin() + 1, e.batches.end(), e.batches.begin());
    --e.batch_count;
  }
  e.batches[e.batch_count++] = {.first_sequence = batch.base_sequence,
                                .last_sequence = batch.last_sequence(),
                                .last_offset = batch.last_offset(),
                                .offset_delta = batch.last_offset_delta,
                                .timestamp_ms = batch.max_timestamp};
  e.last_timestamp_ms = batch.max_timestamp;
}

std::optional<aborted_transaction> producer_state::update(
    const batch_header& batch, const std::optional<wire::transaction_marker>& marker) {
  if (!batch.has_producer()) return std::nullopt;
  if (batch.control() && !marker) return std::nullopt;  // a control record that is not ours to interpret
  producer_entry& e = producers_[batch.producer_id];
  e.producer_id = batch.producer_id;
  if (!marker) {
    note(e, batch);
    if (batch.transactional() && e.transaction_first_offset < 0) {
      e.transaction_first_offset = batch.base_offset;
      open_.emplace(batch.base_offset, batch.producer_id);
    }
    return std::nullopt;
  }
  if (batch.producer_epoch != e.epoch) {
    e.epoch = batch.producer_epoch;
    e.batch_count = 0;
  }
  e.coordinator_epoch = std::max(e.coordinator_epoch, marker->coordinator_epoch);
  e.last_timestamp_ms = batch.max_timestamp;
  if (e.transaction_first_offset < 0) return std::nullopt;
  const std::int64_t first = std::exchange(e.transaction_first_offset, -1);
  open_.erase(first);
  if (marker->type == wire::marker_type::commit) return std::nullopt;
  return aborted_transaction{.producer_id = batch.producer_id,
                             .first_offset = first,
                             .last_offset = batch.last_offset(),
                             .last_stable_offset = first_open_offset().value_or(batch.next_offset())};
}

std::optional<producer_entry> producer_state::find(std::int64_t producer_id) const {
  const auto found = producers_.find(producer_id);
  if (found == producers_.end()) return std::nullopt;
  return found->second;
}

void producer_state::restore(std::int64_t producer_id, const std::optional<producer_entry>& entry) {
  const auto now = producers_.find(producer_id);
  if (now != producers_.end() && now->second.transaction_first_offset >= 0)
    open_.erase(now->second.transaction_first_offset);
  if (!entry) {
    if (now != producers_.end()) producers_.erase(now);
    return;
  }
  if (entry->transaction_first_offset >= 0) open_.emplace(entry->transaction_first_offset, producer_id);
  producers_[producer_id] = *entry;
}

std::optional<std::int64_t> producer_state::first_open_offset() const noexcept {
  if (open_.empty()) return std::nullopt;
  return open_.begin()->first;
}

std::size_t producer_state::expire(std::int64_t before_ms) {
  return std::erase_if(producers_, [&](const auto& p) {
    return p.second.transaction_first_offset < 0 && p.second.last_timestamp_ms < before_ms;
  });
}

void producer_state::clear() {
  producers_.clear();
  open_.clear();
}

std::vector<producer_entry> producer_state::entries() const {
  std::vector<producer_entry> all;
  all.reserve(producers_.size());
  for (const auto& [id, e] : producers_) all.push_back(e);
  std::sort(all.begin(), all.end(),
            [](const producer_entry& a, const producer_entry& b) { return a.producer_id < b.producer_id; });
  return all;
}

namespace {

constexpr std::int16_t snapshot_version = 1;
constexpr std::size_t entries_position = 6;
constexpr std::uint32_t history_magic = 0x7073746b;

template <typename... Fields>
void put(std::string& out, Fields... fields) {
  const auto one = [&](auto v) {
    char b[sizeof v];
    base::store_be(b, v);
    out.append(b, sizeof v);
  };
  (one(fields), ...);
}

template <typename... Fields>
bool take(std::string_view& in, Fields&... fields) {
  if (in.size() < (sizeof(fields) + ...)) return false;
  const auto one = [&](auto& v) {
    v = base::load_be<std::remove_reference_t<decltype(v)>>(in.data());
    in.remove_prefix(sizeof v);
  };
  (one(fields), ...);
  return true;
}

bool take_entry(std::string_view& in, producer_entry& e) {
  producer_batch last;
  if (!take(in, e.producer_id, e.epoch, last.last_sequence, last.last_offset, last.offset_delta,
            e.last_timestamp_ms, e.coordinator_epoch, e.transaction_first_offset))
    return false;
  last.timestamp_ms = e.last_timestamp_ms;
  if (last.offset_delta < 0) return false;
  if (last.last_sequence >= 0) {
    // Sequences go on with 0 after 2^31-1, so that the first may be above the last.
    last.first_sequence =
        static_cast<std::int32_t>((std::int64_t{last.last_sequence} - last.offset_delta) & 0x7fffffff);
    e.batches[0] = last;
    e.batch_count = 1;
  }
  return true;
}

/// The earlier batches of one producer, put before the one that `e` holds.
bool take_history(std::string_view& in, producer_entry& e) {
  std::uint8_t count = 0;
  if (!take(in, count) || count >= producer_entry::batches_kept || e.batch_count != 1) return false;
  const producer_batch last = e.batches[0];
  for (std::uint8_t i = 0; i < count; ++i) {
    producer_batch& b = e.batches[i];
    if (!take(in, b.first_sequence, b.last_sequence, b.last_offset, b.offset_delta, b.timestamp_ms))
      return false;
  }
  e.batches[count] = last;
  e.batch_count = static_cast<std::uint8_t>(count + 1);
  return take(in, e.batches[count].first_sequence, e.batches[count].timestamp_ms);
}

}  // namespace

std::string producer_state::encode() const {
  const auto all = entries();
  std::string out;
  out.reserve(entries_position + 4 + all.size() * 100);
  put(out, snapshot_version, std::uint32_t{0}, static_cast<std::int32_t>(all.size()));
  std::int32_t with_batches = 0;
  for (const auto& e : all) {
    const producer_batch last = e.batch_count == 0 ? producer_batch{} : e.batches[e.batch_count - 1u];
    put(out, e.producer_id, e.epoch, last.last_sequence, last.last_offset, last.offset_delta,
        e.last_timestamp_ms, e.coordinator_epoch, e.transaction_first_offset);
    if (e.batch_count > 0) ++with_batches;
  }
  put(out, history_magic, with_batches);
  for (const auto& e : all) {
    if (e.batch_count == 0) continue;
    put(out, e.producer_id, static_cast<std::uint8_t>(e.batch_count - 1));
    for (std::size_t i = 0; i + 1 < e.batch_count; ++i) {
      const producer_batch& b = e.batches[i];
      put(out, b.first_sequence, b.last_sequence, b.last_offset, b.offset_delta, b.timestamp_ms);
    }
    const producer_batch& last = e.batches[e.batch_count - 1u];
    put(out, last.first_sequence, last.timestamp_ms);
  }
  base::store_be(out.data() + 2, base::crc32c(std::string_view(out).substr(entries_position)));
  return out;
}

result<producer_state> producer_state::decode(std::string_view bytes) {
  const auto corrupt = [] { return fail(errc::corrupt, "a producer snapshot is damaged"); };
  std::string_view in = bytes;
  std::int16_t version = 0;
  std::uint32_t crc = 0;
  std::int32_t count = 0;
  if (!take(in, version, crc) || version != snapshot_version || crc != base::crc32c(in) || !take(in, count))
    return corrupt();
  producer_state state;
  for (std::int32_t i = 0; i < count; ++i) {
    producer_entry e;
    if (!take_entry(in, e)) return corrupt();
    if (e.transaction_first_offset >= 0) state.open_.emplace(e.transaction_first_offset, e.producer_id);
    if (!state.producers_.emplace(e.producer_id, e).second) return corrupt();
  }
  std::uint32_t magic = 0;
  std::int32_t histories = 0;
  if (in.empty()) return state;  // written by Kafka
  if (!take(in, magic, histories) || magic != history_magic) return corrupt();
  for (std::int32_t i = 0; i < histories; ++i) {
    std::int64_t id = -1;
    if (!take(in, id)) return corrupt();
    const auto e = state.producers_.find(id);
    if (e == state.producers_.end() || !take_history(in, e->second)) return corrupt();
  }
  return in.empty() ? result<producer_state>(std::move(state)) : corrupt();
}

}  // namespace penstock::log
