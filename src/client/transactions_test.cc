// SPDX-License-Identifier: Apache-2.0
#include "client/transactions.h"

#include <fmt/format.h>

#include "client/fetcher.h"
#include "client/transaction_test_support.h"
#include "wire/messages/describe_transactions.h"
#include "wire/messages/find_coordinator.h"
#include "wire/record_cursor.h"

namespace penstock::client {
namespace {

using kafka::transaction_outcome;
using kafka::transaction_state;
using testing::fake_cluster;
using testing::reaction;
using testing::run_until;
using testing::seen_request;
using testing::transactional;
using testing::transactional_settings;
using wire::api_key;
using wire::error_code;
using namespace std::chrono_literals;
using strings = std::vector<std::string>;

reaction do_and_cut(const seen_request&) { return {reaction::kind::pass_then_cut, {}}; }
reaction cut(const seen_request&) { return {reaction::kind::cut, {}}; }

reaction end_error(const seen_request& r, error_code code) {
  wire::end_txn_response a;
  a.error_code = static_cast<std::int16_t>(code);
  return reaction::with(a, r.header.version);
}

reaction produce_error(const seen_request& r, error_code code) {
  wire::produce_response a;
  for (const auto& t : r.as<wire::produce_request>().topic_data) {
    a.responses.emplace_back().name = t.name;
    for (const auto& p : t.partition_data) {
      auto& answer = a.responses.back().partition_responses.emplace_back();
      answer.index = p.index;
      answer.error_code = static_cast<std::int16_t>(code);
    }
  }
  return reaction::with(a, r.header.version);
}

// Once with transaction.version 1, once with 2.
class a_transaction : public ::testing::TestWithParam<int> {
 protected:
  a_transaction() : kafka(loop, 2) {
    kafka.add_topic("t", 2);
    kafka.coordinator = 1;
    kafka.transactions.version = GetParam();
    settings = transactional_settings(kafka);
  }
  transactional& start() {
    p = std::make_unique<transactional>(loop, settings);
    const auto done = p->init();
    EXPECT_TRUE(done) << done.error().message();
    return *p;
  }
  bool implicit() const { return GetParam() == 2; }
  strings visible(std::int32_t partition = 0) const { return kafka.committed_values("t", partition); }

  io::event_loop loop;
  fake_cluster kafka;
  kafka::producer_settings settings;
  std::unique_ptr<transactional> p;
};
INSTANTIATE_TEST_SUITE_P(versions, a_transaction, ::testing::Values(1, 2));

TEST_P(a_transaction, shows_its_records_all_together_when_it_is_committed) {
  auto& t = start();
  EXPECT_EQ(t.status().version, GetParam());
  for (int n = 0; n < 3; ++n) {
    ASSERT_TRUE(t.begin());
    const auto before = visible();
    for (int i = 0; i < 40; ++i) {
      ASSERT_TRUE(t.send(fmt::format("{}-{}", n, i), 0));
      ASSERT_TRUE(t.send(fmt::format("{}-{}", n, i), 1));
    }
    EXPECT_EQ(visible(), before);
    const auto done = t.commit();
    ASSERT_TRUE(done) << done.error().message();
    EXPECT_EQ(t.status().last, transaction_outcome::committed);
    EXPECT_EQ(visible(0).size(), 40u * static_cast<unsigned>(n + 1));
    EXPECT_EQ(visible(1), visible(0));
  }
  EXPECT_EQ(kafka.count(api_key::end_txn), 3);
  EXPECT_EQ(kafka.count(api_key::add_partitions_to_txn) > 0, !implicit());
  EXPECT_EQ(t.status().identity.epoch, implicit() ? 3 : 0);
}

TEST_P(a_transaction, hides_its_records_when_it_is_aborted) {
  auto& t = start();
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send("no"));
  ASSERT_TRUE(run_until(loop, [&] { return kafka.values("t", 0).size() == 1; }));
  ASSERT_TRUE(t.abort());
  EXPECT_EQ(t.status().last, transaction_outcome::aborted);
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send("yes"));
  ASSERT_TRUE(t.commit());
  EXPECT_EQ(visible(), strings{"yes"});
  EXPECT_EQ(kafka.values("t", 0).size(), 2u);
}

