// SPDX-License-Identifier: Apache-2.0
// A transactional application of the client's public API, for transactional_copy.py, which judges what it
// did.
//
//   transaction_program BROKERS create TOPIC PARTITIONS
//   transaction_program BROKERS copy ID IN OUT PARTITIONS MILLISECONDS    copies each partition to its like,
//   in
//       transactions of that length, with its positions in group ID; prints "read N" after each; until killed
//   transaction_program BROKERS verdicts ID OUT PARTITIONS COUNT SEED     COUNT transactions of one record a
//       partition; prints "N committed|aborted|unknown" for each, as the client says
//   transaction_program BROKERS leave ID OUT VALUE     writes, does not end it, prints "PRODUCER_ID EPOCH"
//   transaction_program BROKERS resume ID PRODUCER_ID EPOCH    commits that
//   transaction_program BROKERS bench ID OUT PARTITIONS COUNT MILLISECONDS    0: without transactions
#include <fmt/format.h>
#include <penstock/kafka/admin.h>
#include <penstock/kafka/consumer.h>
#include <penstock/kafka/producer.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace penstock;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

constexpr auto patience = 60s;

template <typename T>
auto good(result<T> r) {
  if (!r) throw std::runtime_error(r.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*r);
}

void say(const std::string& line) {
  std::puts(line.c_str());
  std::fflush(stdout);
}

kafka::producer_settings settings(const std::string& brokers, const std::string& id) {
  kafka::producer_settings s;
  s.bootstrap_servers = brokers;
  s.transactional_id = id;
  s.batch_size = 64 << 10;
  s.connection.request_timeout = 5s;
  s.connection.retry_backoff = 20ms;
  s.connection.retry_backoff_max = 200ms;
  return s;
}

kafka::producer initialized(const std::string& brokers, const std::string& id) {
  auto p = good(kafka::producer::create(settings(brokers, id)));
  good(p.init_transactions(patience));
  return p;
}

// Ends the transaction; false when it had to be aborted. Throws when the producer is at its end.
bool ended(kafka::producer& p) {
  const auto done = p.commit_transaction(patience);
  if (done) return true;
  if (done.error().what_to_do() != recovery::abort_transaction)
    throw std::runtime_error(done.error().message());
  good(p.abort_transaction(patience));
  return false;
}

void create(const std::string& brokers, const std::string& topic, int partitions) {
  auto admin = good(kafka::admin::create({.bootstrap_servers = brokers}));
  good(admin.create_topics({{.name = topic, .partitions = partitions, .replication_factor = 1}}));
  good(admin.await_topics({topic}, 20s));
}

void copy(const std::string& brokers, const std::string& id, const std::string& in, const std::string& out,
          int partitions, std::chrono::milliseconds length) {
  auto p = initialized(brokers, id);  // first: what is read below must be what no other run commits any more
  say(fmt::format("version {}", p.transaction().version));
  auto c = good(kafka::consumer::create({.bootstrap_servers = brokers,
                                         .group_id = id,
                                         .auto_offset_reset = kafka::offset_reset::earliest,
                                         .enable_auto_commit = false,
                                         .isolation_level = kafka::isolation_level::read_committed,
                                         .max_poll_bytes = 32 << 10}));
  const auto begin_at_committed = [&] {
    std::vector<kafka::start_position> positions;
    for (int i = 0; i < partitions; ++i) positions.push_back({{in, i}, kafka::no_offset});
    good(c.assign(positions));
  };
  begin_at_committed();
  std::int64_t read = 0;
  for (;;) {
    std::vector<kafka::partition_offset> positions(static_cast<std::size_t>(partitions));
    good(p.begin_transaction());
    const auto until = steady::now() + length;
    std::int64_t now_read = 0;
    do {
      for (const auto& batch : good(c.poll(length))) {
        for (const auto& r : batch.records()) {
          good(p.send({.topic = out, .key = r.key, .value = r.value, .partition = batch.partition()}));
          ++now_read;
        }
        positions[static_cast<std::size_t>(batch.partition())] = {{in, batch.partition()},
                                                                  {.offset = batch.next_offset()}};
      }
    } while (steady::now() < until);
    std::erase_if(positions, [](const auto& o) { return o.partition.topic.empty(); });
    static_cast<void>(p.send_offsets(positions, {.group_id = id}, patience));  // the commit tells as well
    if (ended(p))
      read += now_read;
    else
      begin_at_committed();
    say(fmt::format("read {}", read));
  }
}

