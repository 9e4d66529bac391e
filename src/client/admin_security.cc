// SPDX-License-Identifier: Apache-2.0
// Rights and SCRAM users.
#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstring>

#include "client/admin_client.h"
#include "wire/messages/alter_user_scram_credentials.h"
#include "wire/messages/create_acls.h"
#include "wire/messages/delete_acls.h"
#include "wire/messages/describe_acls.h"
#include "wire/messages/describe_user_scram_credentials.h"

namespace penstock::client {

using kafka::acl;
using kafka::acl_filter;
using kafka::acl_pattern;
using wire::error_code;

namespace {

// The first version knows literal names only, so there a filter for any pattern is one for those.
std::int8_t pattern_for(acl_pattern p, std::int16_t version) {
  const bool all_are_literal = version == 0 && (p == acl_pattern::any || p == acl_pattern::match);
  return static_cast<std::int8_t>(all_are_literal ? acl_pattern::literal : p);
}

template <typename Filter>
void fill(Filter& out, const acl_filter& f, std::int16_t version) {
  out.resource_type_filter = static_cast<std::int8_t>(f.resource);
  out.resource_name_filter = f.resource_name;
  out.pattern_type_filter = pattern_for(f.pattern, version);
  out.principal_filter = f.principal;
  out.host_filter = f.host;
  out.operation = static_cast<std::int8_t>(f.operation);
  out.permission_type = static_cast<std::int8_t>(f.permission);
}

struct describe_acls_ask {
  static constexpr auto key = wire::describe_acls_request::key;
  static constexpr std::int16_t min_version = 0;
  static constexpr std::int16_t max_version = wire::describe_acls_request::max_version;
  acl_filter filter;

  result<> encode(wire::writer& w, std::int16_t version) const {
    wire::describe_acls_request r;
    fill(r, filter, version);
    return r.encode(w, version);
  }
};
struct delete_ask {
  static constexpr auto key = wire::delete_acls_request::key;
  static constexpr std::int16_t min_version = 0;
  static constexpr std::int16_t max_version = wire::delete_acls_request::max_version;
  std::vector<acl_filter> filters;

