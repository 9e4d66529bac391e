// SPDX-License-Identifier: Apache-2.0
// For tests: brokers on loopback that keep partitions in memory, check sequences as Kafka does, and do what a
// test scripts for single requests.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/fake_messages.h"
#include "client/fake_transactions.h"
#include "io/event_loop.h"
#include "io/stream.h"
#include "io/tls.h"
#include "wire/api.h"
#include "wire/error_code.h"
#include "wire/messages/fetch.h"
#include "wire/messages/produce.h"
#include "wire/record_batch.h"
#include "wire/uuid.h"

namespace penstock::client::testing {

/// A request as a broker sees it.
struct seen_request {
  std::int32_t broker = 0;
  int connection = 0;  ///< the nth that was accepted
  wire::request_header header;
  std::string body;  ///< behind the header

  template <typename Request>
  Request as() const {
    Request r;
    wire::reader in(body);
    auto decoded = r.decode(in, header.version);
    if (!decoded) throw std::runtime_error(decoded.error().message());
    return r;
  }
};

/// What to do with a request.
struct reaction {
  enum class kind : std::uint8_t {
    answer,         ///< with `body`
    pass,           ///< what the broker would do by itself
    pass_then_cut,  ///< do it, but close the connection instead of answering
    pass_silently,  ///< do it, but never answer
    cut,            ///< close the connection, nothing done
    hold,           ///< no answer, until release_held()
  };
  kind what = kind::pass;
  std::string body;

  /// Answers with a message.
  template <typename Response>
  static reaction with(const Response& r, std::int16_t version) {
    return {kind::answer, encoded(r, version)};
  }
};

/// One partition's log: whole batches, with offsets set.
struct fake_partition {
  std::int32_t leader = 0;
  std::int32_t leader_epoch = 0;
  std::int64_t log_start = 0;
  std::int64_t end = 0;
  std::vector<std::string> batches{};
  struct producer_state {
    std::int16_t epoch = -1;
    std::int32_t next_sequence = 0;
    std::deque<std::pair<std::int32_t, std::int64_t>> last;  // base sequence -> base offset
  };
  std::map<std::int64_t, producer_state> producers{};
  std::map<std::int64_t, std::int64_t> open_transactions{};  // producer id -> first offset
  struct aborted {
    std::int64_t producer_id, first_offset, last_offset;
  };
  std::vector<aborted> aborted_transactions{};
  std::int64_t last_stable_offset() const {
    auto stable = end;
    for (const auto& [id, first] : open_transactions) stable = std::min(stable, first);
    return stable;
  }
};

class fake_cluster {
 public:
  fake_cluster(io::event_loop& loop, int brokers);
  ~fake_cluster();

  /// Frames after a SaslHandshake of version 0 have no header: `f` answers them, or hangs up with nothing.
  /// The first that gets an answer ends the authentication.
  void on_raw_frame(std::function<std::optional<std::string>(const std::string&)> f) { raw_ = std::move(f); }
  /// From the next connection on the brokers speak TLS.
  void use_tls(std::shared_ptr<const io::tls_context> context) { tls_ = std::move(context); }
  std::string bootstrap() const;
  io::endpoint address(std::int32_t broker) const;
  void add_topic(const std::string& name, std::int32_t partitions);
  fake_partition& partition(const std::string& topic, std::int32_t p) {
    return topics_.at(topic).at(static_cast<std::size_t>(p));
  }
  /// Puts a batch of records with these values into a partition.
  void append(const std::string& topic, std::int32_t p, const std::vector<std::string>& values,
              compression codec = compression::none);
  /// The values of a partition, in order.
  std::vector<std::string> values(const std::string& topic, std::int32_t p) const;
  /// What of them a read_committed consumer may see, decided here from the marks alone.
  std::vector<std::string> committed_values(const std::string& topic, std::int32_t p) const;
  void append_marker(const std::string& topic, std::int32_t p, std::int64_t producer_id, std::int16_t epoch,
                     bool commit);
  std::int64_t new_producer_id() { return next_producer_id_++; }
  void move_leader(const std::string& topic, std::int32_t p, std::int32_t to);
  /// Gives a topic an id, so that fetches name it by that; another one later means that it was made anew.
  void set_topic_id(const std::string& name, wire::uuid id) { ids_[name] = id; }
  /// Whether brokers keep fetch sessions, and forgetting those that there are.
  bool fetch_sessions = false;
  void forget_fetch_sessions() { fetch_sessions_.clear(); }
  std::size_t kept_fetch_sessions() const { return fetch_sessions_.size(); }

