// SPDX-License-Identifier: Apache-2.0
#include "connectors/kafka/epoch_channel.h"

#include <utility>

#include "io/failpoint.h"

namespace penstock::connectors {
namespace {
std::int32_t size_of(std::string_view bytes) {
  return bytes.data() == nullptr ? -1 : static_cast<std::int32_t>(bytes.size());
}
}  // namespace

void record_queue::add(std::string_view topic, std::int32_t partition, const outgoing& r) {
  entries_.push_back({topic, partition, r.timestamp_ms, bytes_.size(), size_of(r.key), size_of(r.value),
                      static_cast<std::uint32_t>(r.headers.size())});
  bytes_.append(r.key).append(r.value);
  for (const record_header& h : r.headers) {
    const std::int32_t sizes[2] = {size_of(h.key), size_of(h.value)};
    bytes_.append(reinterpret_cast<const char*>(sizes), sizeof sizes).append(h.key).append(h.value);
  }
}

result<> epoch_channel::write(std::string_view topic, std::int32_t partition,
                              std::span<const outgoing> records) {
  if (result<> r = io::failpoint("channel.write"); !r) return r;
  if (failure_) return fail(*failure_);
  record_queue* waits = sealed_ && flushing_   ? &later_
                        : sealed_ || flushing_ ? &next_
                        : !now_.empty()        ? &now_
                                               : nullptr;
  std::size_t taken = 0;
  if (waits == nullptr) {
    auto sent = producer_.append(topic, partition, records);
    if (!sent) return fail(std::move(sent.error()));
    taken = *sent;
    waits = &now_;
  }
  for (const outgoing& r : records.subspan(taken)) waits->add(topic, partition, r);
  return {};
}

void epoch_channel::flush(std::function<void(result<>)> done) {
  if (result<> r = io::failpoint("channel.flush"); !r) return done(std::move(r));
  if (failure_) return done(fail(*failure_));
  // Sealed still: the epoch that ends has begun, but the lane, busy, has not heard of it. What was written
  // for it waits in next_, and must be in its transaction before it may end.
  if (sealed_ || !now_.empty()) {
    flushing_ = std::move(done);
    return;
  }
  sealed_ = true;
  done(io::failpoint("channel.sealed"));
}

void epoch_channel::next_epoch() {
  static_cast<void>(io::failpoint("channel.next_epoch.before"));
  sealed_ = false;
  std::swap(now_, next_);
  std::swap(next_, later_);
  drain();
  static_cast<void>(io::failpoint("channel.next_epoch.after"));
}

void epoch_channel::drain() {
  // Sealed: nothing of the open epoch waits. An end that is asked for is the next epoch's, and what was
  // written for it goes first, once that has begun.
  if (failure_ || sealed_) return;
  now_.take_while([&](std::string_view topic, std::int32_t partition, const outgoing& r) {
    auto sent = producer_.append(topic, partition, {&r, 1});
    if (!sent) failure_ = std::move(sent.error());
    return sent && *sent == 1;
  });
  if (failure_) {
    if (flushing_) std::exchange(flushing_, nullptr)(fail(*failure_));
    return;
  }
  if (!flushing_ || !now_.empty()) return;
  sealed_ = true;
  std::exchange(flushing_, nullptr)({});
}

}  // namespace penstock::connectors
