// SPDX-License-Identifier: Apache-2.0
// A transactional producer by hand, and a reader that sees what a read_committed consumer is given.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "broker/test_support.h"
#include "broker/transaction.h"

namespace penstock::broker::testing {

/// One transactional id's producer, which sends what it is told to, right or wrong. Version 2 of transactions
/// (KIP-890) or 0.
struct manual_producer {
  manual_producer(test_client& c, std::string transactional_id, int transaction_version)
      : client(&c), id(std::move(transactional_id)), raised(transaction_version == 2) {}

  std::int16_t init(std::int32_t timeout_ms = 60'000, bool as_current = false) {
    wire::init_producer_id_request q;
    q.transactional_id = id;
    q.transaction_timeout_ms = timeout_ms;
    if (as_current) {
      q.producer_id = who.id;
      q.producer_epoch = who.epoch;
    }
    auto a = client->call<wire::init_producer_id_response>(q, 5);
    // As every client does: after a start the last transaction may still be on its way to its end.
    for (int again = 0; a.error_code == code(error_code::concurrent_transactions) && again < 10'000; ++again)
      a = client->call<wire::init_producer_id_response>(q, 5);
    if (a.error_code == 0) take({a.producer_id, a.producer_epoch});
    return a.error_code;
  }
  std::int16_t add(const std::string& topic, std::int32_t partition) {
    wire::add_partitions_to_txn_request q;
    q.v3_and_below_transactional_id = id;
    q.v3_and_below_producer_id = who.id;
    q.v3_and_below_producer_epoch = who.epoch;
    q.v3_and_below_topics.push_back({topic, {partition}});
    return client->call<wire::add_partitions_to_txn_response>(q, 3)
        .results_by_topic_v3_and_below.at(0)
        .results_by_partition.at(0)
        .partition_error_code;
  }
  wire::produce_request produce_request_of(const std::string& topic, std::int32_t partition,
                                           std::string_view batch) const {
    auto q = produce_request(topic, partition, batch);
    q.transactional_id = id;
    return q;
  }
  /// Adds the partition first where that must be done, and counts the sequence on when it was taken.
  std::int16_t write(const std::string& topic, std::int32_t partition,
                     const std::vector<std::string>& values) {
    if (!raised)
      if (const auto e = add(topic, partition); e != 0) return e;
    return write_only(topic, partition, values, raised ? 12 : 11);
  }
  std::int16_t write_only(const std::string& topic, std::int32_t partition,
                          const std::vector<std::string>& values, std::int16_t version) {
    auto& sequence = sequences[{topic, partition}];
    const auto batch = make_batch(values, compression::none, {who.id, who.epoch, sequence, true});
    const auto q = produce_request_of(topic, partition, batch);
    const auto e =
        client->call<wire::produce_response>(q, version).responses.at(0).partition_responses.at(0).error_code;
    if (e == 0) sequence += static_cast<std::int32_t>(values.size());
    return e;
  }
  wire::txn_offset_commit_request offsets_request(const std::string& group, const std::string& topic,
                                                  std::int64_t offset) const {
    wire::txn_offset_commit_request q;
    q.transactional_id = id;
    q.group_id = group;
    q.producer_id = who.id;
    q.producer_epoch = who.epoch;
    q.topics.push_back({topic, {}, {{0, offset, -1, ""}}});
    return q;
  }
  std::int16_t commit_offset(const std::string& group, const std::string& topic, std::int64_t offset) {
    if (!raised) {
      const wire::add_offsets_to_txn_request q{id, who.id, who.epoch, group};
      if (const auto e = client->call<wire::add_offsets_to_txn_response>(q, 3).error_code; e != 0) return e;
    }
    return client
        ->call<wire::txn_offset_commit_response>(offsets_request(group, topic, offset), raised ? 5 : 4)
        .topics.at(0)
        .partitions.at(0)
        .error_code;
  }
  wire::end_txn_request end_request(bool commit) const { return {id, who.id, who.epoch, commit}; }
  std::int16_t end_version() const { return raised ? 5 : 4; }
  std::int16_t end(bool commit) {
    const auto a = client->call<wire::end_txn_response>(end_request(commit), end_version());
    if (a.error_code == 0 && raised) take({a.producer_id, a.producer_epoch});
    return a.error_code;
  }
  void take(producer_identity p) {
    if (!(p == who)) sequences.clear();
    who = p;
  }

  test_client* client;
  std::string id;
  bool raised;
  producer_identity who;
  std::map<std::pair<std::string, std::int32_t>, std::int32_t> sequences;
};

inline wire::fetch_request committed_fetch(const std::string& topic, std::int64_t offset,
                                           std::int32_t partition = 0) {
  auto q = fetch_request(topic, offset, partition);
  q.isolation_level = 1;
  return q;
}

/// What a read_committed consumer makes of one answer: it leaves out the batches of producers between the
/// first offset of an aborted transaction and its marker.
inline std::vector<std::string> committed_values(const fetched& p, std::int64_t& next) {
  std::vector<std::string> values;
  std::map<std::int64_t, std::vector<std::int64_t>> aborted;  // producer -> first offsets
  if (p.aborted_transactions)
    for (const auto& t : *p.aborted_transactions) aborted[t.producer_id].push_back(t.first_offset);
  std::set<std::int64_t> leaving_out;
  wire::records_reader reader(p.records.bytes, {.fetch_offset = next});
  wire::scratch_buffer scratch;
  wire::fetched_batch batch;
  for (;;) {
    auto more = reader.next(batch, scratch);
    if (!more) throw std::runtime_error(more.error().message());
    if (!*more) break;
    const auto& h = batch.header;
    if (auto& firsts = aborted[h.producer_id];
        !firsts.empty() && *std::min_element(firsts.begin(), firsts.end()) <= h.last_offset()) {
      firsts.erase(std::min_element(firsts.begin(), firsts.end()));
      leaving_out.insert(h.producer_id);
    }
    record_view r;
    while (batch.cursor.next(r)) {
      if (h.control())
        leaving_out.erase(h.producer_id);
      else if (!h.transactional() || !leaving_out.contains(h.producer_id))
        values.emplace_back(r.value);
    }
  }
  next = reader.next_offset();
  return values;
}

/// All that a read_committed consumer sees of a partition, in small fetches.
inline std::vector<std::string> read_committed_values(test_client& c, const std::string& topic,
                                                      std::int32_t partition = 0) {
  std::vector<std::string> all;
  for (std::int64_t next = 0;;) {
    auto q = committed_fetch(topic, next, partition);
    q.topics[0].partitions[0].partition_max_bytes = 400;
    const auto p = fetch(c, q);
    if (p.error_code != 0) throw std::runtime_error("fetch: error " + std::to_string(p.error_code));
    const auto before = next;
    for (auto& v : committed_values(p, next)) all.push_back(std::move(v));
    if (next == before) return all;
  }
}

inline std::int64_t committed_offset_of(test_client& c, const std::string& group, const std::string& topic,
                                        std::int16_t* error = nullptr) {
  wire::offset_fetch_request q;
  q.group_id = group;
  q.require_stable = true;
  q.topics.emplace().push_back({topic, {0}});
  const auto p = c.call<wire::offset_fetch_response>(q, 7).topics.at(0).partitions.at(0);
  if (error != nullptr) *error = p.error_code;
  return p.committed_offset;
}

}  // namespace penstock::broker::testing