  /// The next request of this kind (to any broker) meets `f`; scripts of a kind are used up in their order.
  void script(wire::api_key key, std::function<reaction(const seen_request&)> f) {
    scripts_[key].push_back(std::move(f));
  }
  /// The same n times.
  void script(int times, wire::api_key key, const std::function<reaction(const seen_request&)>& f) {
    for (int i = 0; i < times; ++i) script(key, f);
  }
  /// Every request of this kind that no script takes.
  void always(wire::api_key key, std::function<reaction(const seen_request&)> f) {
    always_[key] = std::move(f);
  }
  void release_held() {
    release_held([](const seen_request&) { return true; });
  }
  /// Those that `which` names: of a connection all or none, since answers come in the order of requests.
  void release_held(const std::function<bool(const seen_request&)>& which);
  /// A request that was seen before reaches its broker, late or once more; nobody gets the answer.
  void deliver(const seen_request& r) { static_cast<void>(serve(r)); }
  std::size_t held() const { return held_.size(); }
  /// What a broker says of its versions instead of all that the codec knows.
  void limit(wire::api_key key, std::int16_t min, std::int16_t max) { limits_[key] = {min, max}; }

  /// Closes a broker's connections, and refuses new ones until it is started again at the same address.
  void stop_broker(std::int32_t broker);
  void start_broker(std::int32_t broker);

  int count(wire::api_key key) const {
    const auto it = counts_.find(key);
    return it == counts_.end() ? 0 : it->second;
  }
  int connections() const { return accepted_; }
  std::int32_t controller = 0;
  std::int32_t coordinator = 0;
  fake_transactions transactions{*this};

 private:
  struct session;
  struct broker;
  void received(const std::shared_ptr<session>& s, std::string frame);
  void reply(const std::shared_ptr<session>& s, const wire::request_header& h, std::string_view body);
  std::optional<std::string> serve(const seen_request& r);
  std::string metadata(const seen_request& r);
  std::string produce(const seen_request& r);
  wire::produce_response::partition_produce_response append_produced(std::int32_t broker,
                                                                     const std::string& topic, std::int32_t p,
                                                                     bytes_view batch,
                                                                     const std::string& transactional_id = {},
                                                                     bool implicit = false);
  std::optional<std::string> fetch(const seen_request& r, bool last_try);
  wire::error_code open_session(seen_request& r);
  std::string name_of(const wire::uuid& id) const;
  std::string list_offsets(const seen_request& r);
  void serve_waiting();

  void accepted(std::int32_t id, std::unique_ptr<io::stream> stream);

  io::event_loop& loop_;
  std::shared_ptr<const io::tls_context> tls_;
  std::function<std::optional<std::string>(const std::string&)> raw_;
  std::shared_ptr<void> alive_ = std::make_shared<char>();
  std::vector<std::unique_ptr<broker>> brokers_;
  std::map<std::string, std::vector<fake_partition>> topics_;
  std::map<wire::api_key, std::deque<std::function<reaction(const seen_request&)>>> scripts_;
  std::map<wire::api_key, std::function<reaction(const seen_request&)>> always_;
  std::map<wire::api_key, std::pair<std::int16_t, std::int16_t>> limits_;
  std::map<wire::api_key, int> counts_;
  std::vector<std::pair<std::shared_ptr<session>, seen_request>> held_;
  std::vector<std::pair<std::shared_ptr<session>, seen_request>> waiting_fetches_;
  struct fetch_session_state {
    std::int32_t epoch = 0;
    std::map<std::pair<std::string, std::int32_t>,
             std::pair<wire::uuid, wire::fetch_request::fetch_partition>>
        of;
  };
  std::map<std::int32_t, fetch_session_state> fetch_sessions_;
  std::int32_t next_session_ = 1;
  std::map<std::string, wire::uuid> ids_;
  io::timer fetch_timer_;
  std::int64_t next_producer_id_ = 1000;
  int accepted_ = 0;
};

/// Runs the loop until `done` says so; false after ten seconds.
template <typename Done>
bool run_until(io::event_loop& loop, Done done,
               std::chrono::milliseconds patience = std::chrono::seconds(10)) {
  const auto deadline = loop.time().now() + patience;
  while (!done()) {
    if (loop.time().now() >= deadline) return false;
    loop.run_some_until(deadline);
  }
  return true;
}

}  // namespace penstock::client::testing
