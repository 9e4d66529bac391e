// SPDX-License-Identifier: Apache-2.0
// A fluent expression as one operator: head (where records come from), steps, terminal (where they go).
#pragma once

#include <penstock/detail/indexed.h>
#include <penstock/detail/op.h>
#include <penstock/detail/steps.h>
#include <penstock/detail/terminals.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace penstock::detail {

/// Runs user code and, should it throw, notes which step it was. Costs nothing otherwise.
struct step_guard {
  unsigned& failing;
  unsigned index;
  template <typename F>
  [[gnu::always_inline]] decltype(auto) operator()(F&& f) const {
    try {
      return f();
    } catch (...) {
      failing = index;
      throw;
    }
  }
};

struct nothing {};

/// The loop, and everything that does not depend on the head. Base is op or source_op.
template <typename Base, typename Terminal, typename... Steps>
class fused : public Base, public std::conditional_t<Terminal::partitions, partitioning_op, nothing> {
 public:
  using steps_tuple = std::tuple<Steps...>;
  fused(steps_tuple steps, Terminal terminal) : steps_(std::move(steps)), terminal_(std::move(terminal)) {}

  result<> open(services& lane) override {
    this->services_ = &lane;
    result<> r;
    std::apply([&](auto&... step) { ((r = r ? step.open(lane) : std::move(r)), ...); }, steps_);
    return r ? terminal_.open(lane, this->node_) : std::move(r);
  }
  void connect(std::uint32_t, op& consumer) override {
    terminal_.connect(consumer);
    this->add_downstream(consumer);
  }
  void on_watermark(watermark w) override {
    terminal_.on_watermark(w);
    this->pass_on(w);
  }
  void on_barrier(std::uint64_t epoch) override {
    this->epoch_ = epoch + 1;
    terminal_.on_barrier(epoch, *this->services_);
    this->pass_barrier(epoch);
  }
  bool blocked() const override { return terminal_.blocked(); }
  // These override partitioning_op's where that is a base.
  virtual void connect_exchange(std::vector<exchange_sender*> targets) {
    if constexpr (Terminal::partitions) terminal_.connect_exchange(targets);
  }
  virtual void leave_out_unread(const reading& read) {
    if constexpr (Terminal::partitions) terminal_.leave_out_unread(read);
  }

 protected:
  /// Runs records 0 .. n-1 through the steps. `get(i, next)` calls next(value, timestamp); `origin(i)` names
  /// the record. A record at which user code throws meets the policy; the others go on.
  template <typename Get, typename Origin>
  void run(std::size_t n, Get get, Origin origin, std::uint32_t split = 0) {
    std::size_t i = 0;
    loop_state loop;
    loop.split = split;
    loop.may_take = terminal_.may_move;
    decltype(auto) end = enter(terminal_);
    for (;;) {
      try {
        for (; i < n; ++i)
          get(
              i, [ this, &end, &loop ](auto&& v, std::int64_t ts) __attribute__((always_inline)) {
                this->template step<0>(std::forward<decltype(v)>(v), ts, end, loop);
              });
        break;
      } catch (...) {
        if (!this->record_failed(step_name(failing_), origin(i))) return;
        ++i;
      }
    }
    leave(terminal_, end);
    if (result<> r = terminal_.end_of_batch(); !r) return this->services_->fail(std::move(r.error()));
    op_counters::add(this->counters_.in, n);
    op_counters::add(this->counters_.out, loop.produced);
    max_assigned_ = loop.max_assigned;
  }

  /// The largest timestamp of the last run: as assign_timestamps gave them, otherwise `own`.
  std::int64_t max_timestamp(std::int64_t own) const noexcept {
    return (Steps::assigns_timestamps || ...) ? max_assigned_ : own;
  }

  static constexpr bool generates = (Steps::makes_watermarks || ...);
  /// What the user's generator says of a split.
  std::int64_t generated(std::uint32_t split) {
    std::int64_t newest = min_watermark;
    const auto ask = [&](auto& step) {
      if constexpr (std::decay_t<decltype(step)>::makes_watermarks)
        newest = step.watermark(split, this->services_->processing_time());
    };
    std::apply([&](auto&... step) { (ask(step), ...); }, steps_);
    return newest;
  }

  steps_tuple steps_;
  Terminal terminal_;

 private:
  template <std::size_t I, typename V>
  [[gnu::always_inline]] void step(V&& value, std::int64_t ts, Terminal& end, loop_state& loop) {
    if constexpr (I == sizeof...(Steps)) {
      end.put(std::forward<V>(value), ts, step_guard{failing_, I});
      ++loop.produced;
    } else {
      std::get<I>(steps_).apply(
          std::forward<V>(value), ts, loop, step_guard{failing_, I},
          [ this, &end, &loop ](auto&& v, std::int64_t t) __attribute__((always_inline)) {
            this->template step<I + 1>(std::forward<decltype(v)>(v), t, end, loop);
          });
    }
  }
  static const char* step_name(unsigned i) {
    static constexpr std::array<const char*, sizeof...(Steps) + 1> names{Steps::name..., Terminal::name};
    return names[i];
  }

