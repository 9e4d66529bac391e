// SPDX-License-Identifier: Apache-2.0
// Random transactions of several producers of both versions, with ends that nobody waits for, clean restarts
// and losses of power, against a model: each transaction is there whole, with its offset, or not at all, as
// was answered. PENSTOCK_SEED repeats one run, PENSTOCK_RUNS makes more.
#include <gmock/gmock.h>

#include <cstdlib>
#include <random>

#include "broker/transaction_test_support.h"
#include "io/simulated_file_system.h"

namespace penstock::broker {
namespace {

using namespace testing;

enum class outcome : std::uint8_t { open, committed, aborted, unknown };

struct modelled_transaction {
  outcome end = outcome::open;
  std::map<std::pair<std::string, std::int32_t>, std::vector<std::string>> records;
  std::int64_t offset = -1;  ///< committed for the producer's group
  std::size_t order = 0;     ///< among all of its producer
};

class model_run {
 public:
  explicit model_run(std::uint64_t seed) : random_(seed), disk_(seed) {
    options_.directory = "/data";
    options_.flush = flush_policy::each;
    start();
    wire::create_topics_request q;
    for (const auto* name : {"a", "b"}) {
      auto& t = q.topics.emplace_back();
      t.name = name;
      t.num_partitions = 2;
      t.replication_factor = 1;
      t.configs.push_back({"segment.bytes", "2000"});
    }
    client_->call<wire::create_topics_response>(q);
    for (int i = 0; i < 3; ++i) {
      producers_.emplace_back(*client_, "id" + std::to_string(i), i % 2 == 0 ? 2 : 0);
      transactions_.emplace_back();
      EXPECT_EQ(producers_.back().init(), 0);
    }
  }
  ~model_run() {
    client_.reset();
    broker_.reset();
  }

  void steps(int n) {
    for (int i = 0; i < n && !::testing::Test::HasFailure(); ++i) step();
    restart(false);
    check();
  }

 private:
  std::uint64_t draw(std::uint64_t below) { return random_() % below; }
  void start() {
    auto s = server::start(options_, {.files = &disk_});
    ASSERT_TRUE(s) << s.error().message();
    broker_ = std::move(*s);
    client_ = std::make_unique<test_client>(broker_->endpoint());
  }
  void restart(bool power) {
    client_.reset();
    if (power) disk_.crash();
    (void)broker_->stop();
    broker_.reset();
    start();
    for (std::size_t i = 0; i < producers_.size(); ++i) {
      producers_[i].client = client_.get();
      auto& all = transactions_[i];
      if (power && !all.empty() && all.back().end == outcome::open) all.back().end = outcome::aborted;
      if (power) {
        EXPECT_EQ(producers_[i].init(), 0);
      }
    }
  }

  modelled_transaction& current(std::size_t i) {
    auto& all = transactions_[i];
    if (all.empty() || all.back().end != outcome::open) {
      all.emplace_back();
      all.back().order = all.size();
    }
    return all.back();
  }

  void step() {
    const std::size_t i = draw(producers_.size());
    auto& p = producers_[i];
    const auto what = draw(100);
    if (what < 55) {
      const std::pair<std::string, std::int32_t> where(draw(2) == 0 ? "a" : "b", draw(2));
      std::vector<std::string> values;
      for (auto n = 1 + draw(3); n > 0; --n) values.push_back(p.id + "-" + std::to_string(next_value_++));
      ASSERT_EQ(p.write(where.first, where.second, values), 0);
      auto& into = current(i).records[where];
      into.insert(into.end(), values.begin(), values.end());
    } else if (what < 65) {
      auto& t = current(i);
      t.offset = static_cast<std::int64_t>(++next_value_);
      ASSERT_EQ(p.commit_offset("g" + p.id, "a", t.offset), 0);
    } else if (what < 90) {
      if (transactions_[i].empty() || transactions_[i].back().end != outcome::open) return;
      const bool commit = draw(3) != 0;
      ASSERT_EQ(p.end(commit), 0);
      transactions_[i].back().end = commit ? outcome::committed : outcome::aborted;
    } else if (what < 93) {
      if (!transactions_[i].empty() && transactions_[i].back().end == outcome::open)
        transactions_[i].back().end = outcome::aborted;
      ASSERT_EQ(p.init(), 0);
    } else if (what < 95) {
      restart(false);
    } else if (what < 97) {
      check();
    } else {
      end_without_waiting(i);
    }
  }

