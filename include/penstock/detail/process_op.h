// SPDX-License-Identifier: Apache-2.0
// Operators of user functions with state and timers: one input, two, or one that is broadcast.
#pragma once

#include <penstock/detail/joint_op.h>
#include <penstock/process.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace penstock::detail {

/// Whether a type has a member called on_timer, of whatever signature.
struct on_timer_here {
  void on_timer();
};
template <typename Fn>
struct on_timer_probe : Fn, on_timer_here {};
template <typename Fn>
concept has_on_timer = !requires {
  &on_timer_probe<Fn>::on_timer;
};

template <typename Fn>
concept names_its_output = requires {
  typename Fn::output;
};

/// Makes the user's function on its lane.
template <typename K, typename Fn>
using function_maker = std::function<std::unique_ptr<Fn>(keyed_rows<K>&)>;

/// What all of them share: the function, its state, its timers, its outlets. Base is op or joint_op.
template <typename Base, typename K, typename Fn>
class process_base : public Base, private durable_state {
 public:
  using out = typename Fn::output;
  using context = keyed_context<K, out>;

  process_base(function_maker<K, Fn> make, const side_declarations& sides)
      : make_(std::move(make)), context_(sides) {}

  result<> open(services& lane) override {
    this->services_ = &lane;
    function_ = make_(context_.rows_);
    if (!context_.rows_.problem().empty()) return fail(errc::invalid_argument, context_.rows_.problem());
    return {};
  }
  void connect(std::uint32_t outlet, op& consumer) override {
    context_.connect(outlet, consumer);
    this->add_downstream(consumer);
  }

  void on_watermark(watermark w) override {
    // Timers see the watermark that woke them, as records after it do.
    context_.watermark_ = std::max(context_.watermark_, w.timestamp);
    begin_calls();
    run_event_timers();
    if (w.timestamp == max_watermark && !std::exchange(context_.ended_, true))
      run_timers(context_.processing_timers_, time_domain::processing, max_watermark);
    context_.rows_.set_time(context_.watermark_, context_.processing_time_, no_timestamp);
    end_calls();
    this->pass_on(w);
  }

  void on_processing_time(std::int64_t now) override {
    asked_ = max_watermark;
    begin_calls();
    run_timers(context_.processing_timers_, time_domain::processing, now);
    end_calls();
  }

  void on_barrier(std::uint64_t epoch) override {
    // State is needed from the first record after it was last empty.
    if (context_.rows_.empty()) first_epoch_ = 0;
    this->seal_state(epoch, first_epoch_ == 0 ? epoch + 1 : first_epoch_);
  }
  durable_state* durable() override { return this; }
  state_rows* inspect() override {
    context_.rows_.set_time(context_.watermark_, this->services_->processing_time(), no_timestamp);
    return &context_.rows_;
  }

 protected:
  /// Calls call(function, record number) for each record with its key selected.
  template <typename B, typename Call>
  void each_keyed(B& records, const char* what, Call call) {
    begin_calls();
    const std::size_t n = records.size();
    std::uint64_t hashes[batch_capacity];
    for (std::size_t i = 0; i < n; ++i) {
      hashes[i] = key_traits<K>::hash(records.keys[i]);
      context_.rows_.prefetch(hashes[i]);
    }
    for (std::size_t i = 0; i < n && !stopped_; ++i) {
      begin_record(records.timestamps[i]);
      context_.rows_.select(records.keys[i], hashes[i]);
      guarded(what, [&] { call(*function_, i); });
      context_.rows_.done();
    }
    op_counters::add(this->counters_.in, n);
    end_calls();
  }
  /// The same without a key.
  template <typename B, typename Call>
  void each(B& records, const char* what, Call call) {
    begin_calls();
    const std::size_t n = records.size();
    for (std::size_t i = 0; i < n && !stopped_; ++i) {
      begin_record(records.timestamps[i]);
      guarded(what, [&] { call(*function_, i); });
    }
    op_counters::add(this->counters_.in, n);
    end_calls();
  }

  keyed_rows<K>& rows() noexcept { return context_.rows_; }

