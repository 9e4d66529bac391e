// SPDX-License-Identifier: Apache-2.0
// The broker's start, upkeep and stop.
#include <fmt/format.h>

#include <algorithm>

#include "broker/broker_log.h"

#include "broker/core.h"

namespace penstock::broker {
namespace {

constexpr std::chrono::seconds upkeep_interval{15};
constexpr std::chrono::minutes offset_expiry_interval{10};
constexpr std::chrono::seconds drain_timeout{2};  // for answers that a client does not take
constexpr std::chrono::milliseconds drain_check{5};

bool loopback(std::string_view host) {
  return host == "localhost" || host == "::1" || host.substr(0, 4) == "127.";
}

result<> check(const server_options& o) {
  const auto bad = [](std::string message) { return fail(errc::invalid_argument, std::move(message)); };
  if (o.directory.empty()) return bad("the broker needs a directory");
  if (o.default_partitions < 1) return bad("the default number of partitions must be at least 1");
  if (o.node_id < 0) return bad("the node id must not be negative");
  if (o.max_request_bytes < 1024) return bad("the largest request must be at least 1024 bytes");
  if (o.transaction_version != 0 && o.transaction_version != 2)
    return bad("the transaction version must be 0 or 2");
  if (o.transaction_max_timeout.count() < 1)
    return bad("the longest transaction timeout must be at least 1 ms");
  if (o.flush_interval.count() < 1) return bad("the flush interval must be at least 1 ms");
  if (!loopback(o.listen_host))
    return fail(
        errc::unsupported,
        fmt::format("listening on {} needs TLS or SASL, which this broker does not have yet: it listens on "
                    "loopback addresses only",
                    o.listen_host));
  return {};
}

}  // namespace

result<> broker_core::open() {
  if (auto good = check(options); !good) return good;
  auto& fs = *env.files;
  const std::string& dir = options.directory;
  if (auto made = fs.make_directories(dir); !made) return made;
  auto lock = fs.lock_file(dir + "/.lock");
  if (!lock) {
    if (lock.error().kind() == errc::already_exists)
      return fail(errc::already_exists, fmt::format("another broker uses the directory {}", dir));
    return fail(lock.error());
  }
  lock_ = std::move(*lock);

  const std::string clean_mark = dir + "/.clean_shutdown";
  const std::string failed_mark = dir + "/.failed";
  const bool failed = fs.exists(failed_mark);
  const bool clean = fs.exists(clean_mark) && !failed;
  if (failed)
    broker_log().warn("{}: the last broker stopped because of a failed write; everything is checked", dir);
  for (const auto& mark : {clean_mark, failed_mark})
    if (fs.exists(mark))
      if (auto removed = fs.remove(mark); !removed)
        return removed;  // durable with the metadata, before any append

  auto stored = read_metadata(fs, dir);
  if (!stored) return fail(stored.error());
  metadata = std::move(*stored);
  if (metadata.cluster_id.empty())
    metadata.cluster_id = wire::uuid::from_random(env.random->next(), env.random->next()).to_string();
  ++metadata.leader_epoch;
  if (auto opened = topics.open_all(clean); !opened) return opened;
  if (auto saved = topics.save(); !saved) return saved;
  if (auto loaded = journal.load(groups); !loaded) return loaded;
  return transaction_log.load(transactions, !clean);
}

result<> broker_core::listen() {
  auto l = io::listen(loop, {options.listen_host, options.port},
                      [this](std::unique_ptr<io::stream> s) { accept(std::move(s)); });
  if (!l) return fail(l.error());
  listener_ = std::move(*l);
  listening = listener_->local();
  advertised.host = options.advertised_host.empty() ? options.listen_host : options.advertised_host;
  advertised.port = options.advertised_port == 0 ? listening.port : options.advertised_port;
  settings.listening_on("PLAINTEXT://" + to_string(listening), "PLAINTEXT://" + to_string(advertised));
  next_offset_expiry_ = env.time->now() + offset_expiry_interval;
  arm_group_timer();
  arm_transaction_timer();
  arm_upkeep();
  return {};
}

void broker_core::arm_upkeep() {
  upkeep_timer_.arm(upkeep_interval, [this] {
    upkeep();
    arm_upkeep();
  });
}

// Retention, compaction and the like, on a thread of their own: they may take long and need no answer.
void broker_core::upkeep() {
  blocks.trim();
  if (env.time->now() >= next_offset_expiry_) {
    next_offset_expiry_ = env.time->now() + offset_expiry_interval;
    groups.expire_offsets();
    transactions.expire();
  }
  auto logs = topics.open_logs();
  if (upkeep_running_ || logs.empty()) return;
  upkeep_running_ = true;
  upkeep_worker_.post([this, logs = std::move(logs)] {
    for (const auto& log : logs) {
      const auto report = [&](const auto& outcome) {
        if (!outcome) broker_log().warn("{}: {}", log->directory(), outcome.error().message());
      };
      report(log->apply_retention());
      report(log->remove_deleted_files());
      report(log->compact());
      log->expire_producers();
    }
    loop.post([this] { upkeep_running_ = false; });
  });
}

void broker_core::shut_down(unique_function<void(result<>)> done) {
  stopping_ = true;
  listener_.reset();
  group_timer_.cancel();
  transaction_timer_.cancel();
  upkeep_timer_.cancel();
  for (const auto& c : connections_) c->stop_reading();
  for (const auto& [name, t] : topics.all()) wake_all_fetches(*this, *t);
  syncs.drain([this, done = std::move(done)]() mutable {
    drain_connections(env.time->now() + drain_timeout, [this, done = std::move(done)]() mutable {
      close_connections();
      // After the upkeep thread's last task nothing but this thread touches the logs.
      upkeep_worker_.post([this, done = std::move(done)]() mutable {
        loop.post([this, done = std::move(done)]() mutable { done(close_logs()); });
      });
    });
  });
}

void broker_core::drain_connections(io::instant deadline, unique_function<void()> done) {
  const bool idle =
      std::all_of(connections_.begin(), connections_.end(), [](const auto& c) { return c->settled(); });
  if (idle || failure_ || env.time->now() >= deadline) return done();
  drain_timer_.arm(drain_check, [this, deadline, done = std::move(done)]() mutable {
    drain_connections(deadline, std::move(done));
  });
}

void broker_core::close_connections() {
  const auto all = connections_;
  for (const auto& c : all) c->close();
  connections_.clear();
}

result<> broker_core::close_logs() {
  const auto lock = std::move(lock_);  // the directory is free when this returns, whatever happens
  if (failure_) return fail(*failure_);
  for (const auto& log : topics.open_logs())
    if (auto closed = log->close(); !closed) return closed;
  return io::write_file_atomically(*env.files, options.directory + "/.clean_shutdown", "1\n");
}

}  // namespace penstock::broker
