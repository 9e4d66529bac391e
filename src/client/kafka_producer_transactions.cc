// SPDX-License-Identifier: Apache-2.0
// Transactions for the threads of an application: each call runs on the producer's own thread and is waited
// for.
#include "client/producer_impl.h"

namespace penstock::kafka {
namespace {

penstock::error not_transactional() {
  return {errc::invalid_argument, "the producer is not transactional: set transactional.id"};
}

// Starts an operation on the producer's thread and waits for its outcome, which comes by the deadline.
template <typename Start>
result<> run(producer::impl& p, std::int64_t client::producer_waits::*kind, std::chrono::milliseconds timeout,
             Start start) {
  if (!p.transactions) return fail(not_transactional());
  if (p.on_own_thread())
    return fail(errc::invalid_argument, "transactions must not be ended from a delivery callback");
  {
    const std::lock_guard lock(p.mutex);
    if (p.closed) return p.closed_error();
  }
  const producer::impl::timed_call timed(p, kind);
  const auto deadline = io::clock::system().now() + timeout;
  auto done = std::make_shared<std::promise<result<>>>();
  auto outcome = done->get_future();
  p.loop.post([&p, deadline, done, start = std::move(start)]() mutable {
    start(*p.transactions, deadline, [done](result<> r) { done->set_value(std::move(r)); });
  });
  return outcome.get();
}

using client::transactions;
using waits = client::producer_waits;

}  // namespace

std::string_view to_string(transaction_state s) noexcept {
  switch (s) {
    case transaction_state::not_transactional: return "not_transactional";
    case transaction_state::uninitialized: return "uninitialized";
    case transaction_state::ready: return "ready";
    case transaction_state::open: return "open";
    case transaction_state::committing: return "committing";
    case transaction_state::aborting: return "aborting";
    case transaction_state::must_abort: return "must_abort";
    case transaction_state::failed: return "failed";
  }
  return "unknown";
}

std::string_view to_string(transaction_outcome o) noexcept {
  switch (o) {
    case transaction_outcome::none: return "none";
    case transaction_outcome::committed: return "committed";
    case transaction_outcome::aborted: return "aborted";
    case transaction_outcome::unknown: return "unknown";
  }
  return "unknown";
}

result<> producer::init_transactions(std::chrono::milliseconds timeout) {
  return run(*impl_, &waits::init, timeout,
             [](transactions& t, io::instant deadline, transactions::done_function done) {
               t.init(deadline, std::move(done));
             });
}

result<> producer::resume_transaction(producer_identity identity, std::chrono::milliseconds timeout) {
  return run(*impl_, &waits::init, timeout,
             [identity](transactions& t, io::instant deadline, transactions::done_function done) {
               t.resume(identity, deadline, std::move(done));
             });
}

result<> producer::begin_transaction() {
  return run(*impl_, &waits::begin, std::chrono::milliseconds(0),
             [](transactions& t, io::instant, transactions::done_function done) { done(t.begin()); });
}

result<> producer::send_offsets(std::vector<partition_offset> offsets, group_metadata group,
                                std::chrono::milliseconds timeout) {
  return run(*impl_, &waits::send_offsets, timeout,
             [offsets = std::move(offsets), group = std::move(group)](
                 transactions& t, io::instant deadline, transactions::done_function done) mutable {
               t.send_offsets(std::move(offsets), std::move(group), deadline, std::move(done));
             });
}

result<> producer::commit_transaction(std::chrono::milliseconds timeout) {
  return run(*impl_, &waits::commit, timeout,
             [](transactions& t, io::instant deadline, transactions::done_function done) {
               t.commit(deadline, std::move(done));
             });
}

result<> producer::abort_transaction(std::chrono::milliseconds timeout) {
  return run(*impl_, &waits::abort, timeout,
             [](transactions& t, io::instant deadline, transactions::done_function done) {
               t.abort(deadline, std::move(done));
             });
}

transaction_status producer::transaction() const {
  if (!impl_->transactions) return {};
  if (!impl_->thread.joinable() || impl_->on_own_thread()) return impl_->transactions->status();
  return impl_->on_loop([i = impl_.get()] { return i->transactions->status(); });
}

// Before the producer ends: waits for a commit that is under way, aborts what is open.
void producer::leave_transaction(std::chrono::milliseconds timeout) {
  if (!impl_->transactions) return;
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->closed) return;
  }
  const auto deadline = io::clock::system().now() + timeout;
  const auto left = [&] {
    return std::max(
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - io::clock::system().now()),
        std::chrono::milliseconds(0));
  };
  if (transaction().state == transaction_state::committing) static_cast<void>(commit_transaction(left()));
  const auto state = transaction().state;
  if (state == transaction_state::open || state == transaction_state::must_abort ||
      state == transaction_state::aborting)
    static_cast<void>(abort_transaction(left()));
}

}  // namespace penstock::kafka
