// SPDX-License-Identifier: Apache-2.0
// penstock txn list | describe | producers | abort | fence
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "admin_tool.h"
#include "output.h"

namespace penstock::tools {
namespace {

struct options {
  cluster_options cluster;
  std::vector<std::string> ids;
  std::vector<std::string> states;
  std::string pattern;
  std::optional<std::int64_t> open_longer_than_ms;
  std::string topic;
  std::int32_t partition = 0;
  std::optional<std::int64_t> start_offset;
  std::optional<std::int64_t> producer_id;
  std::int32_t producer_epoch = -1;
  std::int32_t coordinator_epoch = 0;
};

result<> list(kafka::admin& admin, const options& o) {
  kafka::transaction_filter filter{.states = o.states};
  if (!o.pattern.empty()) filter.id_pattern = o.pattern;
  if (o.open_longer_than_ms) filter.open_longer_than = std::chrono::milliseconds(*o.open_longer_than_ms);
  const auto all = admin.list_transactions(filter);
  if (!all) return fail(all.error());
  std::string out = fmt::format("{:<36} {:>12} {}\n", "transactional id", "producer id", "state");
  for (const auto& t : *all)
    out += fmt::format("{:<36} {:>12} {}\n", t.transactional_id, t.producer_id, t.state);
  return print(out);
}

result<> describe(kafka::admin& admin, const options& o) {
  const auto all = admin.describe_transactions(o.ids);
  if (!all) return fail(all.error());
  std::string out;
  for (const auto& t : *all) {
    out += fmt::format("transactional id {}  state {}  producer {}  epoch {}  coordinator {}  timeout {} ms",
                       t.transactional_id, t.state, t.producer_id, t.producer_epoch, t.coordinator,
                       t.timeout.count());
    if (t.begun_ms >= 0) out += fmt::format("  open since {}", t.begun_ms);
    out += '\n';
    for (const auto& tp : t.partitions) out += fmt::format("  {}\n", to_string(tp));
  }
  return print(out);
}

result<std::vector<kafka::active_producer>> producers_of(kafka::admin& admin, const options& o) {
  const auto found = admin.describe_producers({{o.topic, o.partition}});
  if (!found) return fail(found.error());
  return found->front();
}

result<> producers(kafka::admin& admin, const options& o) {
  const auto found = producers_of(admin, o);
  if (!found) return fail(found.error());
  std::string out = fmt::format("{:>12} {:>6} {:>14} {:>14} {:>18} {:>12}\n", "producer id", "epoch",
                                "last sequence", "last time", "coordinator epoch", "open since");
  for (const auto& p : *found)
    out += fmt::format(
        "{:>12} {:>6} {:>14} {:>14} {:>18} {:>12}\n", p.producer_id, p.producer_epoch, p.last_sequence,
        p.last_timestamp_ms, p.coordinator_epoch,
        p.transaction_begin == kafka::no_offset ? "-" : fmt::format("offset {}", p.transaction_begin));
  return print(out);
}

/// By the offset that the transaction begins at, which its partition's leader knows (Kafka 2.8).
result<kafka::hanging_transaction> beginning_at(kafka::admin& admin, const options& o) {
  const auto found = producers_of(admin, o);
  if (!found) return fail(found.error());
  for (const auto& p : *found)
    if (p.transaction_begin == *o.start_offset)
      return kafka::hanging_transaction{.partition = {o.topic, o.partition},
                                        .producer_id = p.producer_id,
                                        .producer_epoch = p.producer_epoch,
                                        // No transaction of this producer has ended here yet.
                                        .coordinator_epoch = std::max(p.coordinator_epoch, 0)};
  return fail(errc::not_found,
              fmt::format("{} has no open transaction that begins at offset {}: see penstock txn producers",
                          to_string(kafka::topic_partition{o.topic, o.partition}), *o.start_offset));
}

result<> abort(kafka::admin& admin, const options& o) {
  if (o.start_offset) {
    const auto which = beginning_at(admin, o);
    if (!which) return fail(which.error());
    return admin.abort_transaction(*which);
  }
  if (!o.producer_id || o.producer_epoch < 0)
    return fail(errc::invalid_argument,
                "say which transaction: --start-offset, or --producer-id and --producer-epoch");
  return admin.abort_transaction({.partition = {o.topic, o.partition},
                                  .producer_id = *o.producer_id,
                                  .producer_epoch = static_cast<std::int16_t>(o.producer_epoch),
                                  .coordinator_epoch = o.coordinator_epoch});
}

result<> fence(kafka::admin& admin, const options& o) {
  const auto done = admin.fence_producers(o.ids);
  if (!done) return fail(done.error());
  std::string out;
  for (std::size_t i = 0; i < o.ids.size(); ++i)
    out += fmt::format("{}  producer {}  epoch {}\n", o.ids[i], (*done)[i].producer_id,
                       (*done)[i].producer_epoch);
  return print(out);
}

void add_partition(command c, const std::shared_ptr<options>& o) {
  c.value("--topic,-t", o->topic, "").required();
  c.value("--partition,-p", o->partition, "").between(0, 1'000'000).required();
}

}  // namespace

void add_txn(command root) {
  auto o = std::make_shared<options>();
  auto txn = root.add("txn", "List, describe and end transactions");
  auto c =
      add_admin_command(txn, "list", "The transactional ids that the cluster knows (Kafka 3.0)", o, list);
  c.values("--state", o->states, "only these: Empty, Ongoing, PrepareCommit ...; may be given several times");
  c.value("--id-pattern", o->pattern, "only ids that this RE2 pattern matches (Kafka 4.1)");
  c.value("--open-longer-than", o->open_longer_than_ms,
          "only those open for so many milliseconds (Kafka 3.8)")
      .between(0, any_amount);

  c = add_admin_command(txn, "describe", "State, producer and partitions of transactions (Kafka 3.0)", o,
                        describe);
  c.values("ID", o->ids, "").required();

  c = add_admin_command(txn, "producers",
                        "Who writes to a partition, and whose transaction is open there (Kafka 2.8)", o,
                        producers);
  add_partition(c, o);

  c = add_admin_command(
      txn, "abort",
      "End a transaction on one partition that its coordinator has forgotten. Never one that is at "
      "work: its records would be torn apart",
      o, abort);
  add_partition(c, o);
  auto start = c.value("--start-offset", o->start_offset, "where it begins, as txn producers tells")
                   .between(0, any_amount);
  c.value("--producer-id", o->producer_id, "instead, for brokers before Kafka 2.8")
      .between(0, any_amount)
      .excludes(start);
  c.value("--producer-epoch", o->producer_epoch, "with --producer-id").between(0, 32'767).excludes(start);
  c.value("--coordinator-epoch", o->coordinator_epoch, "with --producer-id")
      .between(0, 2'147'483'647)
      .excludes(start);

  c = add_admin_command(
      txn, "fence", "Abort what these ids have open, and shut out their producers (Kafka 0.11)", o, fence);
  c.values("ID", o->ids, "").required();
}

}  // namespace penstock::tools
