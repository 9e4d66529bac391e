// SPDX-License-Identifier: Apache-2.0
#include "engine/execution.h"

#include <algorithm>
#include <string>
#include <thread>
#include <utility>

#include "engine/recovery_rules.h"

namespace penstock::engine {

execution::execution(const topology& what, const run_options& options, const io::clock& clock)
    : graph_(what.internals()), clock_(clock) {
  plan_.graph = &graph_;
  plan_.info.application = options.application.empty() ? graph_.name : options.application;
  plan_.info.lanes = options.lanes != 0 ? options.lanes : std::max(1u, std::thread::hardware_concurrency());
  plan_.info.settings = options.settings;
  for (unsigned i = 0; i < plan_.info.lanes; ++i) {
    loops_.push_back(std::make_unique<io::event_loop>(clock));
    signals_.push_back(std::make_unique<lane_signal>([loop = loops_.back().get()] { loop->post([] {}); }));
  }
}

execution::~execution() = default;

result<std::unique_ptr<execution>> execution::create(const topology& what, const run_options& options,
                                                     const io::clock& clock) {
  if (const auto problems = what.validate(); !problems.empty()) {
    std::string all = "the topology '" + what.name() + "' cannot run: ";
    for (std::size_t i = 0; i < problems.size(); ++i) all += (i == 0 ? "" : "; ") + problems[i];
    return fail(errc::invalid_argument, std::move(all));
  }
  std::unique_ptr<execution> e(new execution(what, options, clock));
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

result<> execution::discover() {
  plan_.sources.resize(graph_.sources.size());
  for (const detail::node& n : graph_.nodes) {
    if (n.source) plan_.sources[*n.source].is_table = static_cast<bool>(n.make_table);
  }
  std::size_t streams = 0;
  for (const detail::node& n : graph_.nodes) {
    if (!n.source) continue;
    job_source& s = plan_.sources[*n.source];
    const std::string& name = graph_.sources[*n.source].id.name;
    job_info info = plan_.info;
    info.name = name;
    s.connector = graph_.sources[*n.source].make();
    s.watermarks = n.watermarks.value_or(s.connector->watermarks());
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
  plan_.sinks.resize(graph_.nodes.size());
  for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
    const detail::node& to = graph_.nodes[n];
    if (!to.sink) continue;
    plan_.sinks[n] = to.sink();
    job_info info = plan_.info;
    info.name = to.name;
    if (result<> r = plan_.sinks[n]->prepare(info); !r) return fail(r.error().with_context(to.name));
  }
  if (graph_.dead_letters) {
    plan_.dead_letters = graph_.dead_letters();
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
  epochs_ = std::make_unique<coordinator>(std::move(o), std::move(starts), clock_.now());
}

result<> execution::open_lane(unsigned lane) { return lanes_[lane]->open(); }

bool execution::step(unsigned lane, io::instant now) {
  if (lane == 0) epochs_->advance(now);
  return lanes_[lane]->step(now);
}

job_progress execution::progress() const {
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

std::vector<operator_metrics> execution::metrics() const {
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
