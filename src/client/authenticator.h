// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/result.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/unique_function.h"
#include "client/sasl.h"
#include "wire/api.h"

namespace penstock::client {

struct incoming;
struct outgoing;

/// What an authentication needs of its connection.
class sasl_channel {
 public:
  virtual std::int16_t pick_version(wire::api_key key, std::int16_t min, std::int16_t max) const noexcept = 0;
  /// Sends a request behind whatever is under way already.
  virtual void ask(outgoing out, std::int16_t version) = 0;
  /// Sends bytes in a frame without header; the answer is a frame without one (SaslHandshake version 0).
  virtual void ask_raw(std::string_view token, unique_function<void(result<incoming>)> done) = 0;
  virtual const std::string& name() const noexcept = 0;  ///< "host:port"

 protected:
  ~sasl_channel() = default;
};

/// Tells a broker who we are, once at the beginning of a connection and again before the session ends
/// (KIP-368). Belongs to its connection.
class authenticator {
 public:
  authenticator(sasl_channel& channel, sasl_login& login, std::string broker_host)
      : channel_(channel), login_(login), host_(std::move(broker_host)) {}

  /// Prepares our first token (which may mean asking a server elsewhere), calls `begins`, and from then until
  /// `done` nothing but this may be sent on the connection. `done` gets how long the session lasts, 0 when
  /// without end; or why there is none: errc::authentication, or the broker's error. A failure before
  /// `begins` leaves the connection as it was.
  void start(unique_function<void()> begins, unique_function<void(result<std::chrono::milliseconds>)> done);
  bool busy() const noexcept { return exchange_ != nullptr; }
  /// Whether the broker is too old to say why it refuses: it closes the connection instead.
  bool refuses_silently() const noexcept { return busy() && raw_; }

 private:
  void shake_hands(kafka::secret first);
  void hands_shaken(result<incoming> in, kafka::secret first);
  void send(const kafka::secret& token);
  void answered(result<incoming> in);
  void answered_raw(result<incoming> in);
  void go_on(std::string_view token);
  void finish(result<std::chrono::milliseconds> outcome);
  error named(const error& why) const;

  sasl_channel& channel_;
  sasl_login& login_;
  std::string host_;
  std::unique_ptr<sasl_exchange> exchange_;
  unique_function<void()> begins_;
  unique_function<void(result<std::chrono::milliseconds>)> done_;
  bool raw_ = false;
  int rounds_ = 0;
  std::chrono::milliseconds lifetime_{0};
  std::shared_ptr<void> alive_ = std::make_shared<char>();
};

}  // namespace penstock::client
