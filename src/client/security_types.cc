// SPDX-License-Identifier: Apache-2.0
#include <penstock/kafka/security_types.h>

#include <fmt/format.h>

#include <array>
#include <utility>

namespace penstock::kafka {
namespace {

template <typename T>
using name = std::pair<T, std::string_view>;

constexpr name<acl_resource> resources[] = {
    {acl_resource::any, "ANY"},
    {acl_resource::topic, "TOPIC"},
    {acl_resource::group, "GROUP"},
    {acl_resource::cluster, "CLUSTER"},
    {acl_resource::transactional_id, "TRANSACTIONAL_ID"},
    {acl_resource::delegation_token, "DELEGATION_TOKEN"},
    {acl_resource::user, "USER"},
};
constexpr name<acl_pattern> patterns[] = {
    {acl_pattern::any, "ANY"},
    {acl_pattern::match, "MATCH"},
    {acl_pattern::literal, "LITERAL"},
    {acl_pattern::prefixed, "PREFIXED"},
};
constexpr name<acl_operation> operations[] = {
    {acl_operation::any, "ANY"},
    {acl_operation::all, "ALL"},
    {acl_operation::read, "READ"},
    {acl_operation::write, "WRITE"},
    {acl_operation::create, "CREATE"},
    {acl_operation::remove, "DELETE"},
    {acl_operation::alter, "ALTER"},
    {acl_operation::describe, "DESCRIBE"},
    {acl_operation::cluster_action, "CLUSTER_ACTION"},
    {acl_operation::describe_configs, "DESCRIBE_CONFIGS"},
    {acl_operation::alter_configs, "ALTER_CONFIGS"},
    {acl_operation::idempotent_write, "IDEMPOTENT_WRITE"},
    {acl_operation::create_tokens, "CREATE_TOKENS"},
    {acl_operation::describe_tokens, "DESCRIBE_TOKENS"},
    {acl_operation::two_phase_commit, "TWO_PHASE_COMMIT"},
};
constexpr name<acl_permission> permissions[] = {
    {acl_permission::any, "ANY"}, {acl_permission::deny, "DENY"}, {acl_permission::allow, "ALLOW"}};

template <typename T, std::size_t N>
std::string_view name_of(const name<T> (&all)[N], T value) noexcept {
  for (const auto& [known, text] : all)
    if (known == value) return text;
  return "UNKNOWN";
}

char plain(char c) { return c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

template <typename T, std::size_t N>
result<T> parse(const name<T> (&all)[N], std::string_view given, std::string_view what) {
  std::string wanted, known;
  for (const char c : given) wanted += plain(c);
  for (const auto& [value, text] : all) {
    if (text == wanted) return value;
    known += known.empty() ? "" : ", ";
    known += text;
  }
  return fail(errc::invalid_argument, fmt::format("'{}' is no {}; there are {}", given, what, known));
}

}  // namespace

std::string_view to_string(acl_resource r) noexcept { return name_of(resources, r); }
std::string_view to_string(acl_pattern p) noexcept { return name_of(patterns, p); }
std::string_view to_string(acl_operation o) noexcept { return name_of(operations, o); }
std::string_view to_string(acl_permission p) noexcept { return name_of(permissions, p); }

result<acl_resource> parse_acl_resource(std::string_view name) {
  return parse(resources, name, "type of resource");
}
result<acl_pattern> parse_acl_pattern(std::string_view name) {
  return parse(patterns, name, "type of pattern");
}
result<acl_operation> parse_acl_operation(std::string_view name) {
  return parse(operations, name, "operation");
}

}  // namespace penstock::kafka