// KIP-890: a broker refuses what comes for a transaction while it verifies something else of it.
TEST_P(a_transaction, is_joined_by_partitions_and_offsets_one_after_the_other) {
  auto& t = start();
  const auto count = [this](api_key key) { return kafka.count(key); };
  std::optional<api_key> held = api_key::produce;
  for (const auto key : {api_key::produce, api_key::txn_offset_commit})
    kafka.always(key, [&held, key](const seen_request&) {
      return held == key ? reaction{reaction::kind::hold, {}} : reaction{};
    });
  const auto for_a_while = [this] {
    for (const auto end = loop.time().now() + 50ms; loop.time().now() < end;) loop.run_some_until(end);
  };
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send("first"));
  ASSERT_TRUE(run_until(loop, [&] { return count(api_key::produce) == 1; }));
  std::optional<result<>> offsets;
  t.control().send_offsets({{{"in", 0}, {.offset = 7}}}, {.group_id = "g"}, loop.time().now() + 20s,
                           [&](result<> r) { offsets = std::move(r); });
  for_a_while();
  EXPECT_EQ(count(api_key::txn_offset_commit) + count(api_key::add_offsets_to_txn), 0);

  held = api_key::txn_offset_commit;
  kafka.release_held();
  ASSERT_TRUE(run_until(loop, [&] { return count(api_key::txn_offset_commit) == 1; }));
  ASSERT_TRUE(t.send("second"));
  ASSERT_TRUE(run_until(loop, [&] { return count(api_key::produce) == 2; })) << "that one is known";
  // (Version 1 registers the partition on the connection whose answer is held.)
  if (implicit()) {
    ASSERT_TRUE(t.send("other", 1));
  }
  for_a_while();
  EXPECT_EQ(count(api_key::produce), 2);

  held.reset();
  kafka.release_held();
  ASSERT_TRUE(run_until(loop, [&] { return offsets && count(api_key::produce) == (implicit() ? 3 : 2); }));
  EXPECT_TRUE(*offsets);
  ASSERT_TRUE(t.commit());
  EXPECT_EQ(visible(0), (strings{"first", "second"}));
  EXPECT_EQ(visible(1), implicit() ? strings{"other"} : strings{});
  EXPECT_EQ(kafka.transactions.committed_offset("g", "in", 0), 7);
}

TEST_P(a_transaction, commits_offsets_with_its_records) {
  auto& t = start();
  kafka.transactions.members["g"] = {"member", 3};
  const kafka::group_metadata me{.group_id = "g", .member_id = "member", .generation = 3};
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send("a"));
  const auto sent = t.send_offset(7, me);
  ASSERT_TRUE(sent) << sent.error().message();
  EXPECT_EQ(kafka.transactions.committed_offset("g", "in", 0), -1);
  ASSERT_TRUE(t.commit());
  EXPECT_EQ(kafka.transactions.committed_offset("g", "in", 0), 7);
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send_offset(9, me));
  ASSERT_TRUE(t.abort());
  EXPECT_EQ(kafka.transactions.committed_offset("g", "in", 0), 7);
  EXPECT_EQ(kafka.count(api_key::add_offsets_to_txn), implicit() ? 0 : 2);
  EXPECT_EQ(kafka.count(api_key::offset_commit), 0);
}

TEST_P(a_transaction, must_be_aborted_when_the_group_went_on_without_the_member) {
  auto& t = start();
  kafka.transactions.members["g"] = {"member", 4};
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send("a"));
  const auto sent = t.send_offset(7, {.group_id = "g", .member_id = "member", .generation = 3});
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().what_to_do(), recovery::abort_transaction);
  EXPECT_NE(sent.error().message().find("ILLEGAL_GENERATION"), std::string::npos) << sent.error().message();
  EXPECT_EQ(t.status().state, transaction_state::must_abort);
  const auto refused = t.send("b");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().what_to_do(), recovery::abort_transaction);
  EXPECT_FALSE(t.commit());
  ASSERT_TRUE(t.abort());
  EXPECT_EQ(visible(), strings{});
  EXPECT_EQ(kafka.transactions.committed_offset("g", "in", 0), -1);
  ASSERT_TRUE(t.begin());
  EXPECT_TRUE(t.commit());
}

TEST_P(a_transaction, is_known_to_be_committed_although_the_answer_was_lost) {
  auto& t = start();
  const auto before = t.status().identity;
  kafka.script(2, api_key::end_txn, do_and_cut);
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send("a"));
  const auto done = t.commit();
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(visible(), strings{"a"});
  EXPECT_EQ(kafka.transactions.decisions().size(), 1u);
  // A repetition of that commit that comes late must not decide the next transaction.
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send("b"));
  ASSERT_TRUE(run_until(loop, [&] { return kafka.values("t", 0).size() == 2; }));
  EXPECT_NE(t.status().identity, before);
}