  // The power goes somewhere between the request and its answer: all or nothing, but which is not known.
  void end_without_waiting(std::size_t i) {
    if (!transactions_[i].empty() && transactions_[i].back().end == outcome::open) {
      client_->send(producers_[i].end_request(true), producers_[i].end_version());
      transactions_[i].back().end = outcome::unknown;
      for (auto spin = draw(2000); spin > 0; --spin) (void)disk_.syncs();
    }
    restart(true);
  }

  void check() {
    // What is open holds back what was committed behind it.
    for (std::size_t i = 0; i < producers_.size(); ++i) {
      auto& all = transactions_[i];
      if (all.empty() || all.back().end != outcome::open) continue;
      EXPECT_EQ(producers_[i].end(false), 0);
      all.back().end = outcome::aborted;
    }
    std::map<std::pair<std::string, std::int32_t>, std::vector<std::string>> seen;
    for (const auto* topic : {"a", "b"})
      for (const std::int32_t partition : {0, 1})
        seen[{topic, partition}] = read_committed_values(*client_, topic, partition);
    std::size_t expected = 0, there = 0;
    for (const auto& [where, values] : seen) there += values.size();
    for (std::size_t i = 0; i < producers_.size(); ++i) expected += check(i, seen);
    EXPECT_EQ(there, expected) << "something is there twice, or nobody's";
  }

  // Returns how many records of a producer must be there.
  std::size_t check(std::size_t i,
                    std::map<std::pair<std::string, std::int32_t>, std::vector<std::string>>& seen) {
    std::size_t expected = 0;
    std::int64_t offset = -1;
    for (auto& t : transactions_[i]) {
      std::size_t found = 0, all = 0;
      for (const auto& [where, values] : t.records) {
        all += values.size();
        for (const auto& v : values)
          found += static_cast<std::size_t>(std::count(seen[where].begin(), seen[where].end(), v));
      }
      const auto id = producers_[i].id + ", transaction " + std::to_string(t.order);
      if (t.end == outcome::unknown && all > 0) {
        EXPECT_TRUE(found == 0 || found == all) << id << " is torn: " << found << " of " << all;
        t.end = found == 0 ? outcome::aborted : outcome::committed;
      } else if (t.end == outcome::unknown) {
        const auto now = committed_offset_of(*client_, "g" + producers_[i].id, "a");
        t.end = now == t.offset ? outcome::committed : outcome::aborted;
      }
      EXPECT_EQ(found, t.end == outcome::committed ? all : 0u) << id;
      if (t.end == outcome::committed) {
        expected += all;
        if (t.offset >= 0) offset = t.offset;
      }
    }
    EXPECT_EQ(committed_offset_of(*client_, "g" + producers_[i].id, "a"), offset) << producers_[i].id;
    return expected;
  }

  std::mt19937_64 random_;
  io::simulated_file_system disk_;
  server_options options_;
  std::unique_ptr<server> broker_;
  std::unique_ptr<test_client> client_;
  std::vector<manual_producer> producers_;
  std::vector<std::vector<modelled_transaction>> transactions_;
  std::uint64_t next_value_ = 0;
};

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(TransactionModel, EveryTransactionIsThereWholeOrNotAtAll) {
  const auto first = from_environment("PENSTOCK_SEED", 1);
  const auto runs = from_environment("PENSTOCK_RUNS", 6);
  for (auto seed = first; seed < first + runs && !HasFailure(); ++seed) {
    SCOPED_TRACE("PENSTOCK_SEED=" + std::to_string(seed));
    model_run(seed).steps(150);
  }
  std::printf("%llu runs from seed %llu, of 150 steps\n", static_cast<unsigned long long>(runs),
              static_cast<unsigned long long>(first));
}

}  // namespace
}  // namespace penstock::broker
