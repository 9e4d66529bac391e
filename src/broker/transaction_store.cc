// SPDX-License-Identifier: Apache-2.0
#include "broker/transaction_store.h"

#include <fmt/format.h>

#include "broker/broker_log.h"
#include "broker/core.h"

namespace penstock::broker {

using wire::error_code;

namespace {

error_code marker_code(log::append_status s) {
  switch (s) {
    case log::append_status::invalid_producer_epoch: return error_code::invalid_producer_epoch;
    case log::append_status::coordinator_fenced: return error_code::transaction_coordinator_fenced;
    case log::append_status::appended: return error_code::none;
    default: return error_code::unknown_server_error;
  }
}

void answer_when_synced(broker_core& core, std::vector<syncer::target> targets,
                        unique_function<void(error_code)> done) {
  core.syncs.when_synced(std::move(targets), [done = std::move(done)](bool synced) mutable {
    done(synced ? error_code::none : error_code::kafka_storage_error);
  });
}

}  // namespace

transaction_store::transaction_store(broker_core& core) : core_(core), records_(core, transactions_topic) {}

result<std::int64_t> transaction_store::next_producer_id() { return core_.next_producer_id(); }

// How far the logs of these partitions reach now.
std::vector<syncer::target> transaction_store::ends_of(const partition_sets& partitions) {
  std::vector<syncer::target> ends;
  for (const auto& [name, indexes] : partitions) {
    topic* t = core_.topics.find(name);
    if (t == nullptr) continue;
    for (const auto index : indexes)
      if (partition* p = t->find(index); p != nullptr && p->log != nullptr)
        ends.push_back({p->log, p->log->end_offset()});
  }
  return ends;
}

void transaction_store::write(const std::string& id, state_record record, durability wanted,
                              const partition_sets& partitions, unique_function<void(error_code)> done) {
  const bool wait = wanted == durability::decision       ? core_.decides_after_sync()
                    : wanted == durability::acknowledged ? core_.answers_after_sync()
                                                         : false;
  auto appended = records_.append(id, {&record, 1}, wait);
  if (!appended) return done(static_cast<error_code>(appended.error().kafka_code()));
  if (!wait) return done(error_code::none);
  auto targets = ends_of(partitions);
  targets.push_back(std::move(*appended));
  answer_when_synced(core_, std::move(targets), std::move(done));
}

result<std::optional<syncer::target>> transaction_store::write_marker(partition& p,
                                                                      const transaction_end& end,
                                                                      std::int32_t coordinator_epoch) {
  const auto refused = [](error_code e, std::string why) { return fail(wire::make_error(e, why)); };
  auto log = core_.topics.open_log(p);
  if (!log) return refused(core_.storage_error(log.error()), log.error().message());
  if (end.again) {
    const auto known = (*log)->producer(end.producer.id);
    if (known && known->transaction_first_offset < 0 && known->epoch == end.producer.epoch)
      return std::optional<syncer::target>();
  }
  marker_.clear();
  const auto type = end.commit ? wire::marker_type::commit : wire::marker_type::abort;
  wire::append_marker_batch({type, coordinator_epoch}, end.producer.id, end.producer.epoch,
                            core_.env.time->wall_ms(), core_.leader_epoch(), marker_);
  const std::span<char> bytes(marker_.data(), marker_.size());
  auto appended = (*log)->append(bytes, {.leader_epoch = core_.leader_epoch(),
                                         .epoch_of_its_own = end.version == transaction_version::raised});
  if (!appended) return refused(core_.storage_error(appended.error()), appended.error().message());
  if (const auto e = marker_code(appended->status); e != error_code::none)
    return refused(e, fmt::format("a marker of producer {} epoch {} for {}", end.producer.id,
                                  end.producer.epoch, p.name()));
  core_.appended(p, bytes.size(), false);
  return std::optional(syncer::target{p.log, appended->last_offset + 1});
}

void transaction_store::write_markers(transaction_end end, unique_function<void(error_code)> done) {
  std::vector<syncer::target> targets;
  for (const auto& [name, indexes] : end.partitions) {
    topic* t = core_.topics.find(name);
    for (const auto index : indexes) {
      partition* p = t == nullptr ? nullptr : t->find(index);
      if (p == nullptr) continue;  // deleted since
      auto written = write_marker(*p, end, core_.leader_epoch());
      if (!written) {
        const auto code = static_cast<error_code>(written.error().kafka_code());
        if (code == error_code::kafka_storage_error) return done(code);  // room may come
        // Somebody else ended it here, see WriteTxnMarkers.
        broker_log().warn("{}", written.error().message());
      } else if (*written) {
        targets.push_back(std::move(**written));
      }
    }
  }
  auto finish = [this, end = std::move(end), done = std::move(done)](error_code e) mutable {
    const auto offsets = end.partitions.find(offsets_topic);
    if (e == error_code::none && offsets != end.partitions.end())
      for (const auto index : offsets->second)
        core_.groups.transaction_ended(end.producer.id, index, end.commit);
    done(e);
  };
  if (!core_.decides_after_sync()) return finish(error_code::none);
  answer_when_synced(core_, std::move(targets), std::move(finish));
}

// A transaction that is open in a partition, and of which the coordinator's records, being younger, were lost
// with the power.
void transaction_store::reconcile(transaction_coordinator& into, partition& p) {
  for (const auto& producer : p.log->producers()) {
    if (producer.transaction_first_offset < 0) continue;
    auto missing = into.reconcile({producer.producer_id, producer.epoch}, p.owner->name(), p.index);
    if (!missing) continue;
    broker_log().warn("partition {}: a transaction of producer {} epoch {} is open and nobody's: it is {}",
                      p.name(), producer.producer_id, producer.epoch,
                      missing->commit ? "committed" : "aborted");
    write_markers(std::move(*missing), [](error_code) {});
  }
}

result<> transaction_store::load(transaction_coordinator& into, bool crashed) {
  state_topic::reader reader;
  reader.record = [&into](const wire::batch_header&, const record_view& r) {
    const auto value = r.is_tombstone() ? std::nullopt : std::optional(r.value);
    if (auto taken = into.restore(r.key, value); !taken)
      broker_log().warn("{} offset {}: {}", transactions_topic, r.offset, taken.error().message());
  };
  if (auto loaded = records_.load(reader); !loaded) return loaded;
  if (crashed)
    for (const auto& [name, t] : core_.topics.all())
      for (const auto& p : t->partitions)
        if (p->log != nullptr) reconcile(into, *p);
  into.recover(crashed);
  return {};
}

}  // namespace penstock::broker
