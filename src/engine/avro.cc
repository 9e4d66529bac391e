// SPDX-License-Identifier: Apache-2.0
// Apache Avro 1.11: schemas are JSON; in the binary encoding int and long are zigzag varints, strings and
// bytes have their length before them, a union the number of its branch, arrays and maps come in blocks of
// items with the count before each (a negative one with the size in bytes behind it) and 0 after the last; a
// record is its fields one after the other.
#include <fmt/format.h>
#include <penstock/detail/avro_schema.h>
#include <penstock/detail/json_value.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <optional>

#include "base/varint.h"

namespace penstock::detail {

const char* name_of(avro_kind kind) noexcept {
  switch (kind) {
    case avro_kind::null: return "null";
    case avro_kind::boolean: return "a boolean";
    case avro_kind::int_: return "an int";
    case avro_kind::long_: return "a long";
    case avro_kind::float_: return "a float";
    case avro_kind::double_: return "a double";
    case avro_kind::bytes: return "bytes";
    case avro_kind::string: return "a string";
    case avro_kind::record: return "a record";
    case avro_kind::enum_: return "an enum";
    case avro_kind::array: return "an array";
    case avro_kind::map: return "a map";
    case avro_kind::union_: return "a union";
    case avro_kind::fixed: return "a fixed";
  }
  return "?";
}

/// Makes the nodes of a schema. The depth is bounded by the JSON parser's.
struct avro_schema_parser {
  static constexpr std::size_t most_nodes = 10'000;
  avro_schema& into;
  std::map<std::string, avro_node*, std::less<>> named{};
  std::string problem{};

  const avro_node* fail(std::string sentence) {
    if (problem.empty()) problem = std::move(sentence);
    return nullptr;
  }
  avro_node* make(avro_kind kind) {
    auto& n = into.nodes_.emplace_back(std::make_unique<avro_node>());
    n->kind = kind;
    return n.get();
  }

  static std::optional<json_value> field(const json_value& object, std::string_view name) {
    json_fields in(object);
    std::string_view key;
    for (json_value v; in.next(key, v);) {
      if (key == name) return v;
    }
    return std::nullopt;
  }
  static std::string_view text(const json_value& object, std::string_view name) {
    std::string_view s;
    if (const auto v = field(object, name)) v->get(s);
    return s;
  }

  static std::optional<avro_kind> primitive(std::string_view name) {
    static constexpr std::pair<std::string_view, avro_kind> all[] = {
        {"null", avro_kind::null},   {"boolean", avro_kind::boolean}, {"int", avro_kind::int_},
        {"long", avro_kind::long_},  {"float", avro_kind::float_},    {"double", avro_kind::double_},
        {"bytes", avro_kind::bytes}, {"string", avro_kind::string}};
    for (const auto& [known, kind] : all) {
      if (known == name) return kind;
    }
    return std::nullopt;
  }
  static std::string full_name(std::string_view name, std::string_view space) {
    if (space.empty() || name.find('.') != std::string_view::npos) return std::string(name);
    return fmt::format("{}.{}", space, name);
  }

  const avro_node* parse(const json_value& v, const std::string& space) {
    if (into.nodes_.size() > most_nodes) return fail("the schema has more than 10000 types");
    std::string_view name;
    if (v.get(name)) return reference(name, space);
    if (v.is_array()) return parse_union(v, space);
    if (!v.is_object()) return fail(fmt::format("a type is a name, an array or an object, not {}", v.kind()));
    const auto type = field(v, "type");
    if (!type) return fail("a type has no 'type'");
    if (!type->get(name)) return parse(*type, space);
    if (name == "record" || name == "error") return parse_record(v, space);
    if (name == "enum") return parse_enum(v, space);
    if (name == "fixed") return parse_fixed(v, space);
    if (name == "array") return parse_items(v, avro_kind::array, "items", space);
    if (name == "map") return parse_items(v, avro_kind::map, "values", space);
    if (name == "long") {
      avro_node* n = make(avro_kind::long_);
      const std::string_view logical = text(v, "logicalType");
      if (logical.ends_with("timestamp-millis")) n->units_per_second = 1'000;
      if (logical.ends_with("timestamp-micros")) n->units_per_second = 1'000'000;
      return n;
    }
    if (name == "bytes") {
      avro_node* n = make(avro_kind::bytes);
      n->scale = scale_of(v);
      return n;
    }
    return reference(name, space);
  }

