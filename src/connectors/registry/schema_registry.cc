// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <penstock/detail/json_value.h>
#include <penstock/schema_registry.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <set>

#include "base/base64.h"
#include "io/event_loop.h"
#include "io/file.h"
#include "io/http_fetch.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds first_pause{100};
constexpr milliseconds longest_pause{5'000};
constexpr std::chrono::seconds missing_for{10};
constexpr std::size_t most_cached = 10'000;

std::string_view type_text(schema_type t) {
  switch (t) {
    case schema_type::avro: return "AVRO";
    case schema_type::json: return "JSON";
    case schema_type::protobuf: return "PROTOBUF";
  }
  return "?";
}

std::string percent_encoded(std::string_view s) {
  std::string out;
  for (const char c : s) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    if (plain) {
      out.push_back(c);
    } else {
      fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

/// The fields of an answer that anybody here looks at.
struct answer_fields {
  std::int64_t id = -1;
  std::int64_t version = -1;
  std::string type{"AVRO"};
  std::string schema{};
  std::string message{};
  std::vector<schema_reference> references{};
};

constexpr std::size_t most_references = 1'000;  // of one schema, through others too

/// Nothing if one of them says not enough.
std::optional<std::vector<schema_reference>> parse_references(const detail::json_value& array) {
  std::vector<schema_reference> found;
  detail::json_elements all(array);
  for (detail::json_value one; all.next(one);) {
    schema_reference r;
    std::string_view key, text;
    std::int64_t version = 0;
    if (!one.is_object() || found.size() == most_references) return std::nullopt;
    detail::json_fields fields(one);
    for (detail::json_value v; fields.next(key, v);) {
      if (key == "name" && v.get(text)) r.name = text;
      if (key == "subject" && v.get(text)) r.subject = text;
      if (key == "version") v.get(version);
    }
    if (r.subject.empty() || version < 1 || version > std::numeric_limits<std::int32_t>::max())
      return std::nullopt;
    r.version = static_cast<std::int32_t>(version);
    found.push_back(std::move(r));
  }
  return found;
}

std::optional<answer_fields> parse_answer(std::string_view body) {
  detail::json_document document;
  detail::json_value root;
  detail::json_problem problem;
  if (!document.parse(body, root, problem) || !root.is_object()) return std::nullopt;
  answer_fields found;
  detail::json_fields fields(root);
  std::string_view key, text;
  for (detail::json_value v; fields.next(key, v);) {
    if (key == "id") v.get(found.id);
    if (key == "version") v.get(found.version);
    if (key == "schemaType" && v.get(text)) found.type = text;
    if (key == "schema" && v.get(text)) found.schema = text;
    if (key == "message" && v.get(text)) found.message = text;
    if (key == "references" && v.is_array()) {
      auto references = parse_references(v);
      if (!references) return std::nullopt;
      found.references = std::move(*references);
    }
  }
  return found;
}

struct exchange {
  std::string_view method;
  std::string path;
  std::string body;
};

}  // namespace

struct schema_registry::impl {
  schema_registry_options options;
  std::mutex mutex;
  std::map<std::int32_t, registered_schema> by_id;                               // guarded by mutex
  std::map<std::int32_t, io::instant> missing;                                   // guarded by mutex
  std::map<std::string, std::int32_t> numbers;                                   // guarded by mutex
  std::map<std::pair<std::string, std::int32_t>, registered_schema> by_version;  // guarded by mutex
  std::size_t server = 0;                                                        // guarded by mutex

  /// One request to one server, on a loop of its own.
  result<io::http_answer> ask(const std::string& base, const exchange& e) const {
    auto url = io::parse_http_url(base + e.path);
    if (!url) return fail(url.error().with_context("schema registry"));
    io::http_fetch_options how{.connect_timeout = options.timeout, .read_timeout = options.timeout};
    how.max_body = 16u << 20;
    if (url->tls) {
      auto tls = io::tls_context::client({.ca_file = options.ca_file}, io::file_system::system());
      if (!tls) return fail(tls.error().with_context("schema registry"));
      how.tls = std::move(*tls);
    }
    io::http_fetch_request request{.to = std::move(*url), .method = std::string(e.method), .body = e.body};
    request.headers.emplace_back("Accept", "application/vnd.schemaregistry.v1+json, application/json");
    if (!e.body.empty())
      request.headers.emplace_back("Content-Type", "application/vnd.schemaregistry.v1+json");
    if (!options.user.empty())
      request.headers.emplace_back("Authorization",
                                   "Basic " + base::base64_encode(options.user + ":" + options.password));
    io::event_loop loop;
    std::optional<result<io::http_answer>> answer;
    io::http_fetch(loop, std::move(request), std::move(how), [&](result<io::http_answer> a) {
      answer = std::move(a);
      loop.stop();
    });
    loop.run();
    return std::move(*answer);
  }

  /// The answer of the first server that gives one worth having.
  result<answer_fields> exchange_with_any(const exchange& e) {
    if (options.urls.empty()) return fail(errc::invalid_argument, "the schema registry has no url");
    const io::clock& clock = io::clock::system();
    const io::instant deadline = clock.now() + options.give_up_after;
    for (milliseconds pause = first_pause;; pause = std::min(pause * 2, longest_pause)) {
      error last(errc::io, "nothing was tried");
      for (std::size_t i = 0; i < options.urls.size(); ++i) {
        const std::string& url = options.urls[(server + i) % options.urls.size()];
        auto answer = ask(url, e);
        auto read = answer ? judge(url, *answer) : fail(answer.error().with_context("schema registry"));
        if (read || !read.error().retriable()) {
          server = (server + i) % options.urls.size();
          return read;
        }
        last = std::move(read.error());
      }
      if (clock.now() + pause >= deadline) return fail(std::move(last));
      io::event_loop wait;
      wait.run_until(clock.now() + pause);
    }
  }

  static result<answer_fields> judge(const std::string& url, const io::http_answer& a) {
    const auto fields = parse_answer(a.body);
    const std::string says = fields && !fields->message.empty()
                                 ? fmt::format("{}: {}", a.status, fields->message.substr(0, 300))
                                 : std::to_string(a.status);
    const auto refuse = [&](errc kind, recovery what) {
      return fail(errc(kind), fmt::format("the schema registry at {} answered {}", url, says), what);
    };
    if (a.status == 200) {
      if (!fields) return refuse(errc::corrupt, recovery::fatal);
      return *fields;
    }
    if (a.status == 404) return refuse(errc::not_found, recovery::fatal);
    if (a.status == 401 || a.status == 403) return refuse(errc::authentication, recovery::fatal);
    if (a.status >= 500 || a.status == 429 || a.status == 408) return refuse(errc::io, recovery::retriable);
    return refuse(errc::invalid_argument, recovery::fatal);
  }

  static result<registered_schema> schema_of(std::int32_t id, answer_fields a) {
    registered_schema s{id, schema_type::avro, std::move(a.schema), std::move(a.references)};
    if (a.type == "JSON") {
      s.type = schema_type::json;
    } else if (a.type == "PROTOBUF") {
      s.type = schema_type::protobuf;
    } else if (a.type != "AVRO") {
      return fail(errc::unsupported, fmt::format("the schema {} is of the unknown type {}", id, a.type));
    }
    return s;
  }

  enum class number : std::uint8_t { id, added_id, version };

  result<std::int32_t> number_of(number wanted, std::string_view subject, schema_type type,
                                 std::string_view text, const std::vector<schema_reference>& references) {
    std::string body = "{\"schema\":";
    detail::append_json_string(text, body);
    if (type != schema_type::avro) body += fmt::format(",\"schemaType\":\"{}\"", type_text(type));
    for (std::size_t i = 0; i < references.size(); ++i) {
      body += i == 0 ? ",\"references\":[{\"name\":" : ",{\"name\":";
      detail::append_json_string(references[i].name, body);
      body += ",\"subject\":";
      detail::append_json_string(references[i].subject, body);
      body +=
          fmt::format(",\"version\":{}}}{}", references[i].version, i + 1 == references.size() ? "]" : "");
    }
    body += "}";

    const std::lock_guard lock(mutex);
    // An id is the same whether it has been added or found.
    const std::string key =
        fmt::format("{} {} {}", wanted == number::version, percent_encoded(subject), body);
    if (const auto known = numbers.find(key); known != numbers.end()) return known->second;
    auto a = exchange_with_any({"POST",
                                fmt::format("/subjects/{}{}", percent_encoded(subject),
                                            wanted == number::added_id ? "/versions" : ""),
                                std::move(body)});
    if (!a) return fail(a.error().with_context(fmt::format("subject {}", subject)));
    const std::int64_t n = wanted == number::version ? a->version : a->id;
    if (n < 0 || n > std::numeric_limits<std::int32_t>::max())
      return fail(errc::corrupt, fmt::format("the schema registry gave no number for subject {}", subject));
    if (numbers.size() >= most_cached) numbers.clear();
    return numbers[key] = static_cast<std::int32_t>(n);
  }

  /// With the mutex held.
  result<registered_schema> version(const schema_reference& r) {
    const auto key = std::make_pair(r.subject, r.version);
    if (const auto known = by_version.find(key); known != by_version.end()) return known->second;
    auto a = exchange_with_any(
        {"GET", fmt::format("/subjects/{}/versions/{}", percent_encoded(r.subject), r.version), ""});
    auto s = a ? schema_of(static_cast<std::int32_t>(a->id), std::move(*a)) : fail(std::move(a.error()));
    if (!s)
      return fail(s.error().with_context(fmt::format("version {} of subject {}", r.version, r.subject)));
    if (by_version.size() >= most_cached) by_version.clear();
    return by_version[key] = std::move(*s);
  }
};

schema_registry::schema_registry(schema_registry_options options) : impl_(std::make_shared<impl>()) {
  for (std::string& url : options.urls) {
    while (url.ends_with('/')) url.pop_back();
  }
  impl_->options = std::move(options);
}

result<registered_schema> schema_registry::schema(std::int32_t id) const {
  const std::lock_guard lock(impl_->mutex);
  if (const auto known = impl_->by_id.find(id); known != impl_->by_id.end()) return known->second;
  const io::instant now = io::clock::system().now();
  if (const auto gone = impl_->missing.find(id);
      gone != impl_->missing.end() && now - gone->second < missing_for)
    return fail(errc::not_found, fmt::format("schema {}: the schema registry does not have it", id));
  auto a = impl_->exchange_with_any({"GET", fmt::format("/schemas/ids/{}", id), ""});
  if (!a) {
    if (impl_->missing.size() >= most_cached) impl_->missing.clear();
    if (a.error().kind() == errc::not_found) impl_->missing[id] = now;
    return fail(a.error().with_context(fmt::format("schema {}", id)));
  }
  auto s = impl::schema_of(id, std::move(*a));
  if (!s) return s;
  if (impl_->by_id.size() >= most_cached) impl_->by_id.clear();
  return impl_->by_id[id] = std::move(*s);
}

result<registered_schema> schema_registry::latest(std::string_view subject) const {
  const std::lock_guard lock(impl_->mutex);
  auto a = impl_->exchange_with_any(
      {"GET", fmt::format("/subjects/{}/versions/latest", percent_encoded(subject)), ""});
  if (!a) return fail(a.error().with_context(fmt::format("subject {}", subject)));
  const auto id = static_cast<std::int32_t>(a->id);
  return impl::schema_of(id, std::move(*a));
}

result<std::vector<std::string>> schema_registry::texts_used_by(const registered_schema& schema) const {
  const std::lock_guard lock(impl_->mutex);
  std::vector<std::string> texts;
  // A walk into the depth without recursion: what a schema uses is done when all that it uses is.
  struct step {
    registered_schema schema;
    std::size_t next = 0;
  };
  std::vector<step> path{{schema}};
  std::set<std::pair<std::string, std::int32_t>> met;
  while (!path.empty()) {
    step& s = path.back();
    if (s.next == s.schema.references.size()) {
      if (path.size() > 1) texts.push_back(std::move(s.schema.text));
      path.pop_back();
      continue;
    }
    const schema_reference& r = s.schema.references[s.next++];
    if (!met.emplace(r.subject, r.version).second) continue;
    if (met.size() > most_references)
      return fail(errc::unsupported, fmt::format("it refers to more than {} schemas", most_references));
    auto used = impl_->version(r);
    if (!used) return fail(std::move(used.error()));
    path.push_back({std::move(*used)});
  }
  return texts;
}

result<std::int32_t> schema_registry::add(std::string_view subject, schema_type type, std::string_view text,
                                          const std::vector<schema_reference>& references) const {
  return impl_->number_of(impl::number::added_id, subject, type, text, references);
}
result<std::int32_t> schema_registry::find(std::string_view subject, schema_type type, std::string_view text,
                                           const std::vector<schema_reference>& references) const {
  return impl_->number_of(impl::number::id, subject, type, text, references);
}
result<std::int32_t> schema_registry::version(std::string_view subject, schema_type type,
                                              std::string_view text,
                                              const std::vector<schema_reference>& references) const {
  return impl_->number_of(impl::number::version, subject, type, text, references);
}

}  // namespace penstock