  /// Calls process with a record: with the record itself where the function can take it and nobody else needs
  /// it; with a copy where it must have one of its own.
  template <typename T, typename Context>
  static void give(Fn& f, T& record, bool may_move, Context& ctx) {
    constexpr bool reads = requires { f.process(std::as_const(record), ctx); };
    constexpr bool takes = requires { f.process(std::move(record), ctx); };
    if constexpr (reads && (!takes || std::is_trivially_copyable_v<T>)) {
      f.process(std::as_const(record), ctx);
    } else if (may_move) {
      f.process(std::move(record), ctx);
    } else if constexpr (reads) {
      f.process(std::as_const(record), ctx);
    } else {
      f.process(T(record), ctx);
    }
  }

  function_maker<K, Fn> make_;
  context context_;

 private:
  // A row a key: its columns, then its timers.
  void note_changes() override {
    context_.rows_.note_changes();
    context_.event_timers_.note_rows();
    context_.processing_timers_.note_rows();
  }
  void save_changes(state_log& to) override {
    const unsigned lane = this->services_->context().lane;
    context_.rows_.save_shared(to, lane == 0);
    context_.rows_.save_changes(to, [&](row_id row, std::string& out) {
      encode_state(context_.event_timers_.of(row), out);
      encode_state(context_.processing_timers_.of(row), out);
    });
    kept_watermark_.save(to, lane, context_.watermark_);
  }
  bool restore(std::uint32_t partition, std::string_view row, std::string_view value) override {
    if (partition == shared_rows)
      return kept_watermark_.is_mine(row) ? kept_watermark_.restore(value)
                                          : context_.rows_.restore_shared(row, value);
    return context_.rows_.restore(row, value, [&](row_id id, std::string_view& in) {
      return restore_timers(context_.event_timers_, id, in) &&
             restore_timers(context_.processing_timers_, id, in);
    });
  }
  bool restore_timers(timer_set& timers, row_id row, std::string_view& in) {
    std::vector<std::int64_t> all;
    if (!decode_state(in, all)) return false;
    for (const std::int64_t at : all) {
      if (timers.add(at, row)) context_.rows_.hold(row);
    }
    return true;
  }
  void restored() override {
    context_.watermark_ = kept_watermark_.restored();
    if (const std::int64_t next = context_.processing_timers_.next(); next != asked_)
      this->services_->wake_at(*this, asked_ = next);
  }

  void begin_calls() { context_.processing_time_ = this->services_->processing_time(); }
  void begin_record(std::int64_t ts) {
    context_.timestamp_ = ts;
    context_.rows_.set_time(context_.watermark_, context_.processing_time_, ts);
  }
  void end_calls() {
    context_.rows_.sweep();
    op_counters::add(this->counters_.out, context_.flush());
    if (first_epoch_ == 0 && !context_.rows_.empty()) first_epoch_ = this->epoch_;
    const std::int64_t next = context_.processing_timers_.next();
    if (next != asked_) this->services_->wake_at(*this, asked_ = next);
  }
  template <typename Call>
  void guarded(const char* what, Call call) {
    try {
      call();
    } catch (...) {
      if (!this->record_failed(what, {})) stopped_ = true;
    }
  }

  void run_event_timers() { run_timers(context_.event_timers_, time_domain::event, context_.watermark_); }

  void run_timers(timer_set& timers, time_domain domain, std::int64_t limit) {
    timer_id due{};
    while (!stopped_ && timers.take(limit, due)) {
      if (const row_id soon = timers.ahead(8); soon != no_row) context_.rows_.prefetch_row(soon);
      if (const row_id soon = timers.ahead(4); soon != no_row) context_.rows_.prefetch_index_of(soon);
      context_.timestamp_ = due.at;
      const std::int64_t event_now =
          domain == time_domain::event ? std::min(due.at, context_.watermark_) : context_.watermark_;
      context_.rows_.set_time(event_now, context_.processing_time_,
                              domain == time_domain::event ? due.at : no_timestamp);
      context_.rows_.select_row(due.row);
      if constexpr (has_on_timer<Fn>)
        guarded("on_timer", [&] { function_->on_timer(timer{due.at, domain}, context_); });
      context_.rows_.let_go(due.row);
      context_.rows_.done();
    }
  }

  std::unique_ptr<Fn> function_;
  kept_watermark kept_watermark_;
  std::uint64_t first_epoch_ = 0;
  std::int64_t asked_ = max_watermark;
  bool stopped_ = false;
};

