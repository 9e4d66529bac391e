// SPDX-License-Identifier: Apache-2.0
// Asking other systems while records flow. Included by <penstock/stream.h>.
//
//     users.async_map<profile>("profiles",
//                              [client](const user& u, penstock::async_result<profile> done) {
//                                client->get(u.id, [done](auto answer) {   // on whatever thread
//                                  if (answer.ok()) done.complete(parse(answer));
//                                  else done.fail("the profile service says " + answer.text());
//                                });
//                              },
//                              {.capacity = 200, .timeout = 5s, .max_attempts = 3})
//
// A request that is open when the job crashes is made again, in the order of the records (S13): what it asks
// for should bear that.
#pragma once

#include <penstock/detail/async_queue.h>
#include <penstock/detail/keyed_api.h>
#include <penstock/stream.h>

#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

namespace penstock {

/// Takes the answer to one request, once, on any thread, during the call of the function or after it. Copies
/// are the same. What comes when nobody waits any more (timed out, job over) is dropped. The last copy that
/// goes without an answer fails the request.
template <typename Out>
class async_result {
 public:
  explicit async_result(std::shared_ptr<detail::async_ticket> ticket) : ticket_(std::move(ticket)) {}

  void complete(Out value) const {
    auto outcome = std::make_unique<values>();
    outcome->all.push_back(std::move(value));
    ticket_->answer(std::move(outcome));
  }
  /// Any number of results for the record, in this order.
  void complete_all(std::vector<Out> all) const {
    auto outcome = std::make_unique<values>();
    outcome->all = std::move(all);
    ticket_->answer(std::move(outcome));
  }
  /// Tried again if it is retriable and attempts are left; then the record meets the error policy.
  void fail(error e) const { ticket_->fail(std::move(e)); }
  /// A retriable failure.
  void fail(std::string sentence) const {
    ticket_->fail(error(errc::user, std::move(sentence), recovery::retriable));
  }

  struct values final : detail::async_outcome {
    std::vector<Out> all;
  };

 private:
  std::shared_ptr<detail::async_ticket> ticket_;
};

namespace detail {

/// Threads for calls that block; they start with the first call. Destroying it waits for the calls under way
/// and drops the others.
class thread_pool {
 public:
  explicit thread_pool(unsigned threads);
  ~thread_pool();
  void run(std::function<void()> work);

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

template <typename F>
struct blocking_call {
  F f;
  std::shared_ptr<thread_pool> threads;
  template <typename T, typename Out>
  requires(std::is_invocable_r_v<Out, const F&, const T&> ||
           std::is_invocable_r_v<result<Out>, const F&, const T&>) void
  operator()(const T& record, async_result<Out> done) const {
    threads->run([f = f, record, done] {
      try {
        result<Out> answer = std::invoke(f, record);
        answer ? done.complete(std::move(*answer)) : done.fail(std::move(answer.error()));
      } catch (const std::exception& e) {
        done.fail(error(errc::user, e.what()));
      } catch (...) {
        done.fail(error(errc::user, "an exception that is no std::exception"));
      }
    });
  }
};

}  // namespace detail

/// Makes a function for async_map of one that blocks: f(const T&) gives Out or result<Out>, and is called on
/// one of `threads` threads that all lanes share.
///
///     users.async_map<profile>("profiles", penstock::blocking([](const user& u) { return ask(u); }, 16))
template <typename F>
detail::blocking_call<F> blocking(F f, unsigned threads) {
  return {std::move(f), std::make_shared<detail::thread_pool>(threads)};
}

namespace detail {

/// What both have: the function, the queue, the outlet.
template <typename T, typename Out, typename F>
class async_base : public op, protected async_owner {
 public:
  async_base(F f, const async_options& options) : queue_(*this, options), f_(std::move(f)) {}
  result<> open(services& lane) override {
    services_ = &lane;
    queue_.open(lane, name_);
    return {};
  }
  void connect(std::uint32_t, op& consumer) override {
    results_.connect(consumer);
    add_downstream(consumer);
  }
  bool blocked() const override { return queue_.full(); }
  void on_watermark(watermark w) override {
    queue_.add_fence(w);
    queue_.run();
  }
  void on_barrier(std::uint64_t epoch) override {
    queue_.add_fence(epoch);
    queue_.run();
  }
  void on_processing_time(std::int64_t) override { queue_.release(); }

 protected:
  struct entry : async_entry {
    T record;
    std::int64_t timestamp;
    template <typename V>
    entry(V&& v, std::int64_t ts) : record(std::forward<V>(v)), timestamp(ts) {}
  };

