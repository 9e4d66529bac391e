// SPDX-License-Identifier: Apache-2.0
#include "broker/offsets_journal.h"

#include "broker/broker_log.h"
#include "broker/core.h"

namespace penstock::broker {

using wire::error_code;

offsets_journal::offsets_journal(broker_core& core) : core_(core), records_(core, offsets_topic) {}

void offsets_journal::write(const std::string& group, std::vector<state_record> records,
                            unique_function<void(error_code)> done) {
  write_in_transaction(group, std::move(records), {}, std::move(done));
}

void offsets_journal::write_in_transaction(const std::string& group, std::vector<state_record> records,
                                           producer_identity producer,
                                           unique_function<void(error_code)> done) {
  auto appended = records_.append(group, records, false, producer);
  if (!appended) return done(static_cast<error_code>(appended.error().kafka_code()));
  if (!core_.answers_after_sync()) return done(error_code::none);
  core_.syncs.when_synced({std::move(*appended)}, [done = std::move(done)](bool synced) mutable {
    done(synced ? error_code::none : error_code::kafka_storage_error);
  });
}

result<> offsets_journal::load(group_coordinator& into) {
  state_topic::reader reader;
  reader.record = [&into](const wire::batch_header& batch, const record_view& r) {
    const auto value = r.is_tombstone() ? std::nullopt : std::optional(r.value);
    const auto taken = batch.transactional() ? into.restore_in_transaction(batch.producer_id, r.key, value)
                                             : into.restore(r.key, value);
    if (!taken) broker_log().warn("{} offset {}: {}", offsets_topic, r.offset, taken.error().message());
  };
  reader.marker = [&into](const wire::batch_header& batch, std::int32_t partition, bool commit) {
    into.transaction_ended(batch.producer_id, partition, commit);
  };
  return records_.load(reader);
}

}  // namespace penstock::broker
