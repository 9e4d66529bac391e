// SPDX-License-Identifier: Apache-2.0
#include "broker/transaction_records.h"

#include <fmt/format.h>

#include <algorithm>

#include "wire/messages/transaction_records.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace penstock::broker {
namespace {

constexpr std::int16_t key_version = 0;
constexpr std::int16_t value_version = 1;

// Names have been checked when they came in, so that encoding cannot fail.
template <typename Message>
std::string with_version(std::int16_t version, const Message& m) {
  std::string out;
  wire::writer w(out);
  w.integer(version);
  (void)m.encode(w, version);
  return out;
}

constexpr std::string_view names[] = {"Empty",        "Ongoing",          "PrepareCommit",
                                      "PrepareAbort", "CompleteCommit",   "CompleteAbort",
                                      "Dead",         "PrepareEpochFence"};

}  // namespace

std::string_view to_string(transaction_state s) noexcept { return names[static_cast<std::size_t>(s)]; }

std::optional<transaction_state> parse_transaction_state(std::string_view name) noexcept {
  const auto it = std::find(std::begin(names), std::end(names), name);
  if (it == std::end(names)) return std::nullopt;
  return static_cast<transaction_state>(it - std::begin(names));
}

bool contains(const partition_sets& sets, std::string_view topic, std::int32_t partition) {
  const auto it = sets.find(topic);
  return it != sets.end() && it->second.contains(partition);
}

bool contains_all(const partition_sets& sets, const partition_sets& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& w) {
    const auto it = sets.find(w.first);
    return it != sets.end() &&
           std::includes(it->second.begin(), it->second.end(), w.second.begin(), w.second.end());
  });
}

std::string encode_transaction_key(std::string_view id) {
  return with_version(key_version, wire::transaction_log_key{std::string(id)});
}

std::string encode(const transaction& t) {
  wire::transaction_log_value v;
  v.producer_id = t.producer.id;
  v.producer_epoch = t.producer.epoch;
  v.previous_producer_id = t.previous_producer_id;
  v.next_producer_id = t.next_producer_id;
  v.transaction_timeout_ms = static_cast<std::int32_t>(t.timeout.count());
  v.transaction_status = static_cast<std::int8_t>(t.state);
  v.transaction_last_update_timestamp_ms = t.updated_ms;
  v.transaction_start_timestamp_ms = t.start_ms;
  v.client_transaction_version = static_cast<std::int16_t>(t.version);
  if (!t.is(transaction_state::empty)) {
    auto& topics = v.transaction_partitions.emplace();
    for (const auto& [topic, partitions] : t.partitions)
      topics.push_back({topic, {partitions.begin(), partitions.end()}});
  }
  return with_version(value_version, v);
}

result<std::optional<std::string>> decode_transaction_key(std::string_view bytes) {
  wire::reader in(bytes);
  const auto version = in.integer<std::int16_t>();
  if (!in.ok()) return fail(errc::corrupt, "a key in __transaction_state is cut off");
  if (version != key_version) return std::optional<std::string>();
  wire::transaction_log_key key;
  if (auto decoded = key.decode(in, version); !decoded) return fail(errc::corrupt, decoded.error().message());
  return std::optional(std::move(key.transactional_id));
}

result<transaction> decode_transaction(std::string_view id, std::string_view bytes) {
  wire::reader in(bytes);
  const auto version = in.integer<std::int16_t>();
  wire::transaction_log_value v;
  if (auto decoded = v.decode(in, version); !decoded) return fail(errc::corrupt, decoded.error().message());
  if (v.transaction_status < 0 || v.transaction_status > static_cast<int>(transaction_state::complete_abort))
    return fail(errc::corrupt,
                fmt::format("transactional id {} is in a state {} that cannot be", id, v.transaction_status));
  transaction t;
  t.id = id;
  t.producer = {v.producer_id, v.producer_epoch};
  t.previous_producer_id = v.previous_producer_id;
  t.next_producer_id = v.next_producer_id;
  t.timeout = std::chrono::milliseconds(v.transaction_timeout_ms);
  t.state = static_cast<transaction_state>(v.transaction_status);
  t.updated_ms = v.transaction_last_update_timestamp_ms;
  t.start_ms = v.transaction_start_timestamp_ms;
  t.version = v.client_transaction_version >= 2 ? transaction_version::raised : transaction_version::plain;
  if (v.transaction_partitions)
    for (auto& topic : *v.transaction_partitions)
      t.partitions[topic.topic].insert(topic.partition_ids.begin(), topic.partition_ids.end());
  return t;
}

}  // namespace penstock::broker
