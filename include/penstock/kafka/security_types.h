// SPDX-License-Identifier: Apache-2.0
// Rights (ACLs), SCRAM users and client quotas, as an admin client takes and gives them. The numbers of the
// enums are the protocol's.
#pragma once

#include <penstock/result.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::kafka {

/// What a right is about. `any` is for filters.
enum class acl_resource : std::int8_t {
  any = 1,
  topic = 2,
  group = 3,
  cluster = 4,  ///< its name is "kafka-cluster"
  transactional_id = 5,
  delegation_token = 6,
  user = 7,
};
/// How a right's name is meant (KIP-290).
enum class acl_pattern : std::int8_t {
  any = 1,      ///< filters: all of them
  match = 2,    ///< filters: what applies to the resource of that name, prefixes and "*" included
  literal = 3,  ///< exactly this, or "*" for everything
  prefixed = 4,
};
enum class acl_operation : std::int8_t {
  any = 1,
  all = 2,
  read = 3,
  write = 4,
  create = 5,
  remove = 6,  ///< Kafka: DELETE
  alter = 7,
  describe = 8,
  cluster_action = 9,
  describe_configs = 10,
  alter_configs = 11,
  idempotent_write = 12,
  create_tokens = 13,
  describe_tokens = 14,
  two_phase_commit = 15,
};
enum class acl_permission : std::int8_t { any = 1, deny = 2, allow = 3 };

/// Kafka's names: "TOPIC", "PREFIXED", "DELETE", "ALLOW". Of a number that is not listed: "UNKNOWN".
std::string_view to_string(acl_resource r) noexcept;
std::string_view to_string(acl_pattern p) noexcept;
std::string_view to_string(acl_operation o) noexcept;
std::string_view to_string(acl_permission p) noexcept;
/// The other way round, in any case, with '-' or '_'; an error lists what there is.
result<acl_resource> parse_acl_resource(std::string_view name);
result<acl_pattern> parse_acl_pattern(std::string_view name);
result<acl_operation> parse_acl_operation(std::string_view name);

/// One right.
struct acl {
  acl_resource resource = acl_resource::topic;
  std::string resource_name{};
  acl_pattern pattern = acl_pattern::literal;  ///< others than `literal` need Kafka 2.0
  std::string principal{};                     ///< such as "User:alice"
  std::string host = "*";
  acl_operation operation = acl_operation::read;
  acl_permission permission = acl_permission::allow;
  friend auto operator<=>(const acl&, const acl&) = default;
};

/// Which rights are meant: what is left as it is matches everything.
struct acl_filter {
  acl_resource resource = acl_resource::any;
  std::optional<std::string> resource_name{};
  acl_pattern pattern = acl_pattern::any;
  std::optional<std::string> principal{};
  std::optional<std::string> host{};
  acl_operation operation = acl_operation::any;
  acl_permission permission = acl_permission::any;
};

/// KIP-554; Kafka 2.7.
enum class scram_mechanism : std::int8_t { sha_256 = 1, sha_512 = 2 };

struct scram_credential {
  scram_mechanism mechanism = scram_mechanism::sha_256;
  std::int32_t iterations = 0;
  friend bool operator==(const scram_credential&, const scram_credential&) = default;
};
struct scram_user {
  std::string name;
  std::vector<scram_credential> credentials;
};

/// Sets a password, or takes one away. Kafka takes one change a user and call.
struct scram_change {
  std::string user{};
  scram_mechanism mechanism = scram_mechanism::sha_256;
  /// Nothing: the credential is deleted. It is salted here and never sent or written anywhere else.
  std::optional<std::string> password{};
  std::int32_t iterations = 8192;  ///< Kafka wants 4096 to 16384
};

/// Whom a quota is for: "user", "client-id" or "ip", each with a name, or nothing for the default of that
/// type (KIP-546; Kafka 2.6).
using quota_entity = std::map<std::string, std::optional<std::string>>;

struct client_quota {
  quota_entity entity;
  std::map<std::string, double> limits;  ///< such as {"producer_byte_rate", 1e6}: bytes a second
};

struct quota_filter {
  enum class match : std::int8_t {
    exact = 0,
    standard = 1,
    any = 2
  };  ///< a name, the default, whatever there is
  struct component {
    std::string type{};  ///< "user", "client-id", "ip"
    quota_filter::match how = match::any;
    std::string name{};  ///< with `exact`
  };
  std::vector<component> components{};  ///< none: all quotas
  bool strict = false;                  ///< entities of further types do not match
};

struct quota_change {
  quota_entity entity{};
  std::map<std::string, std::optional<double>> limits{};  ///< nothing: the limit is lifted
};

}  // namespace penstock::kafka
