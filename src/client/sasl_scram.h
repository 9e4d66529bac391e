// SPDX-License-Identifier: Apache-2.0
// SCRAM (RFC 5802, RFC 7677): proves that we know the password, and that the broker does, without sending it.
#pragma once

#include <penstock/kafka/security.h>
#include <penstock/result.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace penstock::client {

enum class scram_hash : std::uint8_t { sha256, sha512 };

// Fewer make a stolen verifier cheap to break (Kafka's own minimum); more would keep the loop busy for
// seconds.
inline constexpr std::int32_t scram_min_iterations = 4096;
inline constexpr std::int32_t scram_max_iterations = 1'000'000;

/// The keys that a password gives with one salt and count: dear to derive, the same on every connection.
struct scram_keys {
  std::string salt{};
  std::int32_t iterations = 0;
  kafka::secret client_key{}, server_key{};
};

/// One exchange, without the network: `first`, then `answer` to the broker's first message, then `check` of
/// its last. The broker's messages may be anything; errc::authentication says what is wrong with them.
class scram_client {
 public:
  /// `nonce`: fresh and unguessable, printable without commas.
  scram_client(scram_hash hash, std::string user, kafka::secret password, std::string nonce,
               scram_keys& cache);
  std::string first() const;
  result<kafka::secret> answer(std::string_view server_first);
  result<> check(std::string_view server_final) const;

 private:
  scram_hash hash_;
  std::string user_;
  kafka::secret password_;
  std::string nonce_;
  scram_keys& keys_;
  std::string expected_;  // the broker's signature
};

}  // namespace penstock::client
