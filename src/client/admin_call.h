// SPDX-License-Identifier: Apache-2.0
// What the operations of an admin client are made of: a request to the right broker, repeated while errors
// pass; the same to several brokers; the same for partitions by their leaders. Nothing here waits.
#pragma once

#include <penstock/kafka/types.h>
#include <penstock/result.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_function.h"
#include "client/cluster.h"
#include "client/coordinator.h"
#include "wire/error_code.h"
#include "wire/messages/metadata.h"

namespace penstock::client {

template <typename T>
using done_with = unique_function<void(result<T>)>;
/// Each thing's own result, in the order asked.
template <typename T = void>
using each = std::vector<result<T>>;

/// Who is to answer.
struct route {
  enum class to : std::uint8_t { any, controller, broker, group, transaction };
  to whom = to::any;
  std::int32_t id = any_broker;  ///< of the broker
  std::string key{};             ///< the group or transactional id whose coordinator it is

  static route controller() { return {to::controller}; }
  static route broker(std::int32_t id) { return {to::broker, id}; }
  static route group(std::string id) { return {to::group, any_broker, std::move(id)}; }
  static route transaction(std::string id) { return {to::transaction, any_broker, std::move(id)}; }
};

/// How a request is seen through.
struct call_plan {
  route to{};
  std::string what{};  ///< names the thing in errors: "topic 'orders'"
  io::instant deadline{};
  call_options options{};
};

/// An answered error code as an error about `thing`, with what the broker said of it. Codes that mean "is
/// there" or "is not there" become that kind.
error answer_error(std::int16_t code, const std::string& thing,
                   const std::optional<std::string>& said = std::nullopt);
/// "The brokers are too old": names the API, the version needed, and the Kafka release that brought it.
error too_old(const error& why, wire::api_key key, std::int16_t min_version, const std::string& what);

/// Finds the broker, attempts, and attempts again while errors pass, until the deadline. An attempt reports
/// nothing when it is done with, or why it has to be repeated (at once the end if that is not retriable).
using report_function = unique_function<void(std::optional<error>)>;
void attempt_until_done(cluster& c, call_plan plan,
                        std::function<void(std::int32_t broker, report_function report)> attempt,
                        unique_function<void(error)> give_up);

/// Whether the whole request is to be sent again: its code, or none.
template <typename Response>
using code_function = wire::error_code (*)(const Response&);

template <typename Response>
wire::error_code no_code(const Response&) {
  return wire::error_code::none;
}
template <typename Response>
wire::error_code top_code(const Response& r) {
  return static_cast<wire::error_code>(r.error_code);
}

/// Sends a request until there is an answer whose code is not a passing one.
template <typename Response, typename Request>
void admin_call(cluster& c, call_plan plan, Request request, code_function<Response> code_of,
                done_with<Response> done) {
  const auto shared = std::make_shared<done_with<Response>>(std::move(done));
  const auto options = plan.options;
  const auto what = plan.what;
  const auto min_version = std::max<std::int16_t>(Request::min_version, options.min_version);
  attempt_until_done(
      c, std::move(plan),
      [&c, request = std::move(request), options, code_of, shared, what, min_version](
          std::int32_t broker, report_function report) {
        c.call<Response>(
            broker, request, options,
            [shared, code_of, what, min_version, report = std::move(report)](result<Response> r) mutable {
              if (!r)
                return report(r.error().kind() == errc::unsupported
                                  ? too_old(r.error(), Request::key, min_version, what)
                                  : r.error());
              const auto code = code_of(*r);
              if (code != wire::error_code::none && wire::retriable(code))
                return report(wire::make_error(code, what));
              report(std::nullopt);
              (*shared)(std::move(r));
            });
      },
      [shared](error why) { (*shared)(fail(std::move(why))); });
}

/// Collects the results of several operations; calls back when the last is there.
template <typename T>
class gathering : public std::enable_shared_from_this<gathering<T>> {
 public:
  static std::shared_ptr<gathering> of(std::size_t count, done_with<each<T>> done) {
    auto g = std::make_shared<gathering>();
    g->left_ = count;
    g->all_.assign(count, fail(errc::internal, "no result"));
    g->done_ = std::move(done);
    if (count == 0) g->done_(std::move(g->all_));
    return g;
  }
  /// Takes the result of the thing at `index`, once.
  done_with<T> slot(std::size_t index) {
    return [self = this->shared_from_this(), index](result<T> r) {
      self->all_[index] = std::move(r);
      if (--self->left_ == 0) self->done_(std::move(self->all_));
    };
  }

