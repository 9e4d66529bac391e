// SPDX-License-Identifier: Apache-2.0
#include "client/fake_cluster.h"

#include <stdexcept>

#include "base/bytes.h"
#include "wire/batch_builder.h"
#include "wire/messages/api_versions.h"
#include "wire/messages/find_coordinator.h"
#include "wire/messages/init_producer_id.h"
#include "wire/messages/list_offsets.h"
#include "wire/messages/metadata.h"
#include "wire/record_cursor.h"

namespace penstock::client::testing {

using wire::api_key;
using wire::error_code;

// A connection that was accepted.
struct fake_cluster::session : std::enable_shared_from_this<fake_cluster::session> {
  session(fake_cluster& c, std::int32_t b, int n, std::unique_ptr<io::stream> s)
      : cluster(&c), broker(b), number(n), stream(std::move(s)) {}

  void read() {
    chunk.resize(64 << 10);
    stream->read_some(chunk, [self = shared_from_this()](result<std::size_t> n) {
      if (!n || self->cluster == nullptr) return;
      self->in.append(self->chunk.data(), *n);
      while (self->in.size() >= 4) {
        const auto size = static_cast<std::size_t>(base::load_be<std::int32_t>(self->in.data()));
        if (self->in.size() < 4 + size) break;
        auto frame = self->in.substr(4, size);
        self->in.erase(0, 4 + size);
        self->cluster->received(self, std::move(frame));
        if (self->cluster == nullptr || !self->stream->is_open()) return;
      }
      self->read();
    });
  }
  void send(std::string bytes) {
    out.push_back(std::move(bytes));
    flush();
  }
  void flush() {
    if (writing || out.empty() || !stream->is_open()) return;
    writing = true;
    auto bytes = std::make_shared<std::string>(std::move(out.front()));
    out.pop_front();
    stream->write({{.bytes = *bytes, .keep = bytes}}, [self = shared_from_this()](result<>) {
      self->writing = false;
      self->flush();
    });
  }

