// SPDX-License-Identifier: Apache-2.0
// Apache Avro's binary encoding for structs that describe themselves:
//
//     struct order { std::string id; std::int64_t cents; std::optional<std::string> coupon; };
//     BOOST_DESCRIBE_STRUCT(order, (), (id, cents, coupon))
//
//     topo.read("orders", source, ps::avro<order>)                 // written with the schema of the struct
//     topo.read("orders", source, ps::avro_format<order>(schema))  // written with this one, as JSON
//
// With a schema registry: <penstock/schema_registry.h>.
//
// A struct's own schema (avro_schema_of<T>()): a record of the struct's name, its namespace's dots for
// colons, with the members as fields; a record that comes again is named only, so a struct may have a
// std::vector of itself. bool is boolean, integers of up to 32 bits signed (16 unsigned) int,
// larger ones long, std::string string, std::vector array, std::map<std::string, T> map, std::optional a
// union with null first and null as its default, a time of the system clock long with timestamp-millis,
// avro_decimal bytes with the logical type decimal.
//
// Reading follows Avro's rules for schemas that differ: fields are matched by name, those that the struct
// or by an alias (avro_aliases), those that the struct
// lacks are skipped, int widens to long, float and double, string and bytes read as each other. A member that
// the schema lacks must be a std::optional. Beyond Avro's rules a long is read into a smaller integer if it
// fits, a decimal as a float or double, an enum as a string, and a value beside null into a member that is
// not optional (null is then an error).
#pragma once

#include <penstock/detail/avro_schema.h>
#include <penstock/detail/described.h>
#include <penstock/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace penstock {

/// The name of T's record in its schema, to be specialised where the C++ name is not the one wanted.
template <typename T>
struct avro_name {
  static std::string get() { return detail::avro_full_name(detail::cpp_name_of<T>()); }
};

/// Other names of T's fields, under which they may have been written, to be specialised:
///
///     template <> struct penstock::avro_aliases<order> {
///       static constexpr std::pair<std::string_view, std::string_view> fields[] = {{"id", "order_id"}};
///     };                                                                    // the member's name, the alias
template <typename T>
struct avro_aliases {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 0> fields{};
};

/// A number of at most Precision digits, Scale of them behind the point: unscaled / 10^Scale. What is read
/// must have the same scale.
template <int Precision, int Scale>
struct avro_decimal {
  static_assert(Precision >= 1 && Precision <= 18 && Scale >= 0 && Scale <= Precision,
                "avro_decimal<Precision, Scale>: 1 to 18 digits, at most all of them behind the point");
  std::int64_t unscaled = 0;
  friend auto operator<=>(const avro_decimal&, const avro_decimal&) = default;
};