  void start(async_entry& e, std::shared_ptr<async_ticket> ticket) override {
    try {
      std::invoke(f_, std::as_const(static_cast<entry&>(e).record), async_result<Out>(ticket));
    } catch (const std::exception& thrown) {
      ticket->fail(error(errc::user, thrown.what()));
    } catch (...) {
      ticket->fail(error(errc::user, "an exception that is no std::exception"));
    }
  }
  void emit(std::uint64_t, async_entry& e) override {
    op_counters::add(counters_.in, 1);
    if (e.outcome->failure) {
      try {
        throw decode_failure{std::move(*e.outcome->failure)};
      } catch (...) {
        record_failed("async_map", {});
      }
      return;
    }
    auto& all = static_cast<typename async_result<Out>::values&>(*e.outcome).all;
    for (Out& value : all) results_.add(std::move(value), static_cast<entry&>(e).timestamp);
    op_counters::add(counters_.out, all.size());
  }
  void emitted() override { results_.flush(); }
  void pass(watermark w) override { pass_on(w); }
  void let_through(std::uint64_t epoch) override { op::on_barrier(epoch); }
  bool must_wait() override {
    if (services_->failed()) return true;
    if (!blocked_below()) return false;
    services_->wake_at(*this, services_->processing_time());
    return true;
  }

  async_queue queue_;

 private:
  F f_;
  output<batch<Out>> results_;
};

template <typename T, typename Out, typename F>
class async_op final : public async_base<T, Out, F>, public input<batch<T>> {
 public:
  using base = async_base<T, Out, F>;
  using base::base;
  void push(batch<T>& records, bool may_move) override {
    for (std::size_t i = 0; i < records.size(); ++i) {
      T& v = records.values[i];
      const std::int64_t ts = records.timestamps[i];
      this->queue_.add(may_move ? std::make_unique<typename base::entry>(std::move(v), ts)
                                : std::make_unique<typename base::entry>(std::as_const(v), ts),
                       true);
    }
    this->queue_.run();
  }
};

/// One request a key at a time: the next record of a key starts when the one before it is done.
template <typename K, typename T, typename Out, typename F>
class keyed_async_op final : public async_base<T, Out, F>, public input<keyed_batch<K, T>> {
 public:
  using base = async_base<T, Out, F>;
  using base::base;
  void push(keyed_batch<K, T>& records, bool may_move) override {
    for (std::size_t i = 0; i < records.size(); ++i) {
      auto e = may_move ? std::make_unique<entry>(std::move(records.values[i]), records.timestamps[i])
                        : std::make_unique<entry>(std::as_const(records.values[i]), records.timestamps[i]);
      entry& added = *e;
      const auto [line, first] = last_.try_emplace(records.keys[i], nullptr);
      added.key = &line->first;
      const std::uint64_t id = this->queue_.add(std::move(e), first);
      if (!first) line->second->behind = id;
      line->second = &added;
    }
    this->queue_.run();
  }

 private:
  struct hasher {
    std::size_t operator()(const K& key) const noexcept { return key_traits<K>::hash(key); }
  };
  struct entry final : base::entry {
    using base::entry::entry;
    const K* key = nullptr;
    std::uint64_t behind = 0;  // the next one of the same key
  };
  void emit(std::uint64_t id, async_entry& e) override {
    base::emit(id, e);
    const auto& mine = static_cast<entry&>(e);
    if (mine.behind != 0) return this->queue_.make_ready(mine.behind);
    last_.erase(last_.find(*mine.key));
  }
  std::unordered_map<K, entry*, hasher> last_;  // by key, where one is under way
};

template <typename F, typename T, typename Out>
inline constexpr bool answers_async = std::is_invocable_v<F&, const T&, async_result<Out>>;

template <typename Out, typename Op, typename F>
stream<Out> add_async(graph& g, named name, edge from, const char* label, F f, async_options options) {
  if (std::string wrong = async_queue::problem(options); !wrong.empty())
    g.add_problem(name.name + ": " + wrong);
  g.use_name(name);
  node n;
  n.name = std::move(name.name);
  n.label = label;
  n.inputs = {from};
  n.policy = g.nodes[from.node].policy;
  n.make = [f = std::move(f), options]() -> std::unique_ptr<op> { return std::make_unique<Op>(f, options); };
  return {g, {g.add(std::move(n)), 0}};
}

template <typename Head, typename... Steps>
template <typename Out, typename F>
auto chain<Head, Steps...>::async_map(named name, F f, async_options options) const {
  constexpr bool answers = answers_async<F, T, Out>;
  static_assert(answers,
                "async_map<Out>(name, f): f must be callable as f(const T&, penstock::async_result<Out>)");
  if constexpr (answers) {
    const stream<T> from = *this;
    return add_async<Out, async_op<T, Out, F>>(*graph_, std::move(name), from.from(), "async_map",
                                               std::move(f), options);
  } else {
    return broken{};
  }
}

}  // namespace detail

template <typename K, typename T>
template <typename Out, typename F>
auto keyed<K, T>::async_map(detail::named name, F f, async_options options) const {
  constexpr bool answers = detail::answers_async<F, T, Out>;
  static_assert(answers,
                "async_map<Out>(name, f): f must be callable as f(const T&, penstock::async_result<Out>)");
  if constexpr (answers) {
    options.order = async_order::unordered;
    return detail::add_async<Out, detail::keyed_async_op<K, T, Out, F>>(
        *graph_, std::move(name), {node_, 0}, "async_map by key", std::move(f), options);
  } else {
    return detail::broken{};
  }
}

}  // namespace penstock
