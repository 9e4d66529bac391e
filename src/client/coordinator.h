// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>

#include <memory>
#include <string>
#include <utility>

#include "base/unique_function.h"
#include "client/backoff.h"
#include "client/cluster.h"
#include "wire/error_code.h"

namespace penstock::client {

/// What is coordinated: as FindCoordinator calls it.
enum class coordinated : std::int8_t { group = 0, transaction = 1 };

/// Asks any broker who coordinates a group or a transactional id. The broker is known to the cluster
/// afterwards.
void find_coordinator(cluster& c, coordinated type, const std::string& key,
                      unique_function<void(result<std::int32_t>)> done);
inline void find_coordinator(cluster& c, const std::string& group_id,
                             unique_function<void(result<std::int32_t>)> done) {
  find_coordinator(c, coordinated::group, group_id, std::move(done));
}

/// The coordinator of one group or transactional id, found when first needed and after it was forgotten.
class known_coordinator {
 public:
  known_coordinator(cluster& c, coordinated type, std::string key)
      : cluster_(c), type_(type), key_(std::move(key)) {}

  const std::string& key() const noexcept { return key_; }
  /// After an error or an answer that may mean that it moved.
  void forget() noexcept { broker_ = -1; }
  /// `f` gets its broker. It is called within the call when the coordinator is known.
  void find(unique_function<void(result<std::int32_t>)> f) {
    if (broker_ >= 0) return f(broker_);
    find_coordinator(
        cluster_, type_, key_,
        [this, alive = std::weak_ptr<void>(alive_), f = std::move(f)](result<std::int32_t> found) mutable {
          if (alive.expired()) return;
          if (found) broker_ = *found;
          f(std::move(found));
        });
  }
  /// Sends one request to it, once. The handler also learns whether the request went out: without an answer,
  /// it may then have been done, or be done later. It is dropped uncalled with this object.
  template <typename Response, typename Request>
  void call(Request request, call_options options, unique_function<void(result<Response>, bool sent)> done) {
    options.channel = channel::coordinator;
    options.sent = std::make_shared<bool>(false);
    find([this, request = std::move(request), options,
          done = std::move(done)](result<std::int32_t> broker) mutable {
      if (!broker) return done(fail(std::move(broker.error())), false);
      cluster_.call<Response>(*broker, std::move(request), options,
                              [alive = std::weak_ptr<void>(alive_), sent = options.sent,
                               done = std::move(done)](result<Response> answer) mutable {
                                if (!alive.expired()) done(std::move(answer), *sent);
                              });
    });
  }

 private:
  cluster& cluster_;
  coordinated type_;
  std::string key_;
  std::int32_t broker_ = -1;
  std::shared_ptr<void> alive_ = std::make_shared<char>();
};

/// Whether an answer means that the coordinator has moved or is not ready, so that one asks again.
bool coordinator_may_have_moved(wire::error_code code) noexcept;

/// Sends a request to a group's coordinator until it has an answer other than "not I" or "not yet", or until
/// `deadline`. `code_of` gives the error code of a response that decides about trying again.
template <typename Response, typename Request>
class coordinator_call : public std::enable_shared_from_this<coordinator_call<Response, Request>> {
 public:
  using code_function = wire::error_code (*)(const Response&);

  static void start(cluster& c, std::string group_id, Request request, call_options options,
                    code_function code_of, io::instant deadline,
                    unique_function<void(result<Response>)> done) {
    auto call = std::shared_ptr<coordinator_call>(new coordinator_call(
        c, std::move(group_id), std::move(request), options, code_of, deadline, std::move(done)));
    call->find();
  }

 private:
  coordinator_call(cluster& c, std::string group_id, Request request, call_options options,
                   code_function code_of, io::instant deadline, unique_function<void(result<Response>)> done)
      : cluster_(c),
        group_id_(std::move(group_id)),
        request_(std::move(request)),
        options_(options),
        code_of_(code_of),
        deadline_(deadline),
        done_(std::move(done)),
        backoff_(c.settings().retry_backoff, c.settings().retry_backoff_max),
        timer_(c.loop()) {
    options_.channel = channel::coordinator;
  }

  void find() {
    find_coordinator(cluster_, group_id_, [self = this->shared_from_this()](result<std::int32_t> broker) {
      if (!broker) return self->again(broker.error());
      self->send(*broker);
    });
  }
  void send(std::int32_t broker) {
    cluster_.call<Response>(
        broker, request_, options_, [self = this->shared_from_this()](result<Response> response) {
          if (!response) return self->again(response.error());
          const auto code = self->code_of_(*response);
          if (coordinator_may_have_moved(code) || code == wire::error_code::unstable_offset_commit)
            return self->again(wire::make_error(code, "group '" + self->group_id_ + "'"));
          self->done_(std::move(response));
        });
  }
  void again(const error& why) {
    if (!why.retriable()) return done_(fail(why));
    if (cluster_.now() >= deadline_)
      return done_(fail(errc::timeout,
                        "group '" + group_id_ + "': no answer in time; the last attempt: " + why.message(),
                        recovery::retriable));
    // The timer holds this call, so the handler drops it with the timer.
    timer_.arm(backoff_.next(cluster_.random()),
               [self = this->shared_from_this(), alive = cluster_.alive()]() mutable {
                 const auto call = std::move(self);
                 if (!alive.expired()) call->find();
               });
  }

  cluster& cluster_;
  std::string group_id_;
  Request request_;
  call_options options_;
  code_function code_of_;
  io::instant deadline_;
  unique_function<void(result<Response>)> done_;
  backoff backoff_;
  io::timer timer_;
};

}  // namespace penstock::client
