// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/stream.h"
#include "wire/api.h"

namespace penstock::broker {

class connection;

/// What is known of a request beside its body.
struct request_info {
  wire::api_key key{};
  std::int16_t version = 0;
  std::int32_t correlation_id = 0;
  std::string client_id;
  std::string client_host;  ///< as Kafka shows it: "/127.0.0.1"
};

/// The place of one answer in its connection's order. Moved to whoever will answer; may be used later, when
/// the connection is gone too (then nothing happens). Dropped without an answer it closes the connection, so
/// that no client waits for ever. On the server's thread only.
class reply_slot {
 public:
  reply_slot() noexcept = default;
  reply_slot(std::weak_ptr<connection> to, std::uint64_t number, wire::api_key key, std::int16_t version,
             std::int32_t correlation_id) noexcept
      : to_(std::move(to)), number_(number), key_(key), version_(version), correlation_id_(correlation_id) {}
  reply_slot(reply_slot&&) noexcept = default;
  reply_slot& operator=(reply_slot&& other) noexcept {
    close();
    to_ = std::move(other.to_);
    number_ = other.number_;
    key_ = other.key_;
    version_ = other.version_;
    correlation_id_ = other.correlation_id_;
    return *this;
  }
  ~reply_slot() { close(); }

  /// Encodes and sends. `external` are the pieces for the response's external records, in their order; each
  /// external field may take several of them.
  template <typename Response>
  void send(const Response& response, std::vector<io::write_piece> external = {}) {
    send_version(response, version_, std::move(external));
  }
  /// The same in another version than was asked for: the answer to an ApiVersions request that is too new
  /// (KIP-511).
  template <typename Response>
  void send_version(const Response& response, std::int16_t version,
                    std::vector<io::write_piece> external = {}) {
    auto head = std::make_shared<std::string>();
    wire::writer out(*head);
    const auto written = wire::encode_frame(out, wire::response_header{correlation_id_}, version, response);
    if (!written) return refuse(written.error());
    deliver(std::move(head), out.splices(), std::move(external));
  }
  /// Nothing is sent: Produce with acks=0.
  void send_nothing();
  /// Closes the connection.
  void close();
  /// False once the connection is gone: then the work for an answer may be saved.
  bool wanted() const noexcept { return !to_.expired(); }

 private:
  void refuse(const error& why);
  void deliver(std::shared_ptr<std::string> head, const std::vector<wire::splice>& splices,
               std::vector<io::write_piece> external);

  std::weak_ptr<connection> to_;
  std::uint64_t number_ = 0;
  wire::api_key key_{};
  std::int16_t version_ = 0;
  std::int32_t correlation_id_ = 0;
};

/// A reply_slot that takes one kind of answer.
template <typename Response>
class responder {
 public:
  explicit responder(reply_slot slot) noexcept : slot_(std::move(slot)) {}
  void send(const Response& r, std::vector<io::write_piece> external = {}) {
    slot_.send(r, std::move(external));
  }
  reply_slot& slot() noexcept { return slot_; }

 private:
  reply_slot slot_;
};

}  // namespace penstock::broker