void verdicts(const std::string& brokers, const std::string& id, const std::string& out, int partitions,
              int count, unsigned seed) {
  std::mt19937 random(seed);
  auto p = initialized(brokers, id);
  say(fmt::format("version {}", p.transaction().version));
  for (int n = 0; n < count; ++n) {
    const auto value = std::to_string(n);
    bool finished = false;
    if (p.begin_transaction()) {
      bool sent = true;
      for (int i = 0; i < partitions; ++i)
        sent = sent && p.send({.topic = out, .value = value, .partition = i}).has_value();
      if (sent && random() % 5 != 0) {
        auto done = p.commit_transaction(patience);
        finished = done.has_value();
        if (!done && done.error().what_to_do() == recovery::abort_transaction)
          finished = p.abort_transaction(patience).has_value();
      } else {
        static_cast<void>(p.flush(patience));
        finished = p.abort_transaction(patience).has_value();
      }
      say(fmt::format("{} {}", n, to_string(p.transaction().last)));
    } else {
      say(fmt::format("{} aborted", n));  // nothing was sent
    }
    if (finished) continue;
    if (p.transaction().failure) std::fprintf(stderr, "%s\n", p.transaction().failure->message().c_str());
    p = initialized(brokers, id);
  }
}

void bench(const std::string& brokers, const std::string& id, const std::string& out, int partitions,
           std::int64_t count, std::chrono::milliseconds length) {
  auto s = settings(brokers, length > 0ms ? id : "");
  s.batch_size = 256 << 10;
  s.max_request_size = 4 << 20;
  s.linger = 5ms;
  auto p = good(kafka::producer::create(s));
  if (length > 0ms) good(p.init_transactions(patience));
  const std::string value(100, 'v');
  std::vector<kafka::record_to_send> some(1000);
  for (std::size_t i = 0; i < some.size(); ++i)
    some[i] = {.topic = out,
               .value = value,
               .partition = static_cast<std::int32_t>(i / 250) % partitions,
               .timestamp_ms = 1'700'000'000'000};
  good(p.partitions_of(out));
  const auto cpu = [] {
    rusage used{};
    getrusage(RUSAGE_SELF, &used);
    const auto ns = [](const timeval& t) { return t.tv_sec * 1'000'000'000LL + t.tv_usec * 1'000LL; };
    return ns(used.ru_utime) + ns(used.ru_stime);
  };
  const auto begun = steady::now();
  const auto cpu_begun = cpu();
  int transactions = 0;
  for (std::int64_t sent = 0; sent < count;) {
    if (length > 0ms) good(p.begin_transaction());
    const auto until = steady::now() + length;
    do {
      good(p.send(some));
      sent += static_cast<std::int64_t>(some.size());
    } while (sent < count && (length == 0ms || steady::now() < until));
    if (length > 0ms) {
      good(p.commit_transaction(patience));
      ++transactions;
    }
  }
  good(p.flush(patience));
  const std::chrono::duration<double> took = steady::now() - begun;
  say(fmt::format("{} records, {} transactions: {:.0f} records/s, {:.0f} ns CPU a record", count,
                  transactions, static_cast<double>(count) / took.count(),
                  static_cast<double>(cpu() - cpu_begun) / static_cast<double>(count)));
}

int run(const std::vector<std::string>& args) {
  const auto& brokers = args.at(0);
  const auto& what = args.at(1);
  const auto number = [&](std::size_t i) { return std::stoi(args.at(i)); };
  if (what == "create") {
    create(brokers, args.at(2), number(3));
  } else if (what == "copy") {
    copy(brokers, args.at(2), args.at(3), args.at(4), number(5), std::chrono::milliseconds(number(6)));
  } else if (what == "verdicts") {
    verdicts(brokers, args.at(2), args.at(3), number(4), number(5), static_cast<unsigned>(number(6)));
  } else if (what == "leave") {
    auto p = initialized(brokers, args.at(2));
    good(p.begin_transaction());
    good(p.send({.topic = args.at(3), .value = args.at(4), .partition = 0}));
    good(p.flush(patience));
    const auto who = p.transaction().identity;
    say(fmt::format("{} {}", who.id, who.epoch));
    std::_Exit(0);  // as if it were killed
  } else if (what == "resume") {
    auto p = good(kafka::producer::create(settings(brokers, args.at(2))));
    good(p.resume_transaction({std::stoll(args.at(3)), static_cast<std::int16_t>(number(4))}, patience));
    good(p.commit_transaction(patience));
  } else if (what == "bench") {
    bench(brokers, args.at(2), args.at(3), number(4), std::stoll(args.at(5)),
          std::chrono::milliseconds(number(6)));
  } else {
    throw std::runtime_error("no command " + what);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& e) {
    std::fprintf(stderr, "transaction_program: %s\n", e.what());
    return 1;
  }
}
