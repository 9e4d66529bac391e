// SPDX-License-Identifier: Apache-2.0
#include "client/producer.h"

#include "client/transactions.h"

namespace penstock::client {

producer::producer(cluster& c, const kafka::producer_settings& settings)
    : cluster_(c), accumulator_(settings, c.random()), sender_(c, accumulator_, settings, nullptr) {
  if (settings.transactional_id.empty()) return;
  transactions_ = std::make_unique<client::transactions>(c, sender_, accumulator_, settings, nullptr);
  sender_.take_part_in(transactions_.get());
}

producer::~producer() = default;

result<append_status> producer::try_send(const kafka::record_to_send& r, kafka::delivery_callback f) {
  const std::int64_t timestamp =
      r.timestamp_ms == kafka::now_ms ? cluster_.loop().time().wall_ms() : r.timestamp_ms;
  auto done = accumulator_.append(r, timestamp, cluster_.loop().time(), f ? &f : nullptr);
  if (!done) return fail(done.error());
  if (done->status == append_status::no_metadata) sender_.want_topic(std::string(r.topic));
  if (done->work) sender_.kick();
  return done->status;
}

std::optional<std::int32_t> producer::partitions_of(std::string_view topic) {
  const auto* t = accumulator_.find(topic);
  if (t != nullptr && t->known > 0) return t->known;
  sender_.want_topic(std::string(topic));
  return std::nullopt;
}

}  // namespace penstock::client
