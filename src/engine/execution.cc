// SPDX-License-Identifier: Apache-2.0
#include "engine/execution.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <thread>
#include <utility>

#include "engine/recovery_rules.h"
#include "io/failpoint.h"

namespace penstock::engine {

execution::execution(const topology& what, const run_options& options, const io::clock& clock)
    : graph_(what.internals()), clock_(clock) {
  plan_.graph = &graph_;
  plan_.info.application = options.application.empty() ? graph_.name : options.application;
  plan_.info.lanes = options.lanes != 0 ? options.lanes : std::max(1u, std::thread::hardware_concurrency());
  plan_.info.settings = options.settings;
  plan_.info.stop = options.stop;
  plan_.info.standby = options.standby;
  plan_.info.tell = options.tell;
  for (unsigned i = 0; i < plan_.info.lanes; ++i) {
    loops_.push_back(std::make_unique<io::event_loop>(clock));
    signals_.push_back(std::make_unique<lane_signal>([loop = loops_.back().get()] { loop->post([] {}); }));
  }
}

execution::~execution() { abandon(); }

result<std::unique_ptr<execution>> execution::create(const topology& what, const run_options& options,
                                                     const io::clock& clock) {
  if (const auto problems = what.validate(); !problems.empty()) {
    std::string all = "the topology '" + what.name() + "' cannot run: ";
    for (std::size_t i = 0; i < problems.size(); ++i) all += (i == 0 ? "" : "; ") + problems[i];
    return fail(errc::invalid_argument, std::move(all));
  }
  std::unique_ptr<execution> e(new execution(what, options, clock));
  e->make_connectors();
  if (result<> r = e->choose_guarantee(options); !r) return fail(std::move(r.error()));
  if (result<> r = e->discover(); !r) return fail(std::move(r.error()));
  if (result<> r = e->prepare_sinks(); !r) return fail(std::move(r.error()));
  e->make_channels();
  e->make_epochs(options);
  for (unsigned i = 0; i < e->lanes(); ++i) {
    e->lanes_.push_back(
        std::make_unique<lane>(e->plan_, *e->epochs_, lane_context{e->plan_.info, i, *e->loops_[i], clock}));
  }
  return e;
}

void execution::make_connectors() {
  plan_.sources.resize(graph_.sources.size());
  plan_.sinks.resize(graph_.nodes.size());
  for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
    const detail::node& node = graph_.nodes[n];
    if (node.source) {
      plan_.sources[*node.source].connector = graph_.sources[*node.source].make();
      plan_.sources[*node.source].is_table = static_cast<bool>(node.make_table);
    }
    if (node.sink) plan_.sinks[n] = node.sink();
    // Asked of one that is thrown away: an operator's state is a matter of its type.
    if (node.keeps_state && node.make()->durable() != nullptr)
      plan_.kept_nodes.push_back(static_cast<std::uint32_t>(n));
  }
  if (graph_.dead_letters) plan_.dead_letters = graph_.dead_letters();
}

/// Empty when it can be had.
std::string execution::why_not_exactly_once() const {
  std::string domain;
  for (std::size_t i = 0; i < plan_.sources.size(); ++i) {
    const job_source& s = plan_.sources[i];
    if (s.is_table || s.connector == nullptr) continue;
    const std::string its = s.connector->transaction_domain(plan_.info);
    if (its.empty()) return "the source '" + graph_.sources[i].id.name + "' has no transactions";
    if (!domain.empty() && its != domain)
      return "the source '" + graph_.sources[i].id.name + "' reads " + its + ", another one " + domain;
    domain = its;
  }
  const auto check = [&](const sink_connector& sink, const std::string& name) -> std::string {
    const std::string its = sink.transaction_domain(plan_.info);
    if (its.empty()) return "the sink '" + name + "' has no transactions";
    return its == domain ? "" : "the sink '" + name + "' writes to " + its + ", the source reads " + domain;
  };
  for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
    const detail::node& node = graph_.nodes[n];
    if (plan_.sinks[n] != nullptr) {
      if (std::string why = check(*plan_.sinks[n], node.name); !why.empty()) return why;
    }
    if (node.keeps_state &&
        std::find(plan_.kept_nodes.begin(), plan_.kept_nodes.end(), n) == plan_.kept_nodes.end())
      return "the state of '" + node.name + "' cannot be kept yet";
  }
  if (plan_.dead_letters != nullptr) return check(*plan_.dead_letters, graph_.dead_letters_name);
  return {};
}

