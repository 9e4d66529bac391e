// SPDX-License-Identifier: Apache-2.0
// penstock acl list | add | remove
#include <fmt/format.h>

#include <memory>

#include "admin_tool.h"
#include "output.h"

namespace penstock::tools {
namespace {

struct options {
  cluster_options cluster;
  std::string resource;
  std::string name;
  std::string pattern;
  std::string principal;
  std::string host;
  std::vector<std::string> operations;
  bool deny = false;
};

result<kafka::acl_filter> filter_of(const options& o) {
  kafka::acl_filter f;
  if (!o.resource.empty()) {
    const auto r = kafka::parse_acl_resource(o.resource);
    if (!r) return fail(r.error());
    f.resource = *r;
  }
  if (!o.pattern.empty()) {
    const auto p = kafka::parse_acl_pattern(o.pattern);
    if (!p) return fail(p.error());
    f.pattern = *p;
  }
  if (!o.name.empty()) f.resource_name = o.name;
  if (!o.principal.empty()) f.principal = o.principal;
  if (!o.host.empty()) f.host = o.host;
  if (o.deny) f.permission = kafka::acl_permission::deny;
  return f;
}

/// One filter an operation; without any one for all of them.
result<std::vector<kafka::acl_filter>> filters_of(const options& o) {
  const auto base = filter_of(o);
  if (!base) return fail(base.error());
  std::vector<kafka::acl_filter> all;
  for (const auto& name : o.operations) {
    const auto operation = kafka::parse_acl_operation(name);
    if (!operation) return fail(operation.error());
    all.push_back(*base);
    all.back().operation = *operation;
  }
  if (all.empty()) all.push_back(*base);
  return all;
}

std::string line(const kafka::acl& a) {
  return fmt::format("{:<16} {:<9} {:<28} {:<24} {:<16} {:<6} {}\n", to_string(a.resource),
                     to_string(a.pattern), a.resource_name, a.principal, to_string(a.operation),
                     to_string(a.permission), a.host);
}

result<> list(kafka::admin& admin, const options& o) {
  const auto filters = filters_of(o);
  if (!filters) return fail(filters.error());
  std::string out = fmt::format("{:<16} {:<9} {:<28} {:<24} {:<16} {:<6} {}\n", "resource", "pattern", "name",
                                "principal", "operation", "right", "host");
  for (const auto& f : *filters) {
    const auto found = admin.describe_acls(f);
    if (!found) return fail(found.error());
    for (const auto& a : *found) out += line(a);
  }
  return print(out);
}

result<> add(kafka::admin& admin, const options& o) {
  const auto filters = filters_of(o);
  if (!filters) return fail(filters.error());
  std::vector<kafka::acl> all;
  for (const auto& f : *filters) {
    auto& a = all.emplace_back();
    a.resource = f.resource;
    a.resource_name =
        f.resource_name.value_or(f.resource == kafka::acl_resource::cluster ? "kafka-cluster" : "");
    if (a.resource_name.empty())
      return fail(errc::invalid_argument,
                  "say with --name what the right is for, or '*' for all of that kind");
    a.pattern = o.pattern.empty() ? kafka::acl_pattern::literal : f.pattern;
    a.principal = o.principal;
    if (f.host) a.host = *f.host;
    a.operation = f.operation;
    a.permission = o.deny ? kafka::acl_permission::deny : kafka::acl_permission::allow;
  }
  return admin.create_acls(all);
}

result<> remove(kafka::admin& admin, const options& o) {
  if (o.resource.empty() && o.name.empty() && o.principal.empty())
    return fail(errc::invalid_argument,
                "this would remove every right: give --resource, --name or --principal");
  const auto filters = filters_of(o);
  if (!filters) return fail(filters.error());
  const auto gone = admin.delete_acls(*filters);
  std::string out;
  for (const auto& one : gone.each())
    if (one)
      for (const auto& a : *one) out += line(a);
  if (auto done = print(out); !done) return done;
  if (!gone) return fail(gone.error());
  return {};
}

}  // namespace

void add_acl(command root) {
  auto o = std::make_shared<options>();
  auto acl = root.add("acl", "List, add and remove rights");
  const auto add_options = [&](command c, bool for_new) {
    auto resource =
        c.value("--resource,-r", o->resource, "topic, group, cluster, transactional-id, user ...");
    c.value("--name,-n", o->name, "of the resource; '*' stands for all");
    c.value("--pattern", o->pattern, for_new ? "literal or prefixed" : "any, match, literal or prefixed");
    auto principal = c.value("--principal", o->principal, "such as User:alice");
    c.value("--host", o->host, "an address; default: any");
    auto operations = c.values("--operation", o->operations,
                               "read, write, create, delete, describe, all ...; may be given several times");
    c.flag("--deny", o->deny, "forbids instead of allowing");
    if (!for_new) return;
    resource.required();
    principal.required();
    operations.required();
  };
  add_options(add_admin_command(acl, "list", "Who may do what, narrowed down by the options", o, list),
              false);
  add_options(add_admin_command(acl, "add", "Allow or deny something", o, add), true);
  add_options(add_admin_command(acl, "remove", "Take back every right that the options match", o, remove),
              false);
}

}  // namespace penstock::tools
