// SPDX-License-Identifier: Apache-2.0
// What the generated message codecs are made of. Only they include this.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "wire/layout.h"
#include "wire/reader.h"
#include "wire/records_field.h"
#include "wire/writer.h"

namespace penstock::wire::codec {

template <typename T>
concept message_struct = requires(T& value, reader& in, layout at) {
  value.read(in, at);
};

/// Elements are appended as they are read; room is made beforehand for no more than this many, so that a
/// count alone cannot cause a large allocation.
inline constexpr std::uint32_t max_reserved = 1024;

// get: one value that may not be null.

template <std::integral T>
void get(reader& in, layout, T& v) {
  if constexpr (std::is_same_v<T, bool>)
    v = in.boolean();
  else
    v = in.integer<T>();
}
inline void get(reader& in, layout, double& v) { v = in.float64(); }
inline void get(reader& in, layout, uuid& v) { v = in.id(); }
inline void get(reader& in, layout at, std::string& v) {
  const auto s = in.nullable_string(at.flexible);
  if (!s) return in.fail("null string");
  v = *s;
}
inline void get_bytes(reader& in, layout at, std::string& v) {
  const auto s = in.nullable_bytes(at.flexible);
  if (!s) return in.fail("null bytes");
  v = *s;
}
inline void get_records(reader& in, layout at, records_field& v, bool nullable) {
  const auto bytes = in.nullable_bytes(at.flexible);
  if (!bytes && !nullable) return in.fail("null records");
  v = bytes ? records_field::borrow(*bytes) : records_field{};
}
template <message_struct T>
void get(reader& in, layout at, T& v) {
  v.read(in, at);
}
template <typename T>
void get_elements(reader& in, layout at, std::vector<T>& v, std::uint32_t n) {
  v.clear();
  v.reserve(std::min(n, max_reserved));
  for (; n > 0 && in.ok(); --n) get(in, at, v.emplace_back());
}
template <typename T>
void get(reader& in, layout at, std::vector<T>& v) {
  const auto n = in.nullable_count(at.flexible);
  if (!n) return in.fail("null array");
  get_elements(in, at, v, *n);
}

// get with a flag: one value of a field that is nullable in some version; the flag tells whether in this.

inline void get(reader& in, layout at, std::optional<std::string>& v, bool nullable) {
  v = in.nullable_string(at.flexible);
  if (!v && !nullable) in.fail("null string");
}
inline void get_bytes(reader& in, layout at, std::optional<std::string>& v, bool nullable) {
  v = in.nullable_bytes(at.flexible);
  if (!v && !nullable) in.fail("null bytes");
}
template <message_struct T>
void get(reader& in, layout at, std::optional<T>& v, bool nullable) {
  v.reset();
  if (!nullable || in.integer<std::int8_t>() >= 0) v.emplace().read(in, at);
}
template <typename T>
void get(reader& in, layout at, std::optional<std::vector<T>>& v, bool nullable) {
  const auto n = in.nullable_count(at.flexible);
  v.reset();
  if (n)
    get_elements(in, at, v.emplace(), *n);
  else if (!nullable)
    in.fail("null array");
}

// put: the same, the other way. `name` is for the message of an error.

template <std::integral T>
void put(writer& out, layout, T v) {
  if constexpr (std::is_same_v<T, bool>)
    out.boolean(v);
  else
    out.integer(v);
}
inline void put(writer& out, layout, double v) { out.float64(v); }
inline void put(writer& out, layout, const uuid& v) { out.id(v); }
inline void put(writer& out, layout at, const std::string& v) { out.string(v, at.flexible); }
inline void put_bytes(writer& out, layout at, const std::string& v) { out.bytes(v, at.flexible); }
inline void put_records(writer& out, layout at, const records_field& v, bool nullable, const char* name) {
  if (v.external_size > 0)
    out.external(v.external_size, at.flexible);
  else if (!v.null)
    out.bytes(v.bytes, at.flexible);
  else if (nullable)
    out.null_length(at.flexible);
  else
    out.not_nullable(name);
}
template <message_struct T>
void put(writer& out, layout at, const T& v) {
  v.write(out, at);
}
template <typename T>
void put(writer& out, layout at, const std::vector<T>& v) {
  out.length(v.size(), at.flexible);
  for (const auto& element : v) put(out, at, element);
}
inline void put(writer& out, layout at, const std::optional<std::string>& v, bool nullable,
                const char* name) {
  if (v)
    out.string(*v, at.flexible);
  else if (nullable)
    out.null_string(at.flexible);
  else
    out.not_nullable(name);
}
inline void put_bytes(writer& out, layout at, const std::optional<std::string>& v, bool nullable,
                      const char* name) {
  if (v)
    out.bytes(*v, at.flexible);
  else if (nullable)
    out.null_length(at.flexible);
  else
    out.not_nullable(name);
}
template <message_struct T>
void put(writer& out, layout at, const std::optional<T>& v, bool nullable, const char* name) {
  if (nullable) out.integer(static_cast<std::int8_t>(v ? 1 : -1));
  if (v)
    v->write(out, at);
  else if (!nullable)
    out.not_nullable(name);
}
template <typename T>
void put(writer& out, layout at, const std::optional<std::vector<T>>& v, bool nullable, const char* name) {
  if (v)
    put(out, at, *v);
  else if (nullable)
    out.null_length(at.flexible);
  else
    out.not_nullable(name);
}

// The public functions of a message.

template <typename Message>
result<> check_version(std::string_view name, std::int16_t version) {
  if (version >= Message::min_version && version <= Message::max_version) return {};
  return fail(errc::unsupported, fmt::format("{} has no version {}, only {} to {}", name, version,
                                             Message::min_version, Message::max_version));
}
template <typename Message>
result<> encode(const Message& message, std::string_view name, writer& out, std::int16_t version) {
  if (auto known = check_version<Message>(name, version); !known) return known;
  const std::size_t start = out.position();
  message.write(out, {version, version >= Message::flexible_from});
  return out.ok() ? result<>() : out.finish(fmt::format("{} v{}", name, version), start);
}
template <typename Message>
result<> decode(Message& message, std::string_view name, reader& in, std::int16_t version) {
  if (auto known = check_version<Message>(name, version); !known) return known;
  message = {};
  message.read(in, {version, version >= Message::flexible_from});
  return in.ok() ? result<>() : in.finish(fmt::format("{} v{}", name, version));
}

}  // namespace penstock::wire::codec