  /// Of a decimal; anything else that is called so is what it is without that, as the specification wants.
  static int scale_of(const json_value& v) {
    if (text(v, "logicalType") != "decimal") return -1;
    std::int64_t scale = 0;
    if (const auto s = field(v, "scale")) s->get(scale);
    return scale < 0 || scale > 1000 ? -1 : static_cast<int>(scale);
  }

  const avro_node* reference(std::string_view name, std::string_view space) {
    if (const auto kind = primitive(name)) return make(*kind);
    auto at = named.find(full_name(name, space));
    if (at == named.end()) at = named.find(name);
    if (at == named.end()) return fail(fmt::format("the type '{}' is not known", name.substr(0, 100)));
    return at->second;
  }

  avro_node* make_named(const json_value& v, avro_kind kind, std::string& space) {
    const std::string_view name = text(v, "name");
    if (name.empty()) {
      fail(fmt::format("{} has no name", name_of(kind)));
      return nullptr;
    }
    if (const std::string_view own = text(v, "namespace"); !own.empty()) space = own;
    avro_node* n = make(kind);
    n->name = full_name(name, space);
    if (const auto dot = n->name.rfind('.'); dot != std::string::npos) space = n->name.substr(0, dot);
    if (!named.emplace(n->name, n).second) {
      fail(fmt::format("the type '{}' is defined twice", n->name));
      return nullptr;
    }
    return n;
  }