TEST_P(a_transaction, is_not_decided_by_a_late_end_of_the_one_before) {
  auto& t = start();
  std::vector<seen_request> late;
  kafka.script(api_key::end_txn, [&](const seen_request& r) {
    late.push_back(r);
    return reaction{reaction::kind::cut, {}};
  });
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send("a"));
  ASSERT_TRUE(t.commit());
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send("b"));
  ASSERT_TRUE(run_until(loop, [&] { return kafka.values("t", 0).size() == 2; }));
  kafka.deliver(late.at(0));
  EXPECT_EQ(visible(), strings{"a"});
  ASSERT_TRUE(t.abort());
  EXPECT_EQ(visible(), strings{"a"});
}

TEST_P(a_transaction, goes_on_with_the_commit_after_a_deadline) {
  auto& t = start();
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send("a"));
  kafka.script(api_key::end_txn, [](const seen_request&) { return reaction{reaction::kind::hold, {}}; });
  const auto late = t.commit(30ms);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind(), errc::timeout);
  EXPECT_TRUE(late.error().retriable());
  EXPECT_EQ(t.status().state, transaction_state::committing);
  EXPECT_EQ(t.status().last, transaction_outcome::unknown);
  EXPECT_FALSE(t.abort());  // too late for that
  kafka.release_held();
  ASSERT_TRUE(run_until(loop, [&] { return t.status().state == transaction_state::ready; }));
  EXPECT_FALSE(t.begin());  // before that is known to the application
  ASSERT_TRUE(t.commit());
  EXPECT_EQ(t.status().last, transaction_outcome::committed);
  EXPECT_EQ(visible(), strings{"a"});
}

TEST_P(a_transaction, ends_at_another_coordinator_after_a_move) {
  auto& t = start();
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send("a"));
  ASSERT_TRUE(t.send_offset(1));
  kafka.coordinator = 0;
  const auto done = t.commit();
  ASSERT_TRUE(done) << done.error().message();
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send("b"));
  ASSERT_TRUE(t.send_offset(2));
  ASSERT_TRUE(t.commit());
  EXPECT_EQ(visible(), (strings{"a", "b"}));
  EXPECT_EQ(kafka.transactions.committed_offset("g", "in", 0), 2);
}

TEST_P(a_transaction, is_of_unknown_outcome_when_another_producer_took_over) {
  auto& t = start();
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send("old"));
  ASSERT_TRUE(run_until(loop, [&] { return kafka.values("t", 0).size() == 1; }));
  transactional other(loop, settings);
  ASSERT_TRUE(other.init());
  ASSERT_TRUE(other.begin());
  ASSERT_TRUE(other.send("new"));
  const auto done = t.commit();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().what_to_do(), recovery::fatal);
  EXPECT_EQ(t.status().state, transaction_state::failed);
  EXPECT_EQ(t.status().last, transaction_outcome::unknown);
  EXPECT_FALSE(t.begin());
  EXPECT_FALSE(t.abort());
  EXPECT_FALSE(t.send("more"));
  ASSERT_TRUE(other.commit());
  EXPECT_EQ(visible(), strings{"new"});
}

TEST_P(a_transaction, is_of_unknown_outcome_when_the_broker_timed_it_out) {
  auto& t = start();
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send("a"));
  ASSERT_TRUE(run_until(loop, [&] { return kafka.values("t", 0).size() == 1; }));
  kafka.transactions.time_out("app-0");
  const auto done = t.commit();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().what_to_do(), recovery::fatal);
  EXPECT_NE(done.error().message().find("not known"), std::string::npos) << done.error().message();
  EXPECT_EQ(t.status().last, transaction_outcome::unknown);
  transactional other(loop, settings);
  ASSERT_TRUE(other.init());
  EXPECT_EQ(visible(), strings{});
}

TEST_P(a_transaction, must_be_aborted_when_a_record_is_refused) {
  auto& t = start();
  std::vector<std::pair<kafka::persistence, recovery>> told;
  t.records().on_delivery([&](const kafka::delivery& d) {
    if (d.failure != nullptr) told.emplace_back(d.outcome, d.failure->what_to_do());
  });
  ASSERT_TRUE(t.begin());
  kafka.script(api_key::produce,
               [](const seen_request& r) { return produce_error(r, error_code::invalid_record); });
  ASSERT_TRUE(t.send("a"));
  const auto done = t.commit();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().what_to_do(), recovery::abort_transaction);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0], std::pair(kafka::persistence::not_sent, recovery::abort_transaction));
  ASSERT_TRUE(t.abort());
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send("b"));
  const auto next = t.commit();
  ASSERT_TRUE(next) << next.error().message();
  EXPECT_EQ(visible(), strings{"b"});
}

