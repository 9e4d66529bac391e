// SPDX-License-Identifier: Apache-2.0
// Confluent's wire format (a zero byte, the schema's number in four bytes, the value) and the Schema Registry
// that knows the numbers:
//
//     ps::schema_registry registry{{.urls = {"http://localhost:8081"}, .user = "me", .password = secret}};
//     topo.read("orders", source, ps::confluent_avro<order>(registry))
//         .write("paid", sink, ps::confluent_avro<order>(registry, "paid-value"));
//
// Protobuf: <penstock/protobuf.h>.
#pragma once

#include <penstock/avro.h>
#include <penstock/format.h>
#include <penstock/json.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock {

struct schema_registry_options {
  std::vector<std::string> urls{};  ///< "http://host:8081"; tried in turn, the last that answered first
  std::string user{};               ///< basic authentication, if not empty
  std::string password{};
  std::string ca_file{};                            ///< of https, in PEM; the system's authorities, if empty
  std::chrono::milliseconds timeout{5'000};         ///< one request
  std::chrono::milliseconds give_up_after{30'000};  ///< all attempts, while no server answers or all are busy
};

enum class schema_type : std::uint8_t { avro, json, protobuf };

/// A schema that another one uses: the full name of a type in Avro, the file that is imported in Protobuf.
struct schema_reference {
  std::string name{};
  std::string subject{};
  std::int32_t version = 0;
  friend bool operator==(const schema_reference&, const schema_reference&) = default;
};

struct registered_schema {
  std::int32_t id = 0;
  schema_type type = schema_type::avro;
  std::string text{};
  std::vector<schema_reference> references{};
};

/// A client of a Schema Registry. Copies are the same client, with one cache; safe from any thread. Calls
/// block, one at a time, while something is asked for the first time; a lane that meets an unknown schema
/// waits for it.
class schema_registry {
 public:
  explicit schema_registry(schema_registry_options options);
  /// errc::not_found when there is no such schema (remembered for ten seconds), errc::authentication when the
  /// registry wants another user, errc::timeout or errc::io (retriable) when it did not answer for
  /// give_up_after. Messages name the server and never the password.
  result<registered_schema> schema(std::int32_t id) const;
  result<registered_schema> latest(std::string_view subject) const;
  /// The texts of all schemas that this one uses, themselves or through others: each before those that use
  /// it.
  result<std::vector<std::string>> texts_used_by(const registered_schema& schema) const;
  /// The number of a schema under a subject; registers it if it is not there.
  result<std::int32_t> add(std::string_view subject, schema_type type, std::string_view text,
                           const std::vector<schema_reference>& references = {}) const;
  /// The same; errc::not_found if it is not there.
  result<std::int32_t> find(std::string_view subject, schema_type type, std::string_view text,
                            const std::vector<schema_reference>& references = {}) const;
  /// Its version under the subject, as references name it; errc::not_found if it is not there.
  result<std::int32_t> version(std::string_view subject, schema_type type, std::string_view text,
                               const std::vector<schema_reference>& references = {}) const;

 private:
  struct impl;
  std::shared_ptr<impl> impl_;
};

namespace detail {

/// Takes the five bytes off; false when they are not there.
bool take_schema_id(std::string_view& bytes, std::int32_t& id);
void put_schema_id(std::int32_t id, std::string& out);
result<> no_schema_id();

/// A file of a schema in several. Its subject is its name, as Confluent's own serializers have it.
struct schema_file {
  std::string name{};
  std::string text{};
  std::vector<std::string> imports{};  ///< names of files before it
};

/// The number that a lane writes in front of its records, asked for at the first.
class subject_schema {
 public:
  /// `imported`: files that the text needs, each before those that import it.
  subject_schema(schema_registry registry, std::string subject, schema_type type, std::string text, bool add,
                 std::vector<schema_file> imported = {}, std::vector<std::string> imports = {})
      : registry_(std::move(registry)),
        subject_(std::move(subject)),
        own_{{}, std::move(text), std::move(imports)},
        imported_(std::move(imported)),
        type_(type),
        add_(add) {}
  /// Throws what the error policy reports.
  void put(std::string& out) const;

 private:
  result<std::int32_t> ask() const;

  schema_registry registry_;
  std::string subject_;
  schema_file own_;
  std::vector<schema_file> imported_;
  schema_type type_;
  bool add_;
  mutable std::int32_t id_ = -1;
};

/// Writers' schemas, as a lane has met them.
class avro_writers {
 public:
  explicit avro_writers(schema_registry registry) : registry_(std::move(registry)) {}
  result<const avro_schema*> get(std::int32_t id) const;

 private:
  schema_registry registry_;
  mutable std::int32_t last_id_ = -1;
  mutable std::shared_ptr<const avro_schema> last_;
  mutable std::vector<std::pair<std::int32_t, std::shared_ptr<const avro_schema>>> known_;
};

}  // namespace detail

/// Reads with the schema that the record names, writes with T's own.
template <typename T>
class confluent_avro_format {
 public:
  using value_type = T;
  confluent_avro_format(schema_registry registry, std::string subject, bool add)
      : writers_(registry),
        own_(std::move(registry), std::move(subject), schema_type::avro, avro_schema_of<T>(), add) {}

  result<> decode(const raw& record, T& into) const {
    std::string_view bytes = record.value;
    std::int32_t id = 0;
    if (!detail::take_schema_id(bytes, id)) return detail::no_schema_id();
    auto written = writers_.get(id);
    if (!written) return fail(std::move(written.error()));
    return detail::decode_avro(**written, bytes, into);
  }
  void encode(const T& value, std::string& out) const {
    own_.put(out);
    detail::write_avro(value, out);
  }

 private:
  detail::avro_writers writers_;
  detail::subject_schema own_;
};

/// `subject` is where T's schema stands, or is put (`add`), for writing: by custom "topic-value".
template <typename T>
confluent_avro_format<T> confluent_avro(schema_registry registry, std::string subject = {}, bool add = true) {
  return {std::move(registry), std::move(subject), add};
}

/// JSON behind the five bytes. Reading does not look the schema up.
template <typename T>
class confluent_json_format {
 public:
  using value_type = T;
  confluent_json_format(schema_registry registry, std::string subject, std::string json_schema, bool add)
      : own_(std::move(registry), std::move(subject), schema_type::json, std::move(json_schema), add) {}

  result<> decode(const raw& record, T& into) const {
    raw plain = record;
    std::int32_t id = 0;
    if (!detail::take_schema_id(plain.value, id)) return detail::no_schema_id();
    return json_.decode(plain, into);
  }
  void encode(const T& value, std::string& out) const {
    own_.put(out);
    json_.encode(value, out);
  }

 private:
  detail::subject_schema own_;
  json_format<T> json_;
};

/// `subject` and `json_schema` are needed for writing alone.
template <typename T>
confluent_json_format<T> confluent_json(schema_registry registry, std::string subject = {},
                                        std::string json_schema = {}, bool add = true) {
  return {std::move(registry), std::move(subject), std::move(json_schema), add};
}

}  // namespace penstock