result<> execution::choose_guarantee(const run_options& options) {
  bool wanted = options.delivery == guarantee::exactly_once || options.standby.count() != 0;
  if (options.delivery == guarantee::at_least_once) {
    if (options.standby.count() == 0) return {};
    return fail(errc::invalid_argument, "'" + plan_.info.application +
                                            "' is to be at least once: standbys are for exactly once alone");
  }
  // Without a sink there is nothing that transactions could hold together.
  if (!wanted &&
      std::none_of(plan_.sinks.begin(), plan_.sinks.end(), [](const auto& s) { return s != nullptr; }))
    return {};
  if (std::string why = why_not_exactly_once(); !why.empty()) {
    if (!wanted) return {};
    return fail(errc::unsupported, "'" + plan_.info.application + "' cannot be exactly once" +
                                       (options.standby.count() != 0 ? ", which standbys need: " : ": ") +
                                       why);
  }
  return begin_transactions(options);
}

result<> execution::begin_transactions(const run_options& options) {
  job_info info = plan_.info;
  info.exactly_once = true;
  info.settings["commit.interval.ms"] = std::to_string(options.commit_interval.count());
  for (const job_source& s : plan_.sources) {
    if (s.is_table || s.connector == nullptr) continue;
    auto made = s.connector->make_transactions(info);
    if (!made) return fail(std::move(made.error()));
    plan_.transactions = std::move(*made);
    break;
  }
  plan_.info.exactly_once = true;
  plan_.restored = std::make_unique<restoration>(clock_, plan_.info.application, options.tell);
  if (result<> r = io::failpoint("take_over.before"); !r) return r;
  std::vector<std::string> names;
  for (const std::uint32_t n : plan_.kept_nodes) names.push_back(graph_.nodes[n].name);
  if (result<> r = plan_.transactions->take_over(names); !r) return r;
  if (result<> r = io::failpoint("take_over.after"); !r) return r;
  return plan_.transactions->prepare(names);
}

bool execution::may_pass(const error& why) const {
  return plan_.transactions != nullptr && plan_.transactions->may_pass(why);
}

void execution::abandon() {
  const std::lock_guard lock(lanes_mutex_);
  lanes_.clear();
  if (plan_.transactions != nullptr) plan_.transactions->close();
}

std::string execution::starting_places() const {
  constexpr std::size_t shown = 8;
  std::string all;
  std::size_t n = 0;
  for (const job_source& s : plan_.sources) {
    if (s.is_table) continue;
    for (const split& part : s.splits) {
      if (++n > shown) continue;
      all += fmt::format("{}{}-{} at {}", all.empty() ? "" : ", ", part.topic, part.partition, part.start);
    }
  }
  if (n > shown) all += fmt::format(" and {} more", n - shown);
  return all;
}

/// Called by the lane that moves the epochs on.
void execution::transact(std::uint64_t epoch) {
  if (result<> r = io::failpoint("epoch.transact"); !r) return epochs_->fail(std::move(r.error()));
  std::vector<epoch_position> changed;
  for (const job_source& s : plan_.sources) {
    if (s.is_table) continue;
    const coordinator::source_plan plan = epochs_->plan(s.stream_number);
    auto& before = committed_[s.stream_number];
    for (std::size_t i = 0; i < s.splits.size(); ++i) {
      std::pair now(plan.positions[i], plan.split_metadata[i]);
      if (now == before[i]) continue;
      changed.push_back(
          {s.splits[i].topic, s.splits[i].partition, now.first, now.second, s.splits[i].identity});
      before[i] = std::move(now);
    }
  }
  plan_.transactions->commit(epoch, std::move(changed), [this](result<> r) {
    if (r) r = io::failpoint("epoch.committed");
    epochs_->transacted(std::move(r));
  });
}

result<> execution::discover() {
  if (result<> r = io::failpoint("discover.before"); !r) return r;
  std::size_t streams = 0;
  for (const detail::node& n : graph_.nodes) {
    if (!n.source) continue;
    job_source& s = plan_.sources[*n.source];
    const std::string& name = graph_.sources[*n.source].id.name;
    job_info info = plan_.info;
    info.name = name;
    s.watermarks = n.watermarks != nullptr ? *n.watermarks : s.connector->watermarks();
    auto found = s.connector->discover(info, s.is_table ? read_purpose::table : read_purpose::stream);
    if (!found) return fail(found.error().with_context(name));
    s.splits = std::move(*found);
    if (!s.is_table) s.stream_number = streams++;
    if (!s.is_table && !s.watermarks.align_with.empty()) {
      alignment_group& group = plan_.alignment[s.watermarks.align_with];
      for (unsigned lane = 0; lane < lanes(); ++lane) s.places.push_back(group.add());
    }
    for (const split& part : s.splits) {
      if (s.is_table && part.end < 0 && !part.stop)
        return fail(errc::unsupported, name + ": a global table needs a source that knows where it ends");
      if (const auto t = decode_time(part.metadata); t && t->watermark > s.restored.watermark)
        s.restored = *t;
    }
  }
  return {};
}