  fake_cluster* cluster;
  std::int32_t broker;
  int number;
  std::unique_ptr<io::stream> stream;
  std::string chunk, in;
  std::deque<std::string> out;
  bool writing = false;
  bool raw_next = false;
};

struct fake_cluster::broker {
  std::unique_ptr<io::listener> listener;
  io::endpoint at;
  std::vector<std::weak_ptr<session>> sessions;
};

fake_cluster::fake_cluster(io::event_loop& loop, int brokers) : loop_(loop), fetch_timer_(loop) {
  for (int id = 0; id < brokers; ++id) {
    brokers_.push_back(std::make_unique<broker>());
    brokers_.back()->at = {"127.0.0.1", 0};
    start_broker(id);
  }
}

fake_cluster::~fake_cluster() {
  for (std::size_t id = 0; id < brokers_.size(); ++id) stop_broker(static_cast<std::int32_t>(id));
}

void fake_cluster::start_broker(std::int32_t id) {
  auto& b = *brokers_.at(static_cast<std::size_t>(id));
  auto listener = io::listen(loop_, b.at, [this, id](std::unique_ptr<io::stream> stream) {
    ++accepted_;
    if (tls_ == nullptr) return accepted(id, std::move(stream));
    io::accept_tls(loop_, std::move(stream), tls_, std::chrono::seconds(5),
                   [this, id, alive = std::weak_ptr<void>(alive_)](auto secured) {
                     if (!alive.expired() && secured) accepted(id, std::move(*secured));
                   });
  });
  if (!listener) throw std::runtime_error(listener.error().message());
  b.listener = std::move(*listener);
  b.at = b.listener->local();
}

void fake_cluster::accepted(std::int32_t id, std::unique_ptr<io::stream> stream) {
  auto s = std::make_shared<session>(*this, id, accepted_, std::move(stream));
  brokers_.at(static_cast<std::size_t>(id))->sessions.push_back(s);
  s->read();
}

void fake_cluster::stop_broker(std::int32_t id) {
  auto& b = *brokers_.at(static_cast<std::size_t>(id));
  if (b.listener) b.listener->close();
  b.listener.reset();
  for (auto& weak : b.sessions) {
    if (auto s = weak.lock()) {
      s->cluster = nullptr;
      s->stream->close();
    }
  }
  b.sessions.clear();
}

io::endpoint fake_cluster::address(std::int32_t id) const {
  return brokers_.at(static_cast<std::size_t>(id))->at;
}
std::string fake_cluster::bootstrap() const { return io::to_string(address(0)); }

void fake_cluster::add_topic(const std::string& name, std::int32_t partitions) {
  auto& t = topics_[name];
  t.resize(static_cast<std::size_t>(partitions));
  for (std::size_t p = 0; p < t.size(); ++p) t[p].leader = static_cast<std::int32_t>(p % brokers_.size());
}

void fake_cluster::move_leader(const std::string& topic, std::int32_t p, std::int32_t to) {
  auto& part = partition(topic, p);
  part.leader = to;
  ++part.leader_epoch;
}

void fake_cluster::append(const std::string& topic, std::int32_t p, const std::vector<std::string>& values,
                          compression codec) {
  auto& part = partition(topic, p);
  wire::batch_builder b;
  for (const auto& v : values) b.append({}, v, 1'700'000'000'000);
  auto sealed = b.seal({.codec = codec});
  std::string batch(*sealed);
  wire::set_base_offset(batch.data(), part.end);
  part.end += static_cast<std::int64_t>(values.size());
  part.batches.push_back(std::move(batch));
  serve_waiting();
}

std::vector<std::string> fake_cluster::values(const std::string& topic, std::int32_t p) const {
  std::vector<std::string> all;
  for (const auto& batch : topics_.at(topic).at(static_cast<std::size_t>(p)).batches) {
    const auto header = wire::parse_batch_header(batch);
    if (header->control()) continue;
    wire::scratch_buffer scratch;
    auto cursor = wire::open_records(*header, batch, scratch);
    record_view r;
    while (cursor->next(r)) all.emplace_back(r.value);
  }
  return all;
}

std::vector<std::string> fake_cluster::committed_values(const std::string& topic, std::int32_t p) const {
  std::vector<std::string> visible;
  std::map<std::int64_t, std::vector<std::string>> open;
  for (const auto& batch : topics_.at(topic).at(static_cast<std::size_t>(p)).batches) {
    const auto header = wire::parse_batch_header(batch);
    wire::scratch_buffer scratch;
    auto cursor = wire::open_records(*header, batch, scratch);
    record_view r;
    while (cursor->next(r)) {
      if (!header->control()) {
        (header->transactional() ? open[header->producer_id] : visible).emplace_back(r.value);
        continue;
      }
      auto& ended = open[header->producer_id];
      if (wire::parse_marker(r)->type == wire::marker_type::commit)
        visible.insert(visible.end(), ended.begin(), ended.end());
      ended.clear();
    }
  }
  return visible;
}

void fake_cluster::append_marker(const std::string& topic, std::int32_t p, std::int64_t producer_id,
                                 std::int16_t epoch, bool commit) {
  auto& part = partition(topic, p);
  wire::scratch_buffer bytes;
  wire::append_marker_batch({commit ? wire::marker_type::commit : wire::marker_type::abort, 0}, producer_id,
                            epoch, 1'700'000'000'000, 0, bytes);
  std::string batch(bytes.data(), bytes.size());
  wire::set_base_offset(batch.data(), part.end);
  if (const auto open = part.open_transactions.find(producer_id); open != part.open_transactions.end()) {
    if (!commit) part.aborted_transactions.push_back({producer_id, open->second, part.end});
    part.open_transactions.erase(open);
  }
  auto& state = part.producers[producer_id];
  if (epoch > state.epoch) state = {.epoch = epoch, .next_sequence = 0, .last = {}};
  part.end += 1;
  part.batches.push_back(std::move(batch));
  serve_waiting();
}

void fake_cluster::received(const std::shared_ptr<session>& s, std::string frame) {
  if (std::exchange(s->raw_next, false) && raw_) {
    const auto answer = raw_(frame);
    if (!answer) return s->stream->close();
    std::string bytes(4, '\0');
    base::store_be(bytes.data(), static_cast<std::int32_t>(answer->size()));
    return s->send(bytes + *answer);
  }
  seen_request r;
  r.broker = s->broker;
  r.connection = s->number;
  wire::reader in(frame);
  if (!r.header.decode(in)) {
    s->stream->close();
    return;
  }
  r.body = in.rest();
  s->raw_next = r.header.key == api_key::sasl_handshake && r.header.version == 0;
  ++counts_[r.header.key];
  reaction what;
  auto& scripted = scripts_[r.header.key];
  if (!scripted.empty()) {
    auto f = std::move(scripted.front());
    scripted.pop_front();
    what = f(r);
  } else if (const auto it = always_.find(r.header.key); it != always_.end()) {
    what = it->second(r);
  }
  switch (what.what) {
    case reaction::kind::answer: return reply(s, r.header, what.body);
    case reaction::kind::cut: s->stream->close(); return;
    case reaction::kind::hold: held_.emplace_back(s, std::move(r)); return;
    case reaction::kind::pass_silently: static_cast<void>(serve(r)); return;
    case reaction::kind::pass_then_cut:
      static_cast<void>(serve(r));
      s->stream->close();
      return;
    case reaction::kind::pass: break;
  }
  if (r.header.key == api_key::fetch && fetch_sessions) {
    if (const auto wrong = open_session(r); wrong != error_code::none) {
      wire::fetch_response a;
      a.error_code = code(wrong);
      return reply(s, r.header, encoded(a, r.header.version));
    }
  }
  auto answer = serve(r);
  if (answer)
    reply(s, r.header, *answer);
  else if (r.header.key == api_key::fetch)
    waiting_fetches_.emplace_back(s, std::move(r));
}

void fake_cluster::release_held(const std::function<bool(const seen_request&)>& which) {
  for (auto& [s, r] : std::exchange(held_, {})) {
    if (!which(r))
      held_.emplace_back(s, std::move(r));
    else if (auto answer = serve(r))
      reply(s, r.header, *answer);
  }
}

void fake_cluster::reply(const std::shared_ptr<session>& s, const wire::request_header& h,
                         std::string_view body) {
  std::string bytes;
  wire::writer w(bytes);
  const wire::frame_writer frame(w);
  wire::response_header{h.correlation_id}.encode(w, h.key, h.version);
  w.raw(body);
  static_cast<void>(frame.end());
  s->send(std::move(bytes));
}

// What a broker does by itself; nothing for a request without an answer (yet).
std::optional<std::string> fake_cluster::serve(const seen_request& r) {
  const auto version = r.header.version;
  switch (r.header.key) {
    case api_key::api_versions: {
      wire::api_versions_response a;
      for (const auto& api : wire::api_table) {
        auto [min, max] = std::pair{api.min_version, api.max_version};
        if (const auto it = limits_.find(api.key); it != limits_.end()) std::tie(min, max) = it->second;
        a.api_keys.push_back({static_cast<std::int16_t>(api.key), min, max});
      }
      if (transactions.version >= 2) {
        a.finalized_features_epoch = 1;
        a.finalized_features.push_back({"transaction.version", 2, 2});
      }
      return encoded(a, version);
    }
    case api_key::metadata: return metadata(r);
    case api_key::produce: {
      const bool silent = r.as<wire::produce_request>().acks == 0;
      auto answer = produce(r);
      serve_waiting();
      return silent ? std::nullopt : std::optional(std::move(answer));
    }
    case api_key::fetch: return fetch(r, false);
    case api_key::list_offsets: return list_offsets(r);
    case api_key::add_partitions_to_txn:
    case api_key::add_offsets_to_txn:
    case api_key::end_txn:
    case api_key::describe_transactions:
    case api_key::txn_offset_commit: return transactions.answer(r);
    case api_key::init_producer_id: {
      if (r.as<wire::init_producer_id_request>().transactional_id) return transactions.answer(r);
      wire::init_producer_id_response a;
      a.producer_id = next_producer_id_++;
      a.producer_epoch = 0;
      return encoded(a, version);
    }
    case api_key::find_coordinator: {
      wire::find_coordinator_response a;
      const auto at = address(coordinator);
      const auto ask = r.as<wire::find_coordinator_request>();
      if (version >= 4) {
        for (const auto& key : ask.coordinator_keys)
          a.coordinators.push_back({key, coordinator, at.host, at.port, 0, std::nullopt});
      } else {
        a.node_id = coordinator;
        a.host = at.host;
        a.port = at.port;
      }
      return encoded(a, version);
    }
    default:
      throw std::runtime_error("the fake broker has no answer to " +
                               std::string(wire::to_string(r.header.key)));
  }
}

std::string fake_cluster::metadata(const seen_request& r) {
  const auto ask = r.as<wire::metadata_request>();
  wire::metadata_response a;
  for (std::size_t id = 0; id < brokers_.size(); ++id)
    a.brokers.push_back(
        {static_cast<std::int32_t>(id), brokers_[id]->at.host, brokers_[id]->at.port, std::nullopt});
  a.controller_id = controller;
  const auto describe = [&](const std::string& name) {
    auto& t = a.topics.emplace_back();
    t.name = name;
    if (const auto id = ids_.find(name); id != ids_.end()) t.topic_id = id->second;
    const auto it = topics_.find(name);
    if (it == topics_.end()) {
      t.error_code = code(error_code::unknown_topic_or_partition);
      return;
    }
    for (std::size_t p = 0; p < it->second.size(); ++p) {
      auto& out = t.partitions.emplace_back();
      out.partition_index = static_cast<std::int32_t>(p);
      out.leader_id = it->second[p].leader;
      out.leader_epoch = it->second[p].leader_epoch;
      if (out.leader_id < 0) out.error_code = code(error_code::leader_not_available);
    }
  };
  if (!ask.topics) {
    for (const auto& [name, t] : topics_) describe(name);
  } else {
    for (const auto& t : *ask.topics) describe(t.name.value_or(std::string()));
  }
  return encoded(a, r.header.version);
}

wire::produce_response::partition_produce_response fake_cluster::append_produced(
    std::int32_t broker, const std::string& topic, std::int32_t p, bytes_view batch, const std::string& id,
    bool implicit) {
  wire::produce_response::partition_produce_response out;
  out.index = p;
  out.base_offset = -1;
  const auto it = topics_.find(topic);
  if (it == topics_.end() || static_cast<std::size_t>(p) >= it->second.size()) {
    out.error_code = code(error_code::unknown_topic_or_partition);
    return out;
  }
  auto& part = it->second[static_cast<std::size_t>(p)];
  if (part.leader != broker) {
    out.error_code = code(error_code::not_leader_or_follower);
    return out;
  }
  const auto header = wire::parse_batch_header(batch);
  if (!header || !wire::crc_matches(batch)) {
    out.error_code = code(error_code::corrupt_message);
    return out;
  }
  if (header->has_producer()) {
    if (header->transactional()) {
      if (const auto verdict = transactions.check_batch(*header, topic, p, id, implicit);
          verdict != error_code::none) {
        out.error_code = code(verdict);
        return out;
      }
    }
    auto& state = part.producers[header->producer_id];
    if (header->producer_epoch == state.epoch)
      for (const auto& [sequence, offset] : state.last)
        if (sequence == header->base_sequence) {
          out.base_offset = offset;  // a duplicate
          return out;
        }
    if (header->producer_epoch < state.epoch) {
      out.error_code = code(error_code::invalid_producer_epoch);
      return out;
    }
    const bool first = header->producer_epoch > state.epoch;
    // A producer that the partition does not know may begin with any sequence, as in Kafka.
    const bool any = state.epoch < 0;
    if (!any && header->base_sequence != (first ? 0 : state.next_sequence)) {
      out.error_code = code(error_code::out_of_order_sequence_number);
      return out;
    }
    if (first) state.last.clear();
    state.epoch = header->producer_epoch;
    state.next_sequence = wire::add_sequence(header->base_sequence, header->record_count);
    state.last.emplace_back(header->base_sequence, part.end);
    if (state.last.size() > 5) state.last.pop_front();
  }
  if (header->transactional()) part.open_transactions.emplace(header->producer_id, part.end);
  out.base_offset = part.end;
  std::string kept(batch);
  wire::set_base_offset(kept.data(), part.end);
  part.end += header->last_offset_delta + 1;
  part.batches.push_back(std::move(kept));
  return out;
}

std::string fake_cluster::produce(const seen_request& r) {
  const auto ask = r.as<wire::produce_request>();
  wire::produce_response a;
  for (const auto& t : ask.topic_data) {
    auto& out = a.responses.emplace_back();
    out.name = t.name;
    for (const auto& p : t.partition_data)
      out.partition_responses.push_back(append_produced(r.broker, t.name, p.index, p.records.bytes,
                                                        ask.transactional_id.value_or(std::string()),
                                                        r.header.version >= 12));
  }
  return encoded(a, r.header.version);
}

std::string fake_cluster::name_of(const wire::uuid& id) const {
  for (const auto& [name, known] : ids_)
    if (known == id) return name;
  return {};
}

// Completes a request by what its session knows already.
wire::error_code fake_cluster::open_session(seen_request& r) {
  auto ask = r.as<wire::fetch_request>();
  if (ask.session_epoch < 0) {
    fetch_sessions_.erase(ask.session_id);
    return error_code::none;
  }
  if (ask.session_epoch == 0) {
    fetch_sessions_.erase(ask.session_id);
    ask.session_id = next_session_++;
    fetch_sessions_[ask.session_id];
  }
  const auto it = fetch_sessions_.find(ask.session_id);
  if (it == fetch_sessions_.end()) return error_code::fetch_session_id_not_found;
  auto& session = it->second;
  if (ask.session_epoch != session.epoch++) return error_code::invalid_fetch_session_epoch;
  const auto name = [&](const auto& t) { return t.topic.empty() ? name_of(t.topic_id) : t.topic; };
  for (const auto& t : ask.topics)
    for (const auto& p : t.partitions) session.of[{name(t), p.partition}] = {t.topic_id, p};
  // In Kafka's order: what is forgotten goes even if the same request named it.
  for (const auto& t : ask.forgotten_topics_data)
    for (const auto p : t.partitions) session.of.erase({name(t), p});
  ask.topics.clear();
  ask.forgotten_topics_data.clear();
  for (const auto& [key, p] : session.of) ask.topics.push_back({key.first, p.first, {p.second}});
  r.body = encoded(ask, r.header.version);
  return error_code::none;
}

std::optional<std::string> fake_cluster::fetch(const seen_request& r, bool last_try) {
  auto ask = r.as<wire::fetch_request>();
  for (auto& t : ask.topics)
    if (t.topic.empty()) t.topic = name_of(t.topic_id);
  wire::fetch_response a;
  if (fetch_sessions && ask.session_epoch >= 0) a.session_id = ask.session_id;
  std::deque<std::string> kept;
  std::size_t bytes = 0;
  bool failed = false;
  for (const auto& t : ask.topics) {
    auto& topic = a.responses.emplace_back();
    topic.topic = t.topic;
    topic.topic_id = t.topic_id;
    for (const auto& p : t.partitions) {
      auto& out = topic.partitions.emplace_back();
      out.partition_index = p.partition;
      if (!topics_.contains(t.topic)) {
        out.error_code = code(error_code::unknown_topic_id);
        failed = true;
        continue;
      }
      const auto& part = partition(t.topic, p.partition);
      out.high_watermark = part.end;
      out.last_stable_offset = part.last_stable_offset();
      const bool committed_only = ask.isolation_level == 1;
      const auto bound = committed_only ? out.last_stable_offset : part.end;
      if (committed_only) out.aborted_transactions.emplace();
      out.records.null = false;
      if (part.leader != r.broker)
        out.error_code = code(error_code::not_leader_or_follower);
      else if (p.fetch_offset < part.log_start || p.fetch_offset > part.end)
        out.error_code = code(error_code::offset_out_of_range);
      if (out.error_code != 0) {
        failed = true;
        continue;
      }
      auto& records = kept.emplace_back();
      for (const auto& batch : part.batches) {
        const auto header = wire::parse_batch_header(batch);
        if (header->next_offset() <= p.fetch_offset) continue;
        if (header->base_offset >= bound) break;
        if (bytes > 0 && records.size() + batch.size() > static_cast<std::size_t>(p.partition_max_bytes))
          break;
        if (bytes > 0 && bytes + batch.size() > static_cast<std::size_t>(ask.max_bytes)) break;
        records += batch;
        bytes += batch.size();
      }
      out.records.bytes = records;
      if (committed_only)
        for (const auto& t : part.aborted_transactions)
          if (t.last_offset >= p.fetch_offset && t.first_offset < bound)
            out.aborted_transactions->push_back({t.producer_id, t.first_offset});
    }
  }
  if (bytes == 0 && !failed && !last_try && ask.max_wait_ms > 0) {
    if (!fetch_timer_.armed())
      fetch_timer_.arm(std::chrono::milliseconds(ask.max_wait_ms), [this] {
        for (auto& [s, w] : std::exchange(waiting_fetches_, {}))
          if (auto answer = fetch(w, true)) reply(s, w.header, *answer);
      });
    return std::nullopt;
  }
  if (a.session_id != 0 && ask.session_epoch > 0) {
    for (auto& t : a.responses)
      std::erase_if(t.partitions, [](const auto& p) { return p.error_code == 0 && p.records.bytes.empty(); });
    std::erase_if(a.responses, [](const auto& t) { return t.partitions.empty(); });
  }
  return encoded(a, r.header.version);
}

void fake_cluster::serve_waiting() {
  auto waiting = std::exchange(waiting_fetches_, {});
  for (auto& [s, r] : waiting) {
    if (auto answer = fetch(r, false))
      reply(s, r.header, *answer);
    else
      waiting_fetches_.emplace_back(s, std::move(r));
  }
}

std::string fake_cluster::list_offsets(const seen_request& r) {
  const auto ask = r.as<wire::list_offsets_request>();
  wire::list_offsets_response a;
  for (const auto& t : ask.topics) {
    auto& topic = a.topics.emplace_back();
    topic.name = t.name;
    for (const auto& p : t.partitions) {
      auto& out = topic.partitions.emplace_back();
      out.partition_index = p.partition_index;
      const auto& part = partition(t.name, p.partition_index);
      if (part.leader != r.broker)
        out.error_code = code(error_code::not_leader_or_follower);
      else
        out.offset = p.timestamp == -2 ? part.log_start : part.end;
    }
  }
  return encoded(a, r.header.version);
}

}  // namespace penstock::client::testing