TEST_P(a_transaction, is_aborted_without_what_was_not_sent) {
  settings.linger = 10s;
  auto& t = start();
  ASSERT_TRUE(t.begin());
  std::optional<kafka::persistence> outcome;
  t.records().on_delivery([&](const kafka::delivery& d) { outcome = d.outcome; });
  ASSERT_TRUE(t.send("a"));
  ASSERT_TRUE(t.abort());
  EXPECT_EQ(outcome, kafka::persistence::not_sent);
  EXPECT_EQ(kafka.count(api_key::produce), 0);
  EXPECT_EQ(kafka.count(api_key::end_txn), 0);  // no broker ever knew of it
  EXPECT_EQ(t.records().buffered_bytes(), 0u);
}

TEST_P(a_transaction, waits_while_the_end_before_is_written) {
  auto& t = start();
  kafka.transactions.rounds_to_complete = 4;
  for (int n = 0; n < 3; ++n) {
    ASSERT_TRUE(t.begin());
    ASSERT_TRUE(t.send(fmt::format("{}", n)));
    const auto done = t.commit();
    ASSERT_TRUE(done) << done.error().message();
  }
  transactional other(loop, settings);
  ASSERT_TRUE(other.init());
  EXPECT_EQ(visible(), (strings{"0", "1", "2"}));
}

TEST_P(a_transaction, takes_records_while_the_one_before_is_committed) {
  auto& t = start();
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send("a"));
  kafka.script(api_key::end_txn, [](const seen_request&) { return reaction{reaction::kind::hold, {}}; });
  bool first = false;
  t.control().commit(io::instant::max(), [&](result<> r) { first = r.has_value(); });
  ASSERT_FALSE(t.send("between"));
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send("b"));
  ASSERT_TRUE(run_until(loop, [&] { return kafka.held() == 1; }));
  EXPECT_EQ(kafka.values("t", 0).size(), 1u);
  kafka.release_held();
  ASSERT_TRUE(run_until(loop, [&] { return t.status().state == transaction_state::open; }));
  EXPECT_EQ(t.status().last, transaction_outcome::committed);
  EXPECT_TRUE(first);
  EXPECT_EQ(visible(), strings{"a"});
  ASSERT_TRUE(t.commit());
  EXPECT_EQ(visible(), (strings{"a", "b"}));
}

// Kafka would lay a batch that comes too early aside for 20 ms.
TEST_P(a_transaction, waits_until_the_end_before_is_written) {
  if (!implicit()) return;
  auto& t = start();
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send("a"));
  int asked = 0;
  kafka.script(3, api_key::describe_transactions, [&](const seen_request& r) {
    ++asked;
    EXPECT_EQ(kafka.values("t", 0).size(), 1u);
    wire::describe_transactions_response a;
    a.transaction_states.emplace_back().transaction_state = "PrepareCommit";
    return reaction::with(a, r.header.version);
  });
  t.control().commit(io::instant::max(), [](const result<>&) {});
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send("b"));
  ASSERT_TRUE(run_until(loop, [&] { return kafka.values("t", 0).size() == 2; }));
  EXPECT_GE(asked, 1);  // three times, unless the machine is so slow that 20 ms are over before
  ASSERT_TRUE(t.commit());
  EXPECT_EQ(visible(), (strings{"a", "b"}));
}

TEST_P(a_transaction, is_dropped_with_the_one_before_that_failed) {
  auto& t = start();
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send("a"));
  kafka.script(api_key::end_txn,
               [](const seen_request& r) { return end_error(r, error_code::transaction_abortable); });
  std::optional<result<>> first;
  t.control().commit(io::instant::max(), [&](result<> r) { first = std::move(r); });
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send("b"));
  ASSERT_TRUE(run_until(loop, [&] { return first.has_value(); }));
  ASSERT_FALSE(*first);
  EXPECT_EQ(first->error().what_to_do(), recovery::abort_transaction);
  EXPECT_FALSE(t.send("c"));
  ASSERT_TRUE(t.abort());
  EXPECT_EQ(t.status().last, transaction_outcome::aborted);
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send("d"));
  ASSERT_TRUE(t.commit());
  EXPECT_EQ(visible(), strings{"d"});
}