  unsigned failing_ = 0;
  std::int64_t max_assigned_ = no_timestamp;
};

/// Behind a seam: takes batches.
template <typename T, typename Terminal, typename... Steps>
class stream_op final : public fused<op, Terminal, Steps...>, public input<batch<T>> {
 public:
  using fused<op, Terminal, Steps...>::fused;
  void push(batch<T>& records, bool may_move) override {
    this->terminal_.may_move = may_move;
    const std::int64_t* ts = records.timestamps.data();
    const T* values = records.values.data();
    this->run(
        records.size(), [=](std::size_t i, auto&& next) { next(values[i], ts[i]); },
        [](std::size_t) { return record_origin{}; });
  }
};

/// Reads a connector's records.
template <typename Terminal, typename... Steps>
class raw_source_op final : public fused<source_op, Terminal, Steps...> {
 public:
  using base = fused<source_op, Terminal, Steps...>;
  using base::base;
  result<> open(services& lane) override {
    if (result<> r = base::open(lane); !r) return r;
    auto reader = lane.open_reader(this->node_);
    if (!reader) return fail(std::move(reader.error()));
    reader_ = std::move(*reader);
    return {};
  }
  result<> assign(std::uint32_t number, const split& s) override { return reader_->assign(number, s); }
  result<source_op::step> poll() override {
    auto answer = reader_->poll(std::span<raw>(records_.get(), capacity));
    if (!answer) return fail(std::move(answer.error()));
    source_op::step done{answer->count, answer->split, answer->next, answer->finished};
    const raw* r = records_.get();
    std::int64_t newest = no_timestamp;
    for (std::size_t i = 0; i < answer->count; ++i) {
      if (r[i].timestamp_ms > newest && r[i].timestamp_ms >= 0) newest = r[i].timestamp_ms;
    }
    this->run(
        answer->count,
        [r](std::size_t i, auto&& next) {
          next(r[i], r[i].timestamp_ms < 0 ? no_timestamp : r[i].timestamp_ms);
        },
        [r](std::size_t i) {
          return record_origin{r[i].from, r[i].offset, &r[i]};
        },
        answer->split);
    done.max_timestamp = this->max_timestamp(newest);
    return done;
  }
  bool makes_watermarks() const noexcept override { return base::generates; }
  std::int64_t watermark_of(std::uint32_t split) override { return this->generated(split); }
  bool set_paused(std::uint32_t split, bool paused) override { return reader_->set_paused(split, paused); }
  void commit(std::vector<split_commit> positions, std::function<void(result<>)> done) override {
    reader_->commit(std::move(positions), std::move(done));
  }

 private:
  static constexpr std::size_t capacity = 256;
  std::unique_ptr<source_reader> reader_;
  std::unique_ptr<raw[]> records_ = std::make_unique<raw[]>(capacity);
};

/// Makes its records from their index: elements in memory, generators.
template <typename F, typename Terminal, typename... Steps>
class indexed_source_op final : public fused<source_op, Terminal, Steps...> {
 public:
  using base = fused<source_op, Terminal, Steps...>;
  indexed_source_op(F at, typename base::steps_tuple steps, Terminal terminal)
      : base(std::move(steps), std::move(terminal)), at_(std::move(at)) {}
  result<> assign(std::uint32_t number, const split& s) override {
    splits_.add(number, s);
    return {};
  }
  result<source_op::step> poll() override {
    const index_range part = splits_.next();
    source_op::step done{part.size, part.split,
                         part.size == 0 ? -1 : part.first + static_cast<std::int64_t>(part.size),
                         part.finished};
    if (part.finished && part.size == 0) done.next = part.first;
    F& at = at_;
    this->run(
        part.size,
        [&at, first = part.first](std::size_t i, auto&& next) {
          next(at(first + static_cast<std::int64_t>(i)), no_timestamp);
        },
        [&](std::size_t i) {
          return record_origin{part.from, part.first + static_cast<std::int64_t>(i)};
        },
        part.split);
    done.max_timestamp = this->max_timestamp(no_timestamp);
    return done;
  }
  bool makes_watermarks() const noexcept override { return base::generates; }
  std::int64_t watermark_of(std::uint32_t split) override { return this->generated(split); }
  bool set_paused(std::uint32_t split, bool paused) override { return splits_.set_paused(split, paused); }
  void commit(std::vector<split_commit>, std::function<void(result<>)> done) override { done({}); }

 private:
  F at_;
  index_splits splits_;
};

/// Behind an exchange: hands on what another lane sent.
template <typename B>
class relay final : public relay_op {
 public:
  void connect(std::uint32_t, op& consumer) override {
    to_.push_back(&dynamic_cast<input<B>&>(consumer));
    add_downstream(consumer);
  }
  void deliver(any_batch& records) override {
    auto& typed = static_cast<B&>(records);
    for (std::size_t i = 0; i < to_.size(); ++i) to_[i]->push(typed, i + 1 == to_.size());
  }

 private:
  std::vector<input<B>*> to_;
};

}  // namespace penstock::detail