  result<> encode(wire::writer& w, std::int16_t version) const {
    wire::delete_acls_request r;
    for (const auto& f : filters) fill(r.filters.emplace_back(), f, version);
    return r.encode(w, version);
  }
};

template <typename Entry>
acl acl_of(std::int8_t type, const std::string& name, std::int8_t pattern, const Entry& e) {
  return {static_cast<kafka::acl_resource>(type),
          name,
          static_cast<acl_pattern>(pattern),
          e.principal,
          e.host,
          static_cast<kafka::acl_operation>(e.operation),
          static_cast<kafka::acl_permission>(e.permission_type)};
}

std::string title(const acl& a) {
  return fmt::format("acl {} {} {} on {} {} '{}'", to_string(a.permission), a.principal,
                     to_string(a.operation), to_string(a.pattern), to_string(a.resource), a.resource_name);
}

std::string random_bytes(io::random_source& random, std::size_t count) {
  std::string bytes(count, '\0');
  for (std::size_t at = 0; at < count; at += 8) {
    const auto word = random.next();
    std::memcpy(bytes.data() + at, &word, std::min<std::size_t>(8, count - at));
  }
  return bytes;
}

// RFC 5802's SaltedPassword: the broker gets this, never the password.
result<std::string> salted(const kafka::scram_change& c, const std::string& salt) {
  const bool long_one = c.mechanism == kafka::scram_mechanism::sha_512;
  std::string out(long_one ? 64 : 32, '\0');
  const auto done =
      PKCS5_PBKDF2_HMAC(c.password->data(), static_cast<int>(c.password->size()),
                        reinterpret_cast<const unsigned char*>(salt.data()), static_cast<int>(salt.size()),
                        c.iterations, long_one ? EVP_sha512() : EVP_sha256(), static_cast<int>(out.size()),
                        reinterpret_cast<unsigned char*>(out.data()));
  if (done != 1) return fail(errc::internal, "user '" + c.user + "': the password could not be salted");
  return out;
}

}  // namespace

void admin_client::describe_acls(acl_filter filter, done_with<std::vector<acl>> done) {
  // Prefixes came with version 1.
  const std::int16_t min_version = filter.pattern == acl_pattern::prefixed ? 1 : 0;
  admin_call<wire::describe_acls_response>(
      cluster_, plan({}, "acls", min_version), describe_acls_ask{std::move(filter)},
      &top_code<wire::describe_acls_response>,
      [done = std::move(done)](result<wire::describe_acls_response> r) mutable {
        if (!r) return done(fail(r.error()));
        if (r->error_code != 0) return done(fail(answer_error(r->error_code, "acls", r->error_message)));
        std::vector<acl> all;
        for (const auto& resource : r->resources)
          for (const auto& a : resource.acls)
            all.push_back(acl_of(resource.resource_type, resource.resource_name, resource.pattern_type, a));
        std::sort(all.begin(), all.end());
        done(std::move(all));
      });
}

void admin_client::create_acls(std::vector<acl> acls, done_with<each<>> done) {
  wire::create_acls_request request;
  std::int16_t min_version = 0;
  for (const auto& a : acls) {
    if (a.pattern != acl_pattern::literal) min_version = 1;
    request.creations.push_back(
        {static_cast<std::int8_t>(a.resource), a.resource_name, static_cast<std::int8_t>(a.pattern),
         a.principal, a.host, static_cast<std::int8_t>(a.operation), static_cast<std::int8_t>(a.permission)});
  }
  admin_call<wire::create_acls_response>(
      cluster_, plan(route::controller(), "create acls", min_version), std::move(request),
      &no_code<wire::create_acls_response>,
      [acls = std::move(acls), done = std::move(done)](result<wire::create_acls_response> r) mutable {
        if (!r) return done(fail(r.error()));
        each<> all;
        for (std::size_t i = 0; i < acls.size(); ++i) {
          if (i >= r->results.size())
            all.push_back(fail(errc::corrupt, title(acls[i]) + ": the broker left out a result"));
          else if (r->results[i].error_code != 0)
            all.push_back(
                fail(answer_error(r->results[i].error_code, title(acls[i]), r->results[i].error_message)));
          else
            all.push_back({});
        }
        done(std::move(all));
      });
}

void admin_client::delete_acls(std::vector<acl_filter> filters, done_with<each<std::vector<acl>>> done) {
  std::int16_t min_version = 0;
  for (const auto& f : filters)
    if (f.pattern == acl_pattern::prefixed) min_version = 1;
  const auto count = filters.size();
  admin_call<wire::delete_acls_response>(
      cluster_, plan(route::controller(), "delete acls", min_version), delete_ask{std::move(filters)},
      &no_code<wire::delete_acls_response>,
      [count, done = std::move(done)](result<wire::delete_acls_response> r) mutable {
        if (!r) return done(fail(r.error()));
        each<std::vector<acl>> all;
        for (std::size_t i = 0; i < count; ++i) {
          if (i >= r->filter_results.size()) {
            all.push_back(fail(errc::corrupt, "delete acls: the broker left out a result"));
            continue;
          }
          const auto& f = r->filter_results[i];
          result<std::vector<acl>> gone;
          if (f.error_code != 0) gone = fail(answer_error(f.error_code, "delete acls", f.error_message));
          for (const auto& m : f.matching_acls) {
            const auto a = acl_of(m.resource_type, m.resource_name, m.pattern_type, m);
            if (m.error_code != 0)
              gone = fail(answer_error(m.error_code, title(a), m.error_message));
            else if (gone)
              gone->push_back(a);
          }
          all.push_back(std::move(gone));
        }
        done(std::move(all));
      });
}

void admin_client::describe_scram_users(std::vector<std::string> users,
                                        done_with<each<kafka::scram_user>> done) {
  wire::describe_user_scram_credentials_request request;
  if (!users.empty()) {
    request.users.emplace();
    for (const auto& u : users) request.users->push_back({u});
  }
  admin_call<wire::describe_user_scram_credentials_response>(
      cluster_, plan({}, "users"), std::move(request),
      &top_code<wire::describe_user_scram_credentials_response>,
      [users = std::move(users),
       done = std::move(done)](result<wire::describe_user_scram_credentials_response> r) mutable {
        if (!r) return done(fail(r.error()));
        if (r->error_code != 0) return done(fail(answer_error(r->error_code, "users", r->error_message)));
        std::map<std::string, result<kafka::scram_user>> found;
        const bool all_users = users.empty();
        for (const auto& u : r->results) {
          result<kafka::scram_user> user = kafka::scram_user{u.user, {}};
          for (const auto& c : u.credential_infos)
            user->credentials.push_back({static_cast<kafka::scram_mechanism>(c.mechanism), c.iterations});
          if (u.error_code != 0)
            user = fail(answer_error(u.error_code, "user '" + u.user + "'", u.error_message));
          found.insert_or_assign(u.user, std::move(user));
          if (all_users) users.push_back(u.user);
        }
        if (all_users) std::sort(users.begin(), users.end());
        done(in_order(users, std::move(found), "users"));
      });
}

void admin_client::alter_scram_users(std::vector<kafka::scram_change> changes, done_with<each<>> done) {
  constexpr std::size_t salt_size = 24;
  wire::alter_user_scram_credentials_request request;
  std::vector<std::string> users;
  for (const auto& c : changes) {
    users.push_back(c.user);
    const auto mechanism = static_cast<std::int8_t>(c.mechanism);
    if (!c.password) {
      request.deletions.push_back({c.user, mechanism});
      continue;
    }
    auto salt = random_bytes(cluster_.random(), salt_size);
    auto hidden = salted(c, salt);
    if (!hidden) return done(fail(hidden.error()));
    request.upsertions.push_back({c.user, mechanism, c.iterations, std::move(salt), std::move(*hidden)});
  }
  admin_call<wire::alter_user_scram_credentials_response>(
      cluster_, plan(route::controller(), "users"), std::move(request),
      &no_code<wire::alter_user_scram_credentials_response>,
      [users = std::move(users),
       done = std::move(done)](result<wire::alter_user_scram_credentials_response> r) mutable {
        if (!r) return done(fail(r.error()));
        std::map<std::string, result<>> found;
        for (const auto& u : r->results)
          found.insert_or_assign(
              u.user, u.error_code == 0
                          ? result<>()
                          : fail(answer_error(u.error_code, "user '" + u.user + "'", u.error_message)));
        done(in_order(users, std::move(found), "users"));
      });
}

}  // namespace penstock::client