TEST_P(a_transaction, can_be_ended_by_another_process) {
  kafka::producer_identity left;
  {
    auto& t = start();
    ASSERT_TRUE(t.begin());
    ASSERT_TRUE(t.send("a"));
    ASSERT_TRUE(t.send_offset(5));
    ASSERT_TRUE(run_until(loop, [&] { return kafka.values("t", 0).size() == 1; }));
    left = t.status().identity;
    p.reset();
  }
  for (int again = 0; again < 2; ++again) {
    transactional other(loop, settings);
    const auto resumed = other.resume(left);
    ASSERT_TRUE(resumed) << resumed.error().message();
    EXPECT_FALSE(other.send("more"));
    const auto done = other.commit();
    ASSERT_TRUE(done) << done.error().message();
    EXPECT_EQ(visible(), strings{"a"});
    if (again == 0) continue;
    ASSERT_TRUE(other.begin());
    ASSERT_TRUE(other.send("b"));
    ASSERT_TRUE(other.commit());
  }
  EXPECT_EQ(visible(), (strings{"a", "b"}));
  EXPECT_EQ(kafka.transactions.committed_offset("g", "in", 0), 5);
  transactional late(loop, settings);
  ASSERT_TRUE(late.resume(left));
  const auto refused = late.commit();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().what_to_do(), recovery::fatal);
  EXPECT_EQ(late.status().last, transaction_outcome::unknown);
}

TEST_P(a_transaction, gets_another_producer_id_when_the_epochs_are_used_up) {
  kafka.transactions.set_identity("app-0", {77, 32763});
  auto& t = start();
  EXPECT_EQ(t.status().identity, (kafka::producer_identity{77, 32764}));
  strings all;
  for (int n = 0; n < 6; ++n) {
    kafka.script(api_key::end_txn, do_and_cut);  // raises the epoch with version 1 too
    ASSERT_TRUE(t.begin());
    all.push_back(fmt::format("{}", n));
    ASSERT_TRUE(t.send(all.back()));
    const auto done = t.commit();
    ASSERT_TRUE(done) << n << ": " << done.error().message();
  }
  EXPECT_EQ(visible(), all);
  EXPECT_NE(t.status().identity.id, 77);
}

TEST_P(a_transaction, needs_its_calls_in_order) {
  transactional t(loop, settings);
  EXPECT_FALSE(t.begin());
  EXPECT_FALSE(t.send("x"));
  EXPECT_FALSE(t.commit());
  ASSERT_TRUE(t.init());
  EXPECT_FALSE(t.init());
  EXPECT_FALSE(t.send("x"));
  EXPECT_FALSE(t.commit());
  EXPECT_FALSE(t.abort());
  EXPECT_FALSE(t.send_offset(1));
  ASSERT_TRUE(t.begin());
  EXPECT_FALSE(t.begin());
  EXPECT_FALSE(t.resume({1, 1}));
  ASSERT_TRUE(t.commit());
  EXPECT_EQ(kafka.count(api_key::end_txn), 0);  // it was empty
}

TEST_P(a_transaction, is_read_as_the_marks_say) {
  auto& t = start();
  strings expected;
  for (int n = 0; n < 12; ++n) {
    ASSERT_TRUE(t.begin());
    for (int i = 0; i < 30; ++i) {
      const auto v = fmt::format("{}/{}", n, i);
      ASSERT_TRUE(t.send(v));
      if (n % 3 != 1) expected.push_back(v);
    }
    if (n % 3 != 1) {
      ASSERT_TRUE(t.commit());
    } else {
      const auto end = kafka.partition("t", 0).end;
      ASSERT_TRUE(run_until(loop, [&] { return kafka.partition("t", 0).end > end; }));
      ASSERT_TRUE(t.abort());
    }
  }
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send("open"));
  const auto end = kafka.partition("t", 0).end;
  ASSERT_TRUE(run_until(loop, [&] { return kafka.partition("t", 0).end > end; }));
  // From every offset on: the records are found out anew from what the answer says is aborted.
  for (std::int64_t from : {std::int64_t{0}, std::int64_t{17}, std::int64_t{45}, std::int64_t{100}}) {
    fetcher_settings reading;
    reading.isolation = kafka::isolation_level::read_committed;
    reading.partition_max_bytes = 300;
    reading.max_wait = 10ms;
    const auto brokers = std::move(*cluster::create(loop, kafka.bootstrap(), settings.connection));
    fetcher f(*brokers, reading);
    f.assign({"t", 0}, from, 0);
    strings read;
    std::int64_t position = from;
    std::vector<fetched> batches;
    ASSERT_TRUE(run_until(loop, [&] {
      batches.clear();
      const auto polled = f.poll(batches, 1 << 20);
      EXPECT_TRUE(polled) << polled.error().message();
      for (auto& b : batches) {
        record_view r;
        while (b.records.next(r)) read.emplace_back(r.value);
        position = b.next_offset;
      }
      return position == kafka.partition("t", 0).last_stable_offset();
    })) << position;
    ASSERT_LE(read.size(), expected.size());
    EXPECT_EQ(read, strings(expected.end() - static_cast<std::ptrdiff_t>(read.size()), expected.end()));
    if (from == 0) {
      EXPECT_EQ(read, expected);
    }
  }
}