namespace detail {

template <typename T>
inline constexpr bool is_avro_decimal = false;
template <int Precision, int Scale>
inline constexpr bool is_avro_decimal<avro_decimal<Precision, Scale>> = true;
template <typename T>
inline constexpr bool is_clock_time = false;
template <typename D>
inline constexpr bool is_clock_time<std::chrono::time_point<std::chrono::system_clock, D>> = true;
template <typename T>
inline constexpr bool is_vector = false;
template <typename T>
inline constexpr bool is_vector<std::vector<T>> = true;
template <typename T>
inline constexpr bool is_string_map = false;
template <typename T>
inline constexpr bool is_string_map<std::map<std::string, T>> = true;

/// Whether an integer is Avro's int rather than long.
template <std::integral T>
inline constexpr bool is_avro_int = sizeof(T) < 4 || (sizeof(T) == 4 && std::is_signed_v<T>);

template <typename T>
consteval bool avro_knows() {
  if constexpr (is_optional<T> || is_vector<T>) {
    return avro_knows<typename T::value_type>();
  } else if constexpr (is_string_map<T>) {
    return avro_knows<typename T::mapped_type>();
  } else {
    return std::is_arithmetic_v<T> || std::is_same_v<T, std::string> || is_clock_time<T> ||
           is_avro_decimal<T> || described<T>;
  }
}

/// Appends the schema of T; `named` are the records that are there already.
template <typename T>
void append_avro_schema(std::string& out, std::vector<std::string>& named);

template <typename T>
void append_avro_aliases(std::string_view member, std::string& out) {
  const char* before = "\"aliases\":[\"";
  for (const auto& [name, alias] : avro_aliases<T>::fields) {
    if (name == member) out.append(std::exchange(before, "\",\"")).append(alias);
  }
  if (*before == '"' && before[1] == ',') out.append("\"],");
}

template <described T>
void append_avro_record(std::string& out, std::vector<std::string>& named) {
  const std::string name = avro_name<T>::get();
  for (const std::string& known : named) {
    if (known == name) {
      out.append("\"").append(name).append("\"");
      return;
    }
  }
  named.push_back(name);
  out.append("{\"type\":\"record\",\"name\":\"").append(name).append("\",\"fields\":[");
  const char* before = "";
  for_each_member<T>([&]<typename Member>(Member) {
    using field = member_type<T, Member>;
    out.append(std::exchange(before, ",")).append("{\"name\":\"").append(Member::name).append("\",");
    append_avro_aliases<T>(Member::name, out);
    out.append("\"type\":");
    append_avro_schema<field>(out, named);
    out.append(is_optional<field> ? ",\"default\":null}" : "}");
  });
  out.append("]}");
}

template <int Precision, int Scale>
void append_avro_decimal(avro_decimal<Precision, Scale>, std::string& out) {
  out.append("{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":")
      .append(std::to_string(Precision))
      .append(",\"scale\":")
      .append(std::to_string(Scale))
      .append("}");
}

template <typename T>
void append_avro_schema(std::string& out, std::vector<std::string>& named) {
  constexpr bool known = avro_knows<T>();
  static_assert(
      known,
      "avro: a member must be a bool, number, std::string, avro_decimal, time of the system clock, described "
      "struct, or a std::optional, std::vector or std::map<std::string, ...> of one");
  if constexpr (is_optional<T>) {
    append_avro_schema<typename T::value_type>(out.append("[\"null\","), named);
    out.push_back(']');
  } else if constexpr (is_vector<T>) {
    append_avro_schema<typename T::value_type>(out.append("{\"type\":\"array\",\"items\":"), named);
    out.push_back('}');
  } else if constexpr (is_string_map<T>) {
    append_avro_schema<typename T::mapped_type>(out.append("{\"type\":\"map\",\"values\":"), named);
    out.push_back('}');
  } else if constexpr (std::is_same_v<T, bool>) {
    out.append("\"boolean\"");
  } else if constexpr (std::is_integral_v<T>) {
    out.append(is_avro_int<T> ? "\"int\"" : "\"long\"");
  } else if constexpr (std::is_floating_point_v<T>) {
    out.append(sizeof(T) == 4 ? "\"float\"" : "\"double\"");
  } else if constexpr (std::is_same_v<T, std::string>) {
    out.append("\"string\"");
  } else if constexpr (is_clock_time<T>) {
    out.append("{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}");
  } else if constexpr (is_avro_decimal<T>) {
    append_avro_decimal(T{}, out);
  } else if constexpr (described<T>) {
    append_avro_record<T>(out, named);
  }
}

/// The branch of a union that was written, else `node` itself. Null: the bytes are wrong.
inline const avro_node* avro_branch(avro_reader& in, const avro_node& node) {
  if (node.kind != avro_kind::union_) return &node;
  std::size_t branch = 0;
  return in.get_index(node.parts.size(), branch) ? node.parts[branch].second : nullptr;
}

template <typename T>
bool read_avro(avro_reader& in, const avro_node& written, T& out);

template <typename T>
bool read_avro_number(avro_reader& in, const avro_node& node, T& out) {
  if (node.kind == avro_kind::int_ || node.kind == avro_kind::long_) {
    std::int64_t n = 0;
    if (!in.get_long(n)) return false;
    if constexpr (std::is_integral_v<T>) {
      if (!std::in_range<T>(n)) return in.fail("the integer " + std::to_string(n) + " is out of range");
    }
    out = static_cast<T>(n);
    return true;
  }
  if constexpr (std::is_floating_point_v<T>) {
    if (node.scale >= 0) {
      std::int64_t unscaled = 0;
      if (!in.get_decimal(node, unscaled)) return false;
      out = static_cast<T>(static_cast<double>(unscaled) / std::pow(10.0, node.scale));
      return true;
    }
    if (node.kind == avro_kind::float_) {
      float f = 0;
      if (!in.get_float(f)) return false;
      out = static_cast<T>(f);
      return true;
    }
    if (node.kind == avro_kind::double_) {
      double d = 0;
      if (!in.get_double(d)) return false;
      out = static_cast<T>(d);
      return true;
    }
  }
  return in.expected(std::is_integral_v<T> ? "an integer" : "a number", node);
}

template <int Precision, int Scale>
bool read_avro_decimal(avro_reader& in, const avro_node& node, avro_decimal<Precision, Scale>& out) {
  if (node.scale < 0) return in.expected("a decimal", node);
  if (node.scale != Scale)
    return in.fail("the writer's decimal has scale " + std::to_string(node.scale) + ", not " +
                   std::to_string(Scale));
  return in.get_decimal(node, out.unscaled);
}

inline bool read_avro_text(avro_reader& in, const avro_node& node, std::string& out) {
  std::string_view text;
  if (node.kind == avro_kind::enum_) {
    std::size_t symbol = 0;
    if (!in.get_index(node.symbols.size(), symbol)) return false;
    text = node.symbols[symbol];
  } else if (node.kind == avro_kind::fixed) {
    if (!in.get_fixed(node.size, text)) return false;
  } else if (node.kind != avro_kind::string && node.kind != avro_kind::bytes) {
    return in.expected("a string", node);
  } else if (!in.get_bytes(text)) {
    return false;
  }
  out.assign(text);
  return true;
}

template <typename T>
bool read_avro_items(avro_reader& in, const avro_node& node, std::vector<T>& out) {
  if (node.kind != avro_kind::array) return in.expected("an array", node);
  out.clear();
  for (std::size_t count = 0; in.get_block(count);) {
    if (count == 0) return true;
    if (out.size() + count > in.total()) return in.fail("an array has more items than there are bytes");
    for (; count != 0; --count) {
      T item{};
      if (!read_avro(in, *node.parts[0].second, item)) return false;
      out.push_back(std::move(item));
    }
  }
  return false;
}
template <typename T>
bool read_avro_items(avro_reader& in, const avro_node& node, std::map<std::string, T>& out) {
  if (node.kind != avro_kind::map) return in.expected("a map", node);
  out.clear();
  for (std::size_t count = 0; in.get_block(count);) {
    if (count == 0) return true;
    for (; count != 0; --count) {
      std::string_view key;
      if (!in.get_bytes(key)) return false;
      if (!read_avro(in, *node.parts[0].second, out[std::string(key)])) return in.within(key);
    }
  }
  return false;
}

struct make_avro_reader {
  template <typename T, typename Member>
  static constexpr auto make() {
    return +[](avro_reader& in, const avro_node& node, T& into) {
      return read_avro(in, node, into.*Member::pointer);
    };
  }
};
struct make_avro_absent {
  template <typename T, typename Member>
  static constexpr auto make() {
    return +[](T& into) {
      if constexpr (is_optional<member_type<T, Member>>) (into.*Member::pointer).reset();
      return is_optional<member_type<T, Member>>;
    };
  }
};

/// The number of the member that a field of this name is read into; as many as there are, if none.
template <described T>
std::size_t avro_member(std::string_view field) {
  static constexpr const auto& names = member_names<T>;
  const auto number = [](std::string_view name) {
    return static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
  };
  if (const std::size_t i = number(field); i != names.size()) return i;
  for (const auto& [member, alias] : avro_aliases<T>::fields) {
    if (alias == field) return number(member);
  }
  return names.size();
}

template <described T>
bool read_avro_record(avro_reader& in, const avro_node& node, T& out) {
  static_assert(member_count<T> <= 64, "a struct read from Avro has at most 64 members");
  if (node.kind != avro_kind::record) return in.expected("a record", node);
  static constexpr const auto& names = member_names<T>;
  std::uint64_t seen = 0;
  std::size_t guess = 0;  // schemas mostly have their fields in the order of the struct
  for (const auto& [name, type] : node.parts) {
    std::size_t i = guess;
    if (i >= names.size() || names[i] != name) i = avro_member<T>(name);
    if (i == names.size()) {
      if (!in.skip(*type)) return in.within(name);
      continue;
    }
    if (!member_functions<make_avro_reader, T>[i](in, *type, out)) return in.within(name);
    seen |= std::uint64_t{1} << i;
    guess = i + 1;
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    if ((seen >> i & 1) == 0 && !member_functions<make_avro_absent, T>[i](out))
      return in.fail("the writer's schema has no field '" + std::string(names[i]) + "'");
  }
  return true;
}

template <typename T>
bool read_avro(avro_reader& in, const avro_node& written, T& out) {
  const avro_node* node = avro_branch(in, written);
  if (node == nullptr || !in.enter()) return false;
  bool read = false;
  if constexpr (is_optional<T>) {
    if (node->kind == avro_kind::null) {
      out.reset();
      read = true;
    } else {
      if (!out) out.emplace();
      read = read_avro(in, *node, *out);
    }
  } else if constexpr (std::is_same_v<T, bool>) {
    read = node->kind == avro_kind::boolean ? in.get_boolean(out) : in.expected("a boolean", *node);
  } else if constexpr (std::is_arithmetic_v<T>) {
    read = read_avro_number(in, *node, out);
  } else if constexpr (std::is_same_v<T, std::string>) {
    read = read_avro_text(in, *node, out);
  } else if constexpr (is_clock_time<T>) {
    std::int64_t n = 0;
    read = read_avro_number(in, *node, n);
    using to = typename T::duration;
    if (node->units_per_second == 1'000'000) {
      out = T(std::chrono::floor<to>(std::chrono::microseconds(n)));
    } else {  // milliseconds, with a logical type or without
      out = T(std::chrono::floor<to>(std::chrono::milliseconds(n)));
    }
  } else if constexpr (is_avro_decimal<T>) {
    read = read_avro_decimal(in, *node, out);
  } else if constexpr (is_vector<T> || is_string_map<T>) {
    read = read_avro_items(in, *node, out);
  } else {
    read = read_avro_record(in, *node, out);
  }
  in.leave();
  return read;
}

template <typename T>
void write_avro(const T& v, std::string& out) {
  if constexpr (is_optional<T>) {
    put_avro_long(v ? 1 : 0, out);
    if (v) write_avro(*v, out);
  } else if constexpr (std::is_same_v<T, bool>) {
    out.push_back(v ? '\1' : '\0');
  } else if constexpr (std::is_integral_v<T>) {
    if (!std::in_range<std::int64_t>(v))
      throw std::out_of_range("the integer " + std::to_string(v) + " is larger than Avro's long");
    put_avro_long(static_cast<std::int64_t>(v), out);
  } else if constexpr (std::is_floating_point_v<T>) {
    put_avro_fixed(&v, sizeof v, out);  // little-endian, as here
  } else if constexpr (std::is_same_v<T, std::string>) {
    put_avro_bytes(v, out);
  } else if constexpr (is_clock_time<T>) {
    put_avro_long(std::chrono::floor<std::chrono::milliseconds>(v.time_since_epoch()).count(), out);
  } else if constexpr (is_avro_decimal<T>) {
    put_avro_decimal(v.unscaled, out);
  } else if constexpr (is_vector<T> || is_string_map<T>) {
    if (!v.empty()) put_avro_long(static_cast<std::int64_t>(v.size()), out);
    for (const auto& item : v) {
      if constexpr (is_string_map<T>) {
        put_avro_bytes(item.first, out);
        write_avro(item.second, out);
      } else {
        write_avro(static_cast<const typename T::value_type&>(item), out);
      }
    }
    put_avro_long(0, out);
  } else {
    for_each_member<T>([&]<typename Member>(Member) { write_avro(v.*Member::pointer, out); });
  }
}

/// One value in these bytes, and nothing else.
template <typename T>
result<> decode_avro(const avro_schema& written, std::string_view bytes, T& into) {
  avro_reader in(bytes);
  if (!read_avro(in, written.root(), into)) return fail(errc::user, in.problem());
  if (in.left() != 0) return fail(errc::user, std::to_string(in.left()) + " bytes follow the value");
  return {};
}

}  // namespace detail

/// The schema of T, as JSON in the form that registries compare.
template <typename T>
std::string avro_schema_of() {
  std::string out;
  std::vector<std::string> named;
  detail::append_avro_schema<T>(out, named);
  return out;
}

/// Reads what was written with a schema (T's own, if none is given), and writes with T's own.
template <typename T>
class avro_format {
 public:
  using value_type = T;
  explicit avro_format(std::string writer_schema = avro_schema_of<T>())
      : written_(detail::avro_schema::parse(writer_schema)) {}

  result<> decode(const raw& record, T& into) const {
    if (record.is_tombstone()) return fail(errc::user, "the record has no value");
    if (!written_) return fail(written_.error());
    return detail::decode_avro(**written_, record.value, into);
  }
  void encode(const T& value, std::string& out) const { detail::write_avro(value, out); }

 private:
  result<std::shared_ptr<const detail::avro_schema>> written_;
};
template <typename T>
inline const avro_format<T> avro{};

}  // namespace penstock
