// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "client/admin_client.h"
#include "wire/messages/alter_client_quotas.h"
#include "wire/messages/describe_client_quotas.h"

namespace penstock::client {

using kafka::quota_entity;

namespace {

std::string title(const quota_entity& e) {
  std::string text = "quota of";
  for (const auto& [type, name] : e)
    text += fmt::format(" {} {}", type, name ? "'" + *name + "'" : "(default)");
  return text;
}

template <typename Parts>
quota_entity entity_of(const Parts& parts) {
  quota_entity e;
  for (const auto& p : parts) e.insert_or_assign(p.entity_type, p.entity_name);
  return e;
}

}  // namespace

void admin_client::describe_client_quotas(kafka::quota_filter filter,
                                          done_with<std::vector<kafka::client_quota>> done) {
  wire::describe_client_quotas_request request;
  request.strict = filter.strict;
  for (auto& c : filter.components) {
    auto& out = request.components.emplace_back();
    out.entity_type = std::move(c.type);
    out.match_type = static_cast<std::int8_t>(c.how);
    if (c.how == kafka::quota_filter::match::exact) out.match = std::move(c.name);
  }
  admin_call<wire::describe_client_quotas_response>(
      cluster_, plan({}, "client quotas"), std::move(request),
      &top_code<wire::describe_client_quotas_response>,
      [done = std::move(done)](result<wire::describe_client_quotas_response> r) mutable {
        if (!r) return done(fail(r.error()));
        if (r->error_code != 0)
          return done(fail(answer_error(r->error_code, "client quotas", r->error_message)));
        std::vector<kafka::client_quota> all;
        if (r->entries)
          for (const auto& e : *r->entries) {
            auto& q = all.emplace_back();
            q.entity = entity_of(e.entity);
            for (const auto& v : e.values) q.limits.insert_or_assign(v.key, v.value);
          }
        done(std::move(all));
      });
}

void admin_client::alter_client_quotas(std::vector<kafka::quota_change> changes, bool validate_only,
                                       done_with<each<>> done) {
  wire::alter_client_quotas_request request;
  request.validate_only = validate_only;
  std::vector<quota_entity> entities;
  for (const auto& c : changes) {
    entities.push_back(c.entity);
    auto& out = request.entries.emplace_back();
    for (const auto& [type, name] : c.entity) out.entity.push_back({type, name});
    for (const auto& [key, limit] : c.limits) out.ops.push_back({key, limit.value_or(0), !limit.has_value()});
  }
  admin_call<wire::alter_client_quotas_response>(
      cluster_, plan(route::controller(), "client quotas"), std::move(request),
      &no_code<wire::alter_client_quotas_response>,
      [entities = std::move(entities),
       done = std::move(done)](result<wire::alter_client_quotas_response> r) mutable {
        if (!r) return done(fail(r.error()));
        std::map<quota_entity, result<>> found;
        for (const auto& e : r->entries) {
          const auto entity = entity_of(e.entity);
          found.insert_or_assign(
              entity, e.error_code == 0 ? result<>()
                                        : fail(answer_error(e.error_code, title(entity), e.error_message)));
        }
        done(in_order(entities, std::move(found), "client quotas"));
      });
}

}  // namespace penstock::client
