// SPDX-License-Identifier: Apache-2.0
// Messages that protoc has made, plain or in Confluent's wire format:
//
//     topo.read("orders", source, ps::protobuf<shop::Order>)
//     topo.read("orders", source, ps::confluent_protobuf<shop::Order>(registry))
//         .write("paid", sink, ps::confluent_protobuf<shop::Order>(registry, "paid-value"));
//
// Nothing here includes or links Protocol Buffers: the program that has the messages does.
#pragma once

#include <penstock/schema_registry.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock {
namespace detail {

/// What the formats need of a message.
template <typename M>
concept protobuf_message = requires(M& m, const M& c, std::string* out) {
  { m.ParseFromArray("", 0) } -> std::convertible_to<bool>;
  { c.AppendToString(out) } -> std::convertible_to<bool>;
  M::descriptor();
};

template <typename M>
result<> parse_protobuf(std::string_view bytes, M& into) {
  if (bytes.size() <= std::numeric_limits<int>::max() &&
      into.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return {};
  return fail(errc::user, "the value is no protobuf message " + std::string(M::descriptor()->full_name()));
}
template <typename M>
void append_protobuf(const M& message, std::string& out) {
  if (!message.AppendToString(&out))
    throw std::runtime_error("the protobuf message " + std::string(M::descriptor()->full_name()) +
                             " lacks a required field, or is too large");
}

/// Which message of its file M is, from the outermost in: as Confluent writes it behind the schema's number.
template <typename Descriptor>
std::vector<std::int64_t> message_indexes(const Descriptor* d) {
  std::vector<std::int64_t> path;
  for (; d != nullptr; d = d->containing_type()) path.push_back(d->index());
  std::reverse(path.begin(), path.end());
  return path;
}
/// The files that one imports, itself or through others: each before those that import it. Registries have
/// the files of Google's and Confluent's own types.
template <typename File>
void append_imported_files(const File* file, std::vector<schema_file>& into,
                           std::vector<std::string>& names) {
  for (int i = 0; i < file->dependency_count(); ++i) {
    const auto* used = file->dependency(i);
    std::string name(used->name());
    if (name.starts_with("google/protobuf/") || name.starts_with("google/type/") ||
        name.starts_with("confluent/"))
      continue;
    names.push_back(name);
    if (std::any_of(into.begin(), into.end(), [&](const schema_file& f) { return f.name == name; })) continue;
    std::vector<std::string> imports;
    append_imported_files(used, into, imports);
    into.push_back({std::move(name), used->DebugString(), std::move(imports)});
  }
}
template <typename File>
subject_schema protobuf_schema(schema_registry registry, std::string subject, const File* file, bool add) {
  std::vector<schema_file> imported;
  std::vector<std::string> imports;
  append_imported_files(file, imported, imports);
  return {std::move(registry), std::move(subject), schema_type::protobuf, file->DebugString(), add,
          std::move(imported), std::move(imports)};
}

void put_message_indexes(const std::vector<std::int64_t>& indexes, std::string& out);
bool take_message_indexes(std::string_view& bytes, std::vector<std::int64_t>& indexes);
std::string wrong_message(const std::vector<std::int64_t>& wanted, const std::vector<std::int64_t>& found);

}  // namespace detail

template <typename M>
struct protobuf_format {
  static constexpr bool is_a_message = detail::protobuf_message<M>;
  static_assert(is_a_message,
                "protobuf<M>: M must be a message class that protoc has made (not of the lite runtime)");
  using value_type = M;
  result<> decode(const raw& record, M& into) const {
    if (record.is_tombstone()) return fail(errc::user, "the record has no value");
    return detail::parse_protobuf(record.value, into);
  }
  void encode(const M& message, std::string& out) const { detail::append_protobuf(message, out); }
};
template <typename M>
inline constexpr protobuf_format<M> protobuf{};

/// Reads whatever the schema's number is (Protocol Buffers are their own evolution), checks which message of
/// the schema it is, and writes with the .proto file that M is from; the files which that imports are
/// registered too, under their names.
template <typename M>
class confluent_protobuf_format {
 public:
  using value_type = M;
  confluent_protobuf_format(schema_registry registry, std::string subject, bool add)
      : own_(detail::protobuf_schema(std::move(registry), std::move(subject), M::descriptor()->file(), add)),
        indexes_(detail::message_indexes(M::descriptor())) {}

  result<> decode(const raw& record, M& into) const {
    std::string_view bytes = record.value;
    std::int32_t id = 0;
    if (!detail::take_schema_id(bytes, id) || !detail::take_message_indexes(bytes, found_))
      return detail::no_schema_id();
    if (found_ != indexes_) return fail(errc::user, detail::wrong_message(indexes_, found_));
    return detail::parse_protobuf(bytes, into);
  }
  void encode(const M& message, std::string& out) const {
    own_.put(out);
    detail::put_message_indexes(indexes_, out);
    detail::append_protobuf(message, out);
  }

 private:
  detail::subject_schema own_;
  std::vector<std::int64_t> indexes_;
  mutable std::vector<std::int64_t> found_;
};
template <typename M>
confluent_protobuf_format<M> confluent_protobuf(schema_registry registry, std::string subject = {},
                                                bool add = true) {
  return {std::move(registry), std::move(subject), add};
}

}  // namespace penstock
