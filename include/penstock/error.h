// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace penstock {

/// What went wrong, coarse enough to decide on. The finer cause is in the message and, for an answer of a
/// Kafka broker, in `error::kafka_code()`.
enum class errc : std::uint8_t {
  invalid_argument,  ///< the caller asked for something that cannot be
  not_found,         ///< a file, topic, group or name that does not exist
  already_exists,    ///< it exists and should not
  io,                ///< a file or socket operation failed
  timeout,           ///< a deadline passed; the outcome of what was asked may be unknown
  closed,            ///< the peer, or this object, is closed
  corrupt,           ///< bytes that break their format or checksum
  unsupported,       ///< a version, codec or feature that is not there
  kafka,             ///< a Kafka broker answered with an error code
  data_loss,         ///< records that should exist do not (S18)
  user,              ///< code or data of the user failed (S20)
  cancelled,         ///< stopped on request
  exhausted,         ///< a bound (memory, queue, size limit) is reached
  internal,          ///< a bug of Penstock
  authentication,    ///< TLS or SASL: a certificate, a password or a token that is not accepted
};

/// The stable lower-case name of a kind, for example "not_found".
std::string_view to_string(errc kind) noexcept;

/// What a caller may do after an error.
enum class recovery : std::uint8_t {
  fatal,              ///< the object is unusable, or asking again gives the same answer
  retriable,          ///< the same request may succeed later
  abort_transaction,  ///< the open transaction must be aborted; a new one may then begin
};

/// An expected failure, as a value: kind, one plain sentence, and for Kafka the code of the broker.
/// Messages name the thing concerned (topic, file, offset) and never contain a secret.
class [[nodiscard]] error {
 public:
  error(errc kind, std::string message, recovery what_to_do = recovery::fatal)
      : message_(std::move(message)), kind_(kind), recovery_(what_to_do) {}

  /// An error that a broker answered. `code` is the protocol's error code (wire/error_code.h has their
  /// names).
  static error from_kafka(std::int16_t code, std::string message, recovery what_to_do) {
    error e(errc::kafka, std::move(message), what_to_do);
    e.kafka_code_ = code;
    return e;
  }

  errc kind() const noexcept { return kind_; }
  const std::string& message() const noexcept { return message_; }
  std::int16_t kafka_code() const noexcept { return kafka_code_; }
  bool retriable() const noexcept { return recovery_ == recovery::retriable; }
  recovery what_to_do() const noexcept { return recovery_; }

  /// The same error with `context + ": "` before its message.
  error with_context(std::string_view context) const {
    error e = *this;
    e.message_.insert(0, ": ").insert(0, context);
    return e;
  }

 private:
  std::string message_;
  errc kind_;
  recovery recovery_;
  std::int16_t kafka_code_ = 0;
};

}  // namespace penstock
