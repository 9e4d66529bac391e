// SPDX-License-Identifier: Apache-2.0
// What stands in front of a value: 0, the schema's number (big-endian), and for protobuf the path of the
// message within its file: the number of indexes and each of them as zigzag varints, or a single 0 for the
// first message.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <penstock/protobuf.h>

#include <map>

#include "base/varint.h"

namespace penstock::detail {
namespace {
constexpr std::size_t most_indexes = 64;  // messages nest less deep
}

bool take_schema_id(std::string_view& bytes, std::int32_t& id) {
  if (bytes.size() < 5 || bytes[0] != '\0') return false;
  std::uint32_t n = 0;
  for (std::size_t i = 1; i < 5; ++i) n = n << 8 | static_cast<std::uint8_t>(bytes[i]);
  id = static_cast<std::int32_t>(n);
  bytes.remove_prefix(5);
  return true;
}

void put_schema_id(std::int32_t id, std::string& out) {
  const auto n = static_cast<std::uint32_t>(id);
  const char bytes[5] = {0, static_cast<char>(n >> 24), static_cast<char>(n >> 16), static_cast<char>(n >> 8),
                         static_cast<char>(n)};
  out.append(bytes, sizeof bytes);
}

result<> no_schema_id() {
  return fail(errc::user, "the value does not begin with a schema's number as Confluent's formats do");
}

void put_message_indexes(const std::vector<std::int64_t>& indexes, std::string& out) {
  if (indexes == std::vector<std::int64_t>{0}) {
    out.push_back('\0');
    return;
  }
  put_avro_long(static_cast<std::int64_t>(indexes.size()), out);  // the same varint
  for (const std::int64_t i : indexes) put_avro_long(i, out);
}

bool take_message_indexes(std::string_view& bytes, std::vector<std::int64_t>& indexes) {
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  std::int64_t count = 0;
  at = base::read_varint(at, end, count);
  if (at == nullptr || count < 0 || count > static_cast<std::int64_t>(most_indexes)) return false;
  indexes.assign(static_cast<std::size_t>(count), 0);
  for (std::int64_t& i : indexes) {
    at = base::read_varint(at, end, i);
    if (at == nullptr) return false;
  }
  if (indexes.empty()) indexes.push_back(0);
  bytes.remove_prefix(static_cast<std::size_t>(at - bytes.data()));
  return true;
}

std::string wrong_message(const std::vector<std::int64_t>& wanted, const std::vector<std::int64_t>& found) {
  return fmt::format("the value is message {} of its schema, not {}", fmt::join(found, "."),
                     fmt::join(wanted, "."));
}

void subject_schema::put(std::string& out) const {
  if (id_ < 0) {
    if (subject_.empty())
      throw std::invalid_argument("the format needs a subject of the schema registry to write with");
    auto id = ask();
    if (!id) throw std::runtime_error(id.error().message());
    id_ = *id;
  }
  put_schema_id(id_, out);
}

result<std::int32_t> subject_schema::ask() const {
  std::map<std::string_view, std::int32_t> versions;  // of the files so far
  const auto references = [&](const schema_file& f) {
    std::vector<schema_reference> all;
    for (const std::string& name : f.imports) all.push_back({name, name, versions[name]});
    return all;
  };
  for (const schema_file& f : imported_) {
    const auto used = references(f);
    if (add_) {
      if (auto added = registry_.add(f.name, type_, f.text, used); !added) return added;
    }
    auto version = registry_.version(f.name, type_, f.text, used);
    if (!version) return version;
    versions[f.name] = *version;
  }
  const auto used = references(own_);
  return add_ ? registry_.add(subject_, type_, own_.text, used)
              : registry_.find(subject_, type_, own_.text, used);
}

result<const avro_schema*> avro_writers::get(std::int32_t id) const {
  if (id == last_id_) return last_.get();
  for (const auto& [known, schema] : known_) {
    if (known != id) continue;
    last_id_ = id;
    last_ = schema;
    return last_.get();
  }
  auto registered = registry_.schema(id);
  if (!registered) return fail(std::move(registered.error()));
  if (registered->type != schema_type::avro)
    return fail(errc::user, fmt::format("the schema {} is not one of Avro", id));
  const auto used = registry_.texts_used_by(*registered);
  if (!used) return fail(used.error().with_context(fmt::format("schema {}", id)));
  auto parsed = avro_schema::parse(registered->text, *used);
  if (!parsed) return fail(parsed.error().with_context(fmt::format("schema {}", id)));
  constexpr std::size_t most_known = 1000;
  if (known_.size() == most_known) known_.erase(known_.begin());
  known_.emplace_back(id, std::move(*parsed));
  return get(id);
}

}  // namespace penstock::detail