result<> execution::prepare_sinks() {
  if (result<> r = io::failpoint("sinks.prepare"); !r) return r;
  for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
    const detail::node& to = graph_.nodes[n];
    if (!to.sink) continue;
    job_info info = plan_.info;
    info.name = to.name;
    if (result<> r = plan_.sinks[n]->prepare(info); !r) return fail(r.error().with_context(to.name));
  }
  if (graph_.dead_letters) {
    job_info info = plan_.info;
    info.name = graph_.dead_letters_name;
    if (result<> r = plan_.dead_letters->prepare(info); !r) return fail(r.error().with_context(info.name));
  }
  return {};
}

void execution::make_channels() {
  plan_.channels.resize(graph_.nodes.size());
  const unsigned n = lanes();
  if (n == 1) return;
  for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
    if (!graph_.nodes[i].make_relay) continue;
    for (unsigned from = 0; from < n; ++from) {
      for (unsigned to = 0; to < n; ++to)
        plan_.channels[i].push_back(std::make_unique<exchange_channel>(*signals_[from], *signals_[to]));
    }
  }
}

void execution::make_epochs(const run_options& options) {
  std::vector<std::vector<std::int64_t>> starts;
  for (const job_source& s : plan_.sources) {
    if (s.is_table) continue;
    std::vector<std::int64_t> start;
    for (const split& part : s.splits) start.push_back(part.start);
    if (starts.size() <= s.stream_number) starts.resize(s.stream_number + 1);
    starts[s.stream_number] = std::move(start);
  }
  coordinator::options o;
  o.lanes = lanes();
  o.interval = options.commit_interval;
  o.stop_timeout = options.stop_timeout;
  o.cascaded_state = has_cascaded_state(graph_);
  o.wake_all = [this] {
    for (auto& s : signals_) s->notify();
  };
  if (plan_.transactions != nullptr) {
    o.transact = [this](std::uint64_t epoch) { transact(epoch); };
    committed_.resize(starts.size());
    for (const job_source& s : plan_.sources) {
      if (s.is_table) continue;
      for (const split& part : s.splits) {
        // One that was never committed differs from whatever will be.
        committed_[s.stream_number].emplace_back(part.committed ? part.start : -1, part.metadata);
        o.commit_first |= !part.committed;
      }
    }
  }
  epochs_ = std::make_unique<coordinator>(std::move(o), std::move(starts), clock_.now());
}

result<> execution::open_lane(unsigned lane) { return lanes_[lane]->open(); }

bool execution::step(unsigned lane, io::instant now) {
  const bool moved = lane == 0 && epochs_->advance(now);
  return lanes_[lane]->step(now) || moved;
}

job_progress execution::progress() const {
  const std::lock_guard lock(lanes_mutex_);
  job_progress p;
  std::uint64_t total = 0;
  bool bounded = true;
  for (const job_source& s : plan_.sources) {
    if (s.is_table) continue;
    for (const auto& l : lanes_) p.records_read += l->records_read(s.stream_number);
    for (const split& part : s.splits) {
      bounded &= part.stop.has_value();
      if (part.stop) total += static_cast<std::uint64_t>(std::max<std::int64_t>(0, *part.stop - part.start));
    }
  }
  if (bounded) p.records_total = total;
  return p;
}

result<std::string> execution::inspect(std::string_view name, std::string_view state,
                                       std::string_view key) const {
  const auto at = std::find_if(graph_.nodes.begin(), graph_.nodes.end(),
                               [&](const detail::node& n) { return n.name == name; });
  if (at == graph_.nodes.end())
    return fail(errc::invalid_argument, fmt::format("the topology has no operator '{}'", name));
  std::string found;
  for (const auto& l : lanes_) {
    detail::state_rows* const rows = l->inspect(static_cast<std::uint32_t>(at - graph_.nodes.begin()));
    if (rows == nullptr)
      return fail(errc::invalid_argument, fmt::format("'{}' is no operator made by process", name));
    if (!rows->inspect(key, state, found))
      return fail(errc::invalid_argument, fmt::format("'{}' has no state '{}', only {}", name, state,
                                                      fmt::join(rows->column_names(), ", ")));
  }
  return found;
}

std::vector<operator_metrics> execution::metrics() const {
  const std::lock_guard lock(lanes_mutex_);
  std::vector<operator_metrics> all;
  for (std::uint32_t n = 0; n < graph_.nodes.size(); ++n) {
    operator_metrics& m = all.emplace_back();
    m.name = graph_.nodes[n].name;
    for (const auto& l : lanes_) {
      const detail::op_counters* c = l->counters(n);
      if (c == nullptr) continue;
      m.records_in += c->in.load(std::memory_order_relaxed);
      m.records_out += c->out.load(std::memory_order_relaxed);
      m.late += c->late.load(std::memory_order_relaxed);
      m.skipped += c->skipped.load(std::memory_order_relaxed);
    }
  }
  return all;
}

}  // namespace penstock::engine

namespace penstock {

result<std::unique_ptr<epoch_transactions>> source_connector::make_transactions(const job_info&) const {
  return fail(errc::unsupported, describe() + " has no transactions");
}

}  // namespace penstock
