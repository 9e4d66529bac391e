// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/aggregate.h>
#include <penstock/detail/flat_table.h>
#include <penstock/detail/op.h>

#include <cstddef>
#include <cstdint>
#include <utility>

namespace penstock::detail {

/// A running aggregate a key, without windows: every record gives `Make{}(key, result)`, with the record's
/// timestamp. Its state never ends, so a restart begins at the first record that it ever saw.
template <typename K, typename T, typename A, typename Out, typename Make>
class running_op final : public op, public input<keyed_batch<K, T>>, private durable_state {
 public:
  using accumulator = accumulator_t<A, T>;
  explicit running_op(A aggregator) : aggregator_(std::move(aggregator)) {
    check_kept<K>();
    check_kept<accumulator>();
  }

  void connect(std::uint32_t, op& consumer) override {
    results_.connect(consumer);
    add_downstream(consumer);
  }

  void push(keyed_batch<K, T>& records, bool) override {
    if (first_epoch_ == 0) first_epoch_ = epoch_;
    const std::size_t n = records.size();
    std::size_t i = 0;
    for (;;) {
      try {
        for (; i < n; ++i) {
          const K& key = records.keys[i];
          accumulator& a = groups_.at(key_traits<K>::hash(key), key, [] { return accumulator{}; });
          aggregator_.add(a, std::as_const(records.values[i]));
          results_.add(Make{}(key, aggregator_.result(std::as_const(a))), records.timestamps[i]);
          ++emitted_;
        }
        break;
      } catch (...) {
        if (!record_failed("aggregate", {})) return;
        ++i;
      }
    }
    results_.flush();
    op_counters::add(counters_.in, n);
    op_counters::add(counters_.out, std::exchange(emitted_, 0));
  }

  void on_barrier(std::uint64_t epoch) override {
    seal_state(epoch, first_epoch_ == 0 ? epoch + 1 : first_epoch_);
  }
  durable_state* durable() override { return this; }
  reading reads() const override { return {.values = reads_records<A>}; }

 private:
  void note_changes() override { groups_.note_changes(); }
  void save_changes(state_log& to) override {
    row_writer<K> rows(to);
    groups_.take_changes([&](const K& key, const accumulator& a) {
      rows.put({}, key, [&](std::string& out) { encode_state(a, out); });
    });
  }
  bool restore(std::uint32_t, std::string_view row, std::string_view value) override {
    K key{};
    if (!decode_all(row, key)) return false;
    return decode_all(value, groups_.at(key_traits<K>::hash(key), key, [] { return accumulator{}; }));
  }
  void restored() override { groups_.forget_changes(); }

  A aggregator_;
  flat_table<K, accumulator> groups_;
  std::uint64_t first_epoch_ = 0;
  std::uint64_t emitted_ = 0;
  output<batch<Out>> results_;
};

struct make_pair_of {
  template <typename K, typename R>
  std::pair<K, R> operator()(const K& key, R result) const {
    return {key, std::move(result)};
  }
};
struct drop_key {
  template <typename K, typename R>
  R operator()(const K&, R result) const {
    return result;
  }
};

}  // namespace penstock::detail