 private:
  std::size_t left_ = 0;
  each<T> all_;
  done_with<each<T>> done_;
};

/// Metadata as an admin client asks for them: never makes a topic. Older brokers answer with all topics.
struct metadata_ask {
  static constexpr auto key = wire::metadata_request::key;
  static constexpr std::int16_t min_version = 1;
  static constexpr std::int16_t max_version = wire::metadata_request::max_version;
  std::optional<std::vector<std::string>> topics{};  ///< nothing: all

  result<> encode(wire::writer& w, std::int16_t version) const;
};
/// Asks any broker; the cluster knows the brokers' addresses afterwards.
void ask_metadata(cluster& c, metadata_ask ask, io::instant deadline,
                  done_with<wire::metadata_response> done);

/// Things of partitions that their leaders do. `send` is called with one leader and the numbers of its
/// partitions, and gives each one's result; those whose error passes are tried again with fresh metadata.
template <typename T>
class leader_call : public std::enable_shared_from_this<leader_call<T>> {
 public:
  using answers = std::vector<std::pair<std::size_t, result<T>>>;
  using send_function = std::function<void(std::int32_t leader, std::vector<std::size_t> indexes,
                                           unique_function<void(answers)> done)>;

  static void start(cluster& c, std::vector<kafka::topic_partition> partitions, io::instant deadline,
                    send_function send, done_with<each<T>> done) {
    auto call = std::shared_ptr<leader_call>(
        new leader_call(c, std::move(partitions), deadline, std::move(send), std::move(done)));
    call->round();
  }

 private:
  leader_call(cluster& c, std::vector<kafka::topic_partition> partitions, io::instant deadline,
              send_function send, done_with<each<T>> done)
      : cluster_(c),
        partitions_(std::move(partitions)),
        deadline_(deadline),
        send_(std::move(send)),
        done_(std::move(done)),
        all_(partitions_.size(), fail(errc::internal, "no result")),
        settled_(partitions_.size()),
        backoff_(c.settings().retry_backoff, c.settings().retry_backoff_max),
        timer_(c.loop()) {}

  void round() {
    std::set<std::string> topics;
    for (std::size_t i = 0; i < partitions_.size(); ++i)
      if (!settled_[i]) topics.insert(partitions_[i].topic);
    if (topics.empty()) return done_(std::move(all_));
    ask_metadata(cluster_, {std::vector<std::string>(topics.begin(), topics.end())}, deadline_,
                 [self = this->shared_from_this()](result<wire::metadata_response> r) {
                   if (r) return self->ask_leaders(*r);
                   for (std::size_t i = 0; i < self->partitions_.size(); ++i)
                     if (!self->settled_[i]) self->all_[i] = fail(r.error());
                   self->done_(std::move(self->all_));
                 });
  }
  void ask_leaders(const wire::metadata_response& metadata);
  void take(answers found) {
    for (auto& [i, r] : found) settle(i, std::move(r));
    if (--under_way_ == 0) again();
  }
  void settle(std::size_t i, result<T> r) {
    settled_[i] = r.has_value() || !r.error().retriable() || cluster_.now() >= deadline_;
    all_[i] = std::move(r);
  }
  void again() {
    if (std::find(settled_.begin(), settled_.end(), false) == settled_.end()) return done_(std::move(all_));
    timer_.arm(backoff_.next(cluster_.random()),
               [self = this->shared_from_this(), alive = cluster_.alive()]() mutable {
                 const auto call = std::move(self);
                 if (!alive.expired()) call->round();
               });
  }

  cluster& cluster_;
  std::vector<kafka::topic_partition> partitions_;
  io::instant deadline_;
  send_function send_;
  done_with<each<T>> done_;
  each<T> all_;
  std::vector<bool> settled_;
  std::size_t under_way_ = 0;
  backoff backoff_;
  io::timer timer_;
};

/// The leader of a partition as of `metadata`, or why there is none. The error passes if it may have one
/// soon.
result<std::int32_t> leader_in(const wire::metadata_response& metadata, const kafka::topic_partition& tp);

template <typename T>
void leader_call<T>::ask_leaders(const wire::metadata_response& metadata) {
  std::map<std::int32_t, std::vector<std::size_t>> by_leader;
  for (std::size_t i = 0; i < partitions_.size(); ++i) {
    if (settled_[i]) continue;
    if (auto leader = leader_in(metadata, partitions_[i]))
      by_leader[*leader].push_back(i);
    else
      settle(i, fail(leader.error()));
  }
  if (by_leader.empty()) return again();
  under_way_ = by_leader.size();
  for (auto& [leader, indexes] : by_leader)
    send_(leader, std::move(indexes),
          [self = this->shared_from_this()](answers found) { self->take(std::move(found)); });
}

}  // namespace penstock::client
