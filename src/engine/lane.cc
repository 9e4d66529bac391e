// SPDX-License-Identifier: Apache-2.0
#include "engine/lane.h"

#include <penstock/dead_letter.h>

#include <algorithm>
#include <utility>

#include "io/failpoint.h"

namespace penstock::engine {
namespace {

constexpr std::uint64_t first_epoch = 1;

/// Every operator that records pushed into `from` reach on this lane.
std::vector<detail::op*> reach_of(detail::op& from) {
  std::vector<detail::op*> found{&from};
  for (std::size_t i = 0; i < found.size(); ++i) {
    for (detail::op* next : found[i]->downstream()) {
      if (std::find(found.begin(), found.end(), next) == found.end()) found.push_back(next);
    }
  }
  return found;
}

}  // namespace

lane::lane(job_plan& plan, coordinator& epochs, lane_context context)
    : plan_(plan), epochs_(epochs), context_(std::move(context)) {}

lane::~lane() = default;

result<> lane::open() {
  wall_ms_ = context_.clock.wall_ms();
  if (result<> r = io::failpoint("lane.open"); !r) return r;
  context_.transactions = plan_.transactions.get();
  if (plan_.transactions != nullptr) {
    auto opened = plan_.transactions->open_lane(context_);
    if (!opened) return penstock::fail(std::move(opened.error()));
    kept_ = std::move(*opened);
  }
  if (plan_.dead_letters != nullptr) {
    auto writer = plan_.dead_letters->open_writer(context_);
    if (!writer) return penstock::fail(writer.error().with_context(plan_.graph->dead_letters_name));
    dead_letters_ = std::move(*writer);
  }
  make_operators();
  connect_operators();
  leave_out_what_nobody_reads();
  for (std::size_t n = 0; n < operators_.size(); ++n) {
    result<> r = tables_[n] != nullptr ? tables_[n]->open(*this) : operators_[n]->open(*this);
    if (r && relays_[n] != nullptr) r = relays_[n]->open(*this);
    if (!r) return penstock::fail(r.error().with_context(plan_.graph->nodes[n].name));
  }
  if (result<> r = io::failpoint("restore.before"); !r) return r;
  if (result<> r = restore_state(); !r) return r;
  if (result<> r = io::failpoint("restore.after"); !r) return r;
  if (result<> r = make_drivers(); !r) return r;
  opened_.store(true, std::memory_order_release);
  return {};
}

result<> lane::restore_state() {
  if (kept_ == nullptr) return {};
  for (std::size_t i = 0; i < plan_.kept_nodes.size(); ++i) {
    states_.push_back(operators_[plan_.kept_nodes[i]]->durable());
    if (result<> r = restore_operator(i); !r)
      return penstock::fail(r.error().with_context(plan_.graph->nodes[plan_.kept_nodes[i]].name));
  }
  if (plan_.restored != nullptr) plan_.restored->lane_done(plan_.info.lanes);
  return {};
}

result<> lane::restore_operator(std::size_t index) {
  detail::durable_state& state = *states_[index];
  state.note_changes();
  result<> done = kept_->restore(
      index,
      [&](std::uint32_t partition, std::string_view row, std::string_view value) {
        const bool mine = partition >= detail::key_partitions ||
                          detail::lane_of_key(partition, plan_.info.lanes) == context_.lane;
        return !mine || state.restore(partition, row, value);
      },
      [&](const restore_progress& p) {
        plan_.restored->note(context_.lane, index, p);
        return !epochs_.stop_requested() && !epochs_.over();
      });
  if (!done) return done;
  if (result<> r = io::failpoint("restore.operator"); !r) return r;
  state.restored();
  return {};
}

void lane::make_operators() {
  const auto& nodes = plan_.graph->nodes;
  operators_.resize(nodes.size());
  tables_.resize(nodes.size());
  relays_.resize(nodes.size());
  for (std::uint32_t n = 0; n < nodes.size(); ++n) {
    const detail::node& from = nodes[n];
    const error_policy policy = plan_.graph->policy_of(from);
    if (from.make_table) {
      tables_[n] = from.make_table();
      tables_[n]->set_identity(n, from.name, policy, first_epoch);
      continue;
    }
    operators_[n] = from.make();
    operators_[n]->set_identity(n, from.name, policy, first_epoch);
    if (from.make_relay && plan_.info.lanes > 1) {
      relays_[n] = from.make_relay();
      relays_[n]->set_identity(n, from.name, policy, first_epoch);
    }
  }
}

void lane::connect_operators() {
  for (std::uint32_t n = 0; n < operators_.size(); ++n) {
    if (relays_[n] != nullptr) connect_exchange(n);
    std::size_t index = 0;
    for (const detail::edge& in : plan_.graph->nodes[n].inputs) {
      detail::op& to = operators_[n]->port(index++);
      if (relays_[in.node] != nullptr) {
        relays_[in.node]->connect(in.outlet, to);
      } else {
        operators_[in.node]->connect(in.outlet, to);
      }
    }
  }
}

void lane::leave_out_what_nobody_reads() {
  for (std::uint32_t n = 0; n < operators_.size(); ++n) {
    if (!plan_.graph->nodes[n].make_relay) continue;
    const auto& consumers = relays_[n] != nullptr ? relays_[n]->downstream() : operators_[n]->downstream();
    if (consumers.empty()) continue;
    detail::reading read = consumers.front()->reads();
    for (const detail::op* to : consumers) read = read | to->reads();
    dynamic_cast<detail::partitioning_op&>(*operators_[n]).leave_out_unread(read);
  }
}

void lane::connect_exchange(std::uint32_t node) {
  const unsigned lanes = plan_.info.lanes;
  std::vector<detail::exchange_sender*> targets;
  std::vector<exchange_channel*> arrivals;
  for (unsigned other = 0; other < lanes; ++other) {
    exchange_channel* out = plan_.channels[node][context_.lane * lanes + other].get();
    targets.push_back(out);
    outgoing_.push_back(out);
    arrivals.push_back(plan_.channels[node][other * lanes + context_.lane].get());
  }
  dynamic_cast<detail::partitioning_op&>(*operators_[node]).connect_exchange(std::move(targets));
  receivers_.push_back(std::make_unique<receiver>(*relays_[node], std::move(arrivals)));
}

result<> lane::make_drivers() {
  for (auto& r : receivers_) r->set_reach(reach_of(r->entry()));
  for (std::uint32_t n = 0; n < operators_.size(); ++n) {
    if (!plan_.graph->nodes[n].source) continue;
    if (result<> r = tables_[n] != nullptr ? make_table(n) : make_source(n); !r)
      return penstock::fail(r.error().with_context(plan_.graph->nodes[n].name));
  }
  last_commit_.resize(sources_.size());
  return {};
}

result<> lane::make_source(std::uint32_t node) {
  const job_source& from = plan_.sources[*plan_.graph->nodes[node].source];
  auto& into = dynamic_cast<detail::source_op&>(*operators_[node]);
  auto task =
      std::make_unique<source_task>(into, from.watermarks, from.restored.watermark, from.restored.idle);
  for (std::uint32_t i = 0; i < from.splits.size(); ++i) {
    if (!owns(i)) continue;
    if (result<> r = into.assign(i, from.splits[i]); !r) return r;
    const auto time = plan_.transactions == nullptr ? std::nullopt : decode_time(from.splits[i].metadata);
    task->add(i, from.splits[i].start, time ? time->split : min_watermark, context_.clock.now());
  }
  task->set_reach(reach_of(into));
  if (!from.places.empty())
    task->align(plan_.alignment.at(from.watermarks.align_with), from.places[context_.lane]);
  if (sources_.size() <= from.stream_number) sources_.resize(from.stream_number + 1);
  sources_[from.stream_number] = std::move(task);
  return {};
}

result<> lane::make_table(std::uint32_t node) {
  const job_source& from = plan_.sources[*plan_.graph->nodes[node].source];
  auto task = std::make_unique<table_task>(*tables_[node]);
  for (std::uint32_t i = 0; i < from.splits.size(); ++i) {
    if (result<> r = tables_[node]->assign(i, from.splits[i]); !r) return r;
    task->add(i, from.splits[i]);
  }
  table_tasks_.push_back(std::move(task));
  return {};
}

result<std::unique_ptr<source_reader>> lane::open_reader(std::uint32_t node) {
  return plan_.sources[*plan_.graph->nodes[node].source].connector->open_reader(context_);
}

result<std::unique_ptr<sink_writer>> lane::open_writer(std::uint32_t node) {
  return plan_.sinks[node]->open_writer(context_);
}

void lane::save(detail::durable_state& state) {
  if (kept_ == nullptr) return;
  const auto at = std::find(states_.begin(), states_.end(), &state);
  if (at == states_.end() || !passes("state.save.before")) return;
  state.save_changes(kept_->log(static_cast<std::size_t>(at - states_.begin())));
  passes("state.save.after");
}

bool lane::passes(const char* step) {
  result<> r = io::failpoint(step);
  if (!r) fail(std::move(r.error()));
  return r.has_value();
}

void* lane::table(std::uint32_t node) { return tables_[node]->data(); }

bool lane::step(io::instant now) {
  if (epochs_.over()) return false;
  wall_ms_ = context_.clock.wall_ms();
  if (!passes("lane.step")) return false;
  bool worked = false;
  for (exchange_channel* c : outgoing_) worked |= c->flush();
  if (const std::uint64_t e = epochs_.barrier_wanted(); e > barrier_sent_) {
    let_barrier_in(e);
    worked = true;
  }
  if (const std::uint64_t e = epochs_.commit_wanted(); e > commit_begun_) {
    begin_commit(e);
    worked = true;
  }
  worked |= step_tables(now);
  if (tables_loaded_ && (dead_letters_ == nullptr || dead_letters_->ready()) &&
      (kept_ == nullptr || kept_->ready())) {
    if (wall_ms_ >= next_wake_) worked |= step_timers();
    worked |= step_drivers(now);
  }
  return worked;
}

void lane::wake_at(detail::op& who, std::int64_t ms) {
  std::erase_if(wakes_, [&](const wake& w) { return w.who == &who; });
  if (ms != max_watermark) wakes_.push_back({&who, ms});
  next_wake_ = max_watermark;
  for (const wake& w : wakes_) next_wake_ = std::min(next_wake_, w.at_ms);
}

bool lane::step_timers() {
  bool worked = false;
  for (std::size_t i = 0; i < wakes_.size() && !failed();) {
    if (wakes_[i].at_ms > wall_ms_ || wakes_[i].who->blocked_below()) {
      ++i;
      continue;
    }
    detail::op& who = *wakes_[i].who;
    wake_at(who, max_watermark);
    who.on_processing_time(wall_ms_);
    worked = true;
    i = 0;  // it may have asked again
  }
  return worked;
}

bool lane::step_tables(io::instant) {
  bool worked = false;
  bool loaded = true;
  for (auto& t : table_tasks_) {
    auto read = t->step();
    if (!read) {
      fail(std::move(read.error()));
      return false;
    }
    worked |= *read;
    loaded &= t->loaded();
  }
  if (loaded && !std::exchange(tables_loaded_, true)) worked = true;
  return worked;
}

bool lane::step_drivers(io::instant now) {
  bool worked = false;
  for (auto& r : receivers_) worked |= r->step(now);
  bool ended = true;
  for (auto& s : sources_) {
    worked |= s->step(now);
    if (auto e = s->take_error()) {
      fail(e->with_context(s->entry().name()));
      return false;
    }
    if (!worked) worked |= s->check_idle(now);
    ended &= s->ended();
  }
  if (ended && !std::exchange(end_told_, true)) {
    epochs_.input_ended(context_.lane);
    worked = true;
  }
  return worked;
}

void lane::let_barrier_in(std::uint64_t epoch) {
  if (!passes("barrier.before")) return;
  barrier_sent_ = epoch;
  report_ = {};
  report_.oldest_live = epoch + 1;
  // One for each operator, and one that is ours: the report waits until every source has spoken.
  acknowledgements_due_ = 1;
  for (std::size_t n = 0; n < operators_.size(); ++n)
    acknowledgements_due_ += (operators_[n] != nullptr ? 1u : 0u) + (relays_[n] != nullptr ? 1u : 0u);
  const bool last = epochs_.stopping();
  for (auto& s : sources_) {
    if (last) s->stop();
    report_.sources.push_back(s->barrier(epoch));
  }
  if (!passes("barrier.after")) return;
  acknowledge(epoch, epoch + 1);
}

void lane::acknowledge(std::uint64_t epoch, std::uint64_t oldest_live) {
  if (epoch != barrier_sent_)
    return fail(error(errc::internal, "an operator answered for an epoch that is not open"));
  report_.oldest_live = std::min(report_.oldest_live, oldest_live);
  if (!passes("operator.acknowledged") || --acknowledgements_due_ != 0) return;
  all_acknowledged(epoch);
}

void lane::all_acknowledged(std::uint64_t epoch) {
  if (!passes("lane.acknowledged")) return;
  if (dead_letters_ == nullptr) return seal_state(epoch);
  // After every operator's barrier: nothing of this epoch is written any more.
  dead_letters_->flush([this, epoch](result<> r) {
    if (!r) return fail(r.error().with_context(plan_.graph->dead_letters_name));
    seal_state(epoch);
  });
  letters_epoch_ = epoch + 1;
  for (const early_letter& l : std::exchange(early_letters_, {})) {
    std::vector<record_header> headers;
    for (const auto& [key, value] : l.headers)
      headers.push_back({key, value ? std::string_view(*value) : std::string_view()});
    outgoing letter;
    if (l.key) letter.key = *l.key;
    if (l.value) letter.value = *l.value;
    letter.timestamp_ms = l.timestamp_ms;
    write_letter(headers, letter);
  }
}

void lane::seal_state(std::uint64_t) {
  if (kept_ == nullptr) return epochs_.report(context_.lane, std::move(report_));
  if (!passes("state.flush.before")) return;
  kept_->flush([this](result<> r) {
    if (!r) return fail(std::move(r.error()));
    if (!passes("state.flush.after")) return;
    epochs_.report(context_.lane, std::move(report_));
  });
}

void lane::dead_letter(const detail::record_origin& origin, const std::string& name, const char* step,
                       const std::string& cause, std::uint64_t epoch) {
  const std::string partition = origin.from == nullptr ? "" : std::to_string(origin.from->partition);
  const std::string offset = std::to_string(origin.offset);
  std::vector<record_header> headers{{dead_letter::operator_header, name},
                                     {dead_letter::step_header, step},
                                     {dead_letter::error_header, cause}};
  if (origin.from != nullptr) {
    headers.push_back({dead_letter::topic_header, origin.from->topic});
    headers.push_back({dead_letter::partition_header, partition});
    headers.push_back({dead_letter::offset_header, offset});
  }
  if (origin.record == nullptr) headers.push_back({dead_letter::record_header, "not kept"});
  outgoing letter;
  if (origin.record != nullptr) {
    // Behind those of the letter, so that whoever writes the record again knows them apart.
    for (const record_header& h : origin.record->headers) headers.push_back(h);
    letter.key = origin.record->key;
    letter.value = origin.record->value;
    letter.timestamp_ms = origin.record->timestamp_ms;
  }
  if (epoch <= letters_epoch_) return write_letter(headers, letter);
  // This operator has let the barrier pass, others of the lane have not.
  early_letter& early = early_letters_.emplace_back();
  if (letter.key.data() != nullptr) early.key = std::string(letter.key);
  if (letter.value.data() != nullptr) early.value = std::string(letter.value);
  early.timestamp_ms = letter.timestamp_ms;
  for (const record_header& h : headers) {
    auto& kept = early.headers.emplace_back(h.key, std::nullopt);
    if (h.value.data() != nullptr) kept.second = h.value;
  }
}

void lane::write_letter(std::span<const record_header> headers, const outgoing& about) {
  outgoing letter = about;
  letter.headers = headers;
  if (result<> r = dead_letters_->write({&letter, 1}); !r)
    fail(r.error().with_context(plan_.graph->dead_letters_name));
}

void lane::begin_commit(std::uint64_t epoch) {
  commit_begun_ = epoch;
  commits_due_ = 1;
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    coordinator::source_plan plan = epochs_.plan(i);
    std::vector<split_commit> changed;
    for (std::uint32_t s = 0; s < plan.positions.size(); ++s) {
      if (!owns(s)) continue;
      const auto& before = last_commit_[i];
      if (!before.positions.empty() && before.positions[s] == plan.positions[s] &&
          before.metadata == plan.metadata)
        continue;
      changed.push_back({s, plan.positions[s], plan.metadata});
    }
    last_commit_[i] = std::move(plan);
    if (changed.empty()) continue;
    ++commits_due_;
    sources_[i]->source().commit(std::move(changed), [this](result<> r) { commit_part_done(std::move(r)); });
  }
  commit_part_done({});
}

void lane::commit_part_done(result<> r) {
  if (!r) return fail(r.error().with_context("committing the positions"));
  if (--commits_due_ == 0) epochs_.committed(context_.lane);
}

std::uint64_t lane::records_read(std::size_t stream_number) const {
  return opened_.load(std::memory_order_acquire) ? sources_[stream_number]->records_read() : 0;
}

const detail::op_counters* lane::counters(std::uint32_t node) const {
  if (!opened_.load(std::memory_order_acquire)) return nullptr;
  return tables_[node] != nullptr ? &tables_[node]->counters() : &operators_[node]->counters();
}

}  // namespace penstock::engine