  const avro_node* parse_record(const json_value& v, std::string space) {
    avro_node* n = make_named(v, avro_kind::record, space);
    if (n == nullptr) return nullptr;
    const auto fields = field(v, "fields");
    if (!fields || !fields->is_array()) return fail(fmt::format("the record '{}' has no fields", n->name));
    json_elements all(*fields);
    for (json_value f; all.next(f);) {
      if (!f.is_object()) return fail(fmt::format("a field of '{}' is no object", n->name));
      const std::string_view name = text(f, "name");
      const auto type = field(f, "type");
      if (name.empty() || !type) return fail(fmt::format("a field of '{}' has no name or no type", n->name));
      const avro_node* of = parse(*type, space);
      if (of == nullptr) return nullptr;
      n->parts.emplace_back(name, of);
    }
    return n;
  }
  const avro_node* parse_enum(const json_value& v, std::string space) {
    avro_node* n = make_named(v, avro_kind::enum_, space);
    if (n == nullptr) return nullptr;
    const auto symbols = field(v, "symbols");
    if (!symbols || !symbols->is_array()) return fail(fmt::format("the enum '{}' has no symbols", n->name));
    json_elements all(*symbols);
    std::string_view symbol;
    for (json_value s; all.next(s);) {
      if (!s.get(symbol)) return fail(fmt::format("a symbol of '{}' is no string", n->name));
      n->symbols.emplace_back(symbol);
    }
    return n;
  }
  const avro_node* parse_fixed(const json_value& v, std::string space) {
    avro_node* n = make_named(v, avro_kind::fixed, space);
    if (n == nullptr) return nullptr;
    std::int64_t size = -1;
    if (const auto s = field(v, "size")) s->get(size);
    if (size < 0) return fail(fmt::format("the fixed '{}' has no size", n->name));
    n->size = static_cast<std::size_t>(size);
    n->scale = scale_of(v);
    return n;
  }
  const avro_node* parse_items(const json_value& v, avro_kind kind, std::string_view what,
                               const std::string& space) {
    const auto items = field(v, what);
    if (!items) return fail(fmt::format("{} has no '{}'", name_of(kind), what));
    const avro_node* of = parse(*items, space);
    if (of == nullptr) return nullptr;
    avro_node* n = make(kind);
    n->parts.emplace_back(std::string(), of);
    return n;
  }
  const avro_node* parse_union(const json_value& v, const std::string& space) {
    avro_node* n = make(avro_kind::union_);
    json_elements all(v);
    for (json_value b; all.next(b);) {
      const avro_node* of = parse(b, space);
      if (of == nullptr) return nullptr;
      if (of->kind == avro_kind::union_) return fail("a union is directly in a union");
      n->parts.emplace_back(std::string(), of);
    }
    return n;
  }
};

result<std::shared_ptr<const avro_schema>> avro_schema::parse(std::string_view json,
                                                              std::span<const std::string> used) {
  const auto schema = std::make_shared<avro_schema>();
  avro_schema_parser p{*schema};
  const auto read = [&](std::string_view text, const char* which) -> result<> {
    // A schema may be the bare name of a primitive type, as some registries have it.
    if (const auto kind = avro_schema_parser::primitive(text)) {
      schema->root_ = p.make(*kind);
      return {};
    }
    json_document document;
    json_value root;
    json_problem problem;
    if (!document.parse(text, root, problem))
      return fail(errc::invalid_argument, fmt::format("{} is not JSON: {}", which, problem.text()));
    schema->root_ = p.parse(root, {});
    if (schema->root_ != nullptr) return {};
    return fail(errc::invalid_argument, fmt::format("{} is wrong: {}", which, p.problem));
  };
  for (const std::string& text : used) {
    if (auto done = read(text, "an Avro schema that it refers to"); !done)
      return fail(std::move(done.error()));
  }
  if (auto done = read(json, "the Avro schema"); !done) return fail(std::move(done.error()));
  return schema;
}

bool avro_reader::fail(std::string what) {
  if (problem_.empty()) problem_ = std::move(what);
  rest_ = {};
  return false;
}
bool avro_reader::expected(const char* what, const avro_node& found) {
  return fail(fmt::format("expected {}, the writer's schema has {}", what, name_of(found.kind)));
}
bool avro_reader::within(std::string_view field) {
  problem_.insert(0, fmt::format("field '{}': ", field.substr(0, 64)));
  return false;
}

bool avro_reader::get_long(std::int64_t& out) {
  const char* end = base::read_varint(rest_.data(), rest_.data() + rest_.size(), out);
  if (end == nullptr) return fail("an integer is cut off, or longer than 64 bits");
  rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
  return true;
}

bool avro_reader::get_fixed(std::size_t n, std::string_view& out) {
  if (n > rest_.size()) return fail("the bytes end within a value");
  out = rest_.substr(0, n);
  rest_.remove_prefix(n);
  return true;
}

bool avro_reader::get_bytes(std::string_view& out) {
  std::int64_t n = 0;
  if (!get_long(n)) return false;
  if (n < 0) return fail("a length is negative");
  return get_fixed(static_cast<std::size_t>(n), out);
}

bool avro_reader::get_boolean(bool& out) {
  std::string_view b;
  if (!get_fixed(1, b)) return false;
  if (b[0] != '\0' && b[0] != '\1') return fail("a boolean is neither 0 nor 1");
  out = b[0] == '\1';
  return true;
}

bool avro_reader::get_float(float& out) {
  std::string_view b;
  if (!get_fixed(sizeof out, b)) return false;
  std::memcpy(&out, b.data(), sizeof out);
  return true;
}
bool avro_reader::get_double(double& out) {
  std::string_view b;
  if (!get_fixed(sizeof out, b)) return false;
  std::memcpy(&out, b.data(), sizeof out);
  return true;
}

bool avro_reader::get_decimal(const avro_node& node, std::int64_t& unscaled) {
  std::string_view digits;  // two's complement, the highest byte first
  if (node.kind == avro_kind::fixed ? !get_fixed(node.size, digits) : !get_bytes(digits)) return false;
  if (digits.empty()) return fail("a decimal has no bytes");
  const bool negative = (static_cast<unsigned char>(digits.front()) & 0x80) != 0;
  while (digits.size() > sizeof unscaled) {
    if (digits.front() != (negative ? '\xff' : '\0')) return fail("a decimal has more than 18 digits");
    digits.remove_prefix(1);
  }
  if (digits.size() == sizeof unscaled &&
      ((static_cast<unsigned char>(digits.front()) & 0x80) != 0) != negative)
    return fail("a decimal has more than 18 digits");
  std::uint64_t bits = negative ? ~std::uint64_t{0} : 0;
  for (const char c : digits) bits = bits << 8 | static_cast<unsigned char>(c);
  unscaled = static_cast<std::int64_t>(bits);
  return true;
}

bool avro_reader::get_index(std::size_t count, std::size_t& out) {
  std::int64_t n = 0;
  if (!get_long(n)) return false;
  if (n < 0 || static_cast<std::uint64_t>(n) >= count)
    return fail(fmt::format("the writer's schema has no branch or symbol {}", n));
  out = static_cast<std::size_t>(n);
  return true;
}

bool avro_reader::get_block(std::size_t& count) {
  std::int64_t n = 0;
  if (!get_long(n)) return false;
  if (n < 0) {
    std::int64_t size = 0;
    if (!get_long(size)) return false;
    if (size < 0 || n == std::numeric_limits<std::int64_t>::min()) return fail("a block's size is wrong");
    n = -n;
  }
  if (static_cast<std::uint64_t>(n) > rest_.size())
    return fail("a block has more items than there are bytes");
  count = static_cast<std::size_t>(n);
  return true;
}

bool avro_reader::enter() {
  if (++depth_ > most_deep) return fail("values nest more than 64 deep");
  // Records in records, without a byte in them, may be more than anybody can wait for.
  if (++steps_ > 100'000 + 16 * total_) return fail("the schema has too many values without bytes");
  return true;
}

bool avro_reader::skip(const avro_node& what) {
  std::int64_t n = 0;
  std::size_t count = 0;
  std::string_view bytes;
  switch (what.kind) {
    case avro_kind::null: return true;
    case avro_kind::boolean: return get_fixed(1, bytes);
    case avro_kind::int_:
    case avro_kind::long_: return get_long(n);
    case avro_kind::float_: return get_fixed(4, bytes);
    case avro_kind::double_: return get_fixed(8, bytes);
    case avro_kind::bytes:
    case avro_kind::string: return get_bytes(bytes);
    case avro_kind::enum_: return get_index(what.symbols.size(), count);
    case avro_kind::fixed: return get_fixed(what.size, bytes);
    default: break;
  }
  if (!enter()) return false;
  bool skipped = true;
  if (what.kind == avro_kind::union_) {
    skipped = get_index(what.parts.size(), count) && skip(*what.parts[count].second);
  } else if (what.kind == avro_kind::record) {
    for (const auto& [name, type] : what.parts) skipped = skipped && skip(*type);
  } else {
    while ((skipped = skipped && get_block(count)) && count != 0) {
      for (; skipped && count != 0; --count) {
        const std::size_t before = rest_.size();
        skipped = (what.kind == avro_kind::array || get_bytes(bytes)) && skip(*what.parts[0].second);
        if (rest_.size() == before) break;  // items without bytes: so are the others
      }
    }
  }
  leave();
  return skipped;
}

void put_avro_long(std::int64_t v, std::string& out) {
  char bytes[base::max_varint64_bytes];
  out.append(bytes, static_cast<std::size_t>(base::write_varint(bytes, v) - bytes));
}
void put_avro_bytes(std::string_view v, std::string& out) {
  put_avro_long(static_cast<std::int64_t>(v.size()), out);
  out.append(v);
}
void put_avro_decimal(std::int64_t unscaled, std::string& out) {
  char bytes[sizeof unscaled];
  for (std::size_t i = 0; i < sizeof bytes; ++i) bytes[i] = static_cast<char>(unscaled >> (56 - 8 * i));
  std::size_t from = 0;  // the sign must still be seen in the first byte that is left
  while (from + 1 < sizeof bytes && bytes[from] == (unscaled < 0 ? '\xff' : '\0') &&
         ((bytes[from] ^ bytes[from + 1]) & 0x80) == 0)
    ++from;
  put_avro_bytes({bytes + from, sizeof bytes - from}, out);
}
void put_avro_fixed(const void* v, std::size_t n, std::string& out) {
  out.append(static_cast<const char*>(v), n);
}

std::string avro_full_name(std::string_view cpp_name) {
  std::string out;
  for (std::size_t i = 0; i < cpp_name.size(); ++i) {
    if (cpp_name.substr(i).starts_with("{anonymous}::")) {
      i += 12;
    } else if (cpp_name.substr(i).starts_with("(anonymous namespace)::")) {
      i += 22;
    } else if (cpp_name.substr(i, 2) == "::") {
      out.push_back('.');
      ++i;
    } else {
      const char c = cpp_name[i];
      const bool fits =
          (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
      out.push_back(fits ? c : '_');
    }
  }
  return out;
}

}  // namespace penstock::detail