/// keyed.process
template <typename K, typename T, typename Fn>
class process_op final : public process_base<op, K, Fn>, public input<keyed_batch<K, T>> {
 public:
  using process_base<op, K, Fn>::process_base;
  void push(keyed_batch<K, T>& records, bool may_move) override {
    this->each_keyed(records, "process", [&](Fn& f, std::size_t i) {
      this->give(f, records.values[i], may_move, this->context_);
    });
  }
};

/// keyed.connect(keyed).process: both inputs see the same state of a key.
template <typename K, typename A, typename B, typename Fn>
class co_process_op final : public process_base<joint_op, K, Fn> {
 public:
  using base = process_base<joint_op, K, Fn>;
  co_process_op(function_maker<K, Fn> make, const side_declarations& sides) : base(std::move(make), sides) {
    this->add_port(std::make_unique<typed_port<co_process_op, keyed_batch<K, A>, 0>>(*this));
    this->add_port(std::make_unique<typed_port<co_process_op, keyed_batch<K, B>, 1>>(*this));
  }
  void take(std::integral_constant<std::size_t, 0>, keyed_batch<K, A>& records, bool) {
    this->each_keyed(records, "process_first", [&](Fn& f, std::size_t i) {
      f.process_first(std::as_const(records.values[i]), this->context_);
    });
  }
  void take(std::integral_constant<std::size_t, 1>, keyed_batch<K, B>& records, bool) {
    this->each_keyed(records, "process_second", [&](Fn& f, std::size_t i) {
      f.process_second(std::as_const(records.values[i]), this->context_);
    });
  }
};

/// keyed.connect(broadcast).process
template <typename K, typename A, typename B, typename Fn>
class broadcast_process_op final : public process_base<joint_op, K, Fn> {
 public:
  using base = process_base<joint_op, K, Fn>;
  broadcast_process_op(function_maker<K, Fn> make, const side_declarations& sides)
      : base(std::move(make), sides) {
    this->add_port(std::make_unique<typed_port<broadcast_process_op, keyed_batch<K, A>, 0>>(*this));
    this->add_port(std::make_unique<typed_port<broadcast_process_op, batch<B>, 1>>(*this));
  }
  void take(std::integral_constant<std::size_t, 0>, keyed_batch<K, A>& records, bool) {
    this->each_keyed(records, "process", [&](Fn& f, std::size_t i) {
      f.process(std::as_const(records.values[i]), this->context_);
    });
  }
  void take(std::integral_constant<std::size_t, 1>, batch<B>& records, bool) {
    process_context<typename Fn::output>& without_key = this->context_;
    this->rows().set_broadcasting(true);
    this->each(records, "process_broadcast", [&](Fn& f, std::size_t i) {
      f.process_broadcast(std::as_const(records.values[i]), without_key);
    });
    this->rows().set_broadcasting(false);
  }
};

/// connect of streams without keys. A char stands for one: no row is ever made.
template <typename A, typename B, typename Fn>
class plain_co_process_op final : public process_base<joint_op, char, Fn> {
 public:
  using base = process_base<joint_op, char, Fn>;
  plain_co_process_op(function_maker<char, Fn> make, const side_declarations& sides)
      : base(std::move(make), sides) {
    this->add_port(std::make_unique<typed_port<plain_co_process_op, batch<A>, 0>>(*this));
    this->add_port(std::make_unique<typed_port<plain_co_process_op, batch<B>, 1>>(*this));
  }
  void take(std::integral_constant<std::size_t, 0>, batch<A>& records, bool) {
    process_context<typename Fn::output>& context = this->context_;
    this->each(records, "process_first",
               [&](Fn& f, std::size_t i) { f.process_first(std::as_const(records.values[i]), context); });
  }
  void take(std::integral_constant<std::size_t, 1>, batch<B>& records, bool) {
    process_context<typename Fn::output>& context = this->context_;
    this->each(records, "process_second",
               [&](Fn& f, std::size_t i) { f.process_second(std::as_const(records.values[i]), context); });
  }
};

/// stream.process
template <typename T, typename Fn>
class plain_process_op final : public process_base<op, char, Fn>, public input<batch<T>> {
 public:
  using process_base<op, char, Fn>::process_base;
  void push(batch<T>& records, bool may_move) override {
    process_context<typename Fn::output>& context = this->context_;
    this->each(records, "process",
               [&](Fn& f, std::size_t i) { this->give(f, records.values[i], may_move, context); });
  }
};

}  // namespace penstock::detail