TEST_P(a_transaction, says_that_old_brokers_cannot_check_a_member) {
  if (implicit()) return;
  kafka.limit(api_key::txn_offset_commit, 0, 2);
  auto& t = start();
  ASSERT_TRUE(t.begin());
  const auto sent = t.send_offset(7, {.group_id = "g", .member_id = "member", .generation = 3});
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().kind(), errc::unsupported);
  ASSERT_TRUE(t.abort());
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send_offset(7));
  ASSERT_TRUE(t.commit());
  EXPECT_EQ(kafka.transactions.committed_offset("g", "in", 0), 7);
}

// A broker whose topic of offsets does not exist yet names no coordinator. What was not sent cannot come
// late, so the producer stays what it is; before Kafka 2.5 it could not go on otherwise.
TEST_P(a_transaction, keeps_its_epoch_while_no_coordinator_is_found) {
  kafka.limit(api_key::init_producer_id, 0, 2);
  auto& t = start();
  const auto before = t.status().identity;
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send("a"));
  int times = 0;
  kafka.always(api_key::find_coordinator, [&](const seen_request& r) {
    if (times == 3) return reaction{};
    ++times;
    const auto none = static_cast<std::int16_t>(error_code::coordinator_not_available);
    wire::find_coordinator_response a;
    if (r.header.version >= 4)
      a.coordinators.push_back({"g", -1, "", -1, none, std::nullopt});
    else
      a.error_code = none;
    return reaction::with(a, r.header.version);
  });
  ASSERT_TRUE(t.send_offset(7));
  EXPECT_EQ(times, 3);
  ASSERT_TRUE(t.commit());
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send("b"));
  const auto done = t.commit();
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(visible(), (strings{"a", "b"}));
  EXPECT_EQ(t.status().identity.epoch, before.epoch + (implicit() ? 2 : 0));
}

TEST_P(a_transaction, does_not_take_its_id_back_from_its_successor) {
  auto& t = start();
  ASSERT_TRUE(t.begin());
  ASSERT_TRUE(t.send("a"));
  kafka.script(api_key::end_txn, do_and_cut);
  std::unique_ptr<transactional> other;
  // The successor comes while the answer is lost.
  ASSERT_TRUE(t.commit());
  other = std::make_unique<transactional>(loop, settings);
  ASSERT_TRUE(other->init());
  const auto begun = t.begin();
  if (begun) {
    static_cast<void>(t.send("zombie"));
    const auto done = t.commit();
    ASSERT_FALSE(done);
  }
  ASSERT_TRUE(other->begin());
  ASSERT_TRUE(other->send("b"));
  ASSERT_TRUE(other->commit());
  EXPECT_EQ(visible(), (strings{"a", "b"}));
}

TEST_P(a_transaction, survives_lost_requests_and_answers_on_the_way) {
  auto& t = start();
  strings all;
  for (const auto key : {api_key::add_partitions_to_txn, api_key::add_offsets_to_txn,
                         api_key::txn_offset_commit, api_key::produce, api_key::end_txn}) {
    for (const auto& f : {cut, do_and_cut}) {
      kafka.script(key, f);
      ASSERT_TRUE(t.begin());
      all.push_back(fmt::format("{}", all.size()));
      ASSERT_TRUE(t.send(all.back()));
      ASSERT_TRUE(t.send_offset(static_cast<std::int64_t>(all.size())));
      const auto done = t.commit();
      ASSERT_TRUE(done) << wire::to_string(key) << ": " << done.error().message();
      EXPECT_EQ(visible(), all);
      EXPECT_EQ(kafka.transactions.committed_offset("g", "in", 0), static_cast<std::int64_t>(all.size()));
    }
  }
}

}  // namespace
}  // namespace penstock::client
