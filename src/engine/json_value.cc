// SPDX-License-Identifier: Apache-2.0
#include <penstock/detail/json_value.h>
#include <simdjson.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <type_traits>

#include "engine/json_text.h"

namespace penstock::detail {
namespace {

namespace dom = simdjson::dom;

// json_value carries the parser's handles through headers that do not know them.
static_assert(sizeof(json_value) == sizeof(dom::element) && std::is_trivially_copyable_v<dom::element>);
static_assert(sizeof(json_value) == sizeof(dom::object::iterator) &&
              std::is_trivially_copyable_v<dom::object::iterator>);
static_assert(sizeof(json_value) == sizeof(dom::array::iterator) &&
              std::is_trivially_copyable_v<dom::array::iterator>);

template <typename To>
To as(const json_value& v) noexcept {
  return std::bit_cast<To>(v);
}
template <typename From>
json_value handle(const From& v) noexcept {
  return std::bit_cast<json_value>(v);
}

template <typename T>
bool get_as(const json_value& v, T& out) noexcept {
  return as<dom::element>(v).get(out) == simdjson::SUCCESS;
}

constexpr std::size_t max_depth = 64;

}  // namespace

bool json_value::is_null() const noexcept { return as<dom::element>(*this).is_null(); }
bool json_value::get(bool& out) const noexcept { return get_as(*this, out); }
bool json_value::get(std::int64_t& out) const noexcept { return get_as(*this, out); }
bool json_value::get(std::uint64_t& out) const noexcept { return get_as(*this, out); }
bool json_value::get(double& out) const noexcept { return get_as(*this, out); }
bool json_value::get(std::string_view& out) const noexcept { return get_as(*this, out); }
bool json_value::is_object() const noexcept { return as<dom::element>(*this).is_object(); }
bool json_value::is_array() const noexcept { return as<dom::element>(*this).is_array(); }

const char* json_value::kind() const noexcept {
  switch (as<dom::element>(*this).type()) {
    case dom::element_type::ARRAY: return "an array";
    case dom::element_type::OBJECT: return "an object";
    case dom::element_type::INT64:
    case dom::element_type::UINT64: return "an integer";
    case dom::element_type::DOUBLE: return "a number with a fraction";
    case dom::element_type::STRING: return "a string";
    case dom::element_type::BOOL: return "a boolean";
    case dom::element_type::NULL_VALUE: return "null";
  }
  return "something unknown";
}

json_fields::json_fields(const json_value& object) noexcept {
  const dom::object o = as<dom::element>(object).get_object().value_unsafe();
  at_ = handle(o.begin());
  end_ = handle(o.end());
}

bool json_fields::next(std::string_view& key, json_value& value) noexcept {
  auto at = as<dom::object::iterator>(at_);
  if (!(at != as<dom::object::iterator>(end_))) return false;
  key = at.key();
  value = handle(at.value());
  at_ = handle(++at);
  return true;
}

json_elements::json_elements(const json_value& array) noexcept {
  const dom::array a = as<dom::element>(array).get_array().value_unsafe();
  at_ = handle(a.begin());
  end_ = handle(a.end());
}

bool json_elements::next(json_value& value) noexcept {
  auto at = as<dom::array::iterator>(at_);
  if (!(at != as<dom::array::iterator>(end_))) return false;
  value = handle(*at);
  at_ = handle(++at);
  return true;
}

struct json_document::impl {
  dom::parser parser;
};

json_document::json_document() noexcept = default;
json_document::json_document(const json_document&) noexcept {}
json_document::~json_document() = default;

bool json_document::parse(std::string_view text, json_value& root, json_problem& problem) {
  if (impl_ == nullptr) impl_ = std::make_unique<impl>();
  dom::parser& p = impl_->parser;
  // The parser sizes its memory by the largest document so far, and its depth only then.
  if (text.size() > p.capacity() || p.max_depth() != max_depth) {
    if (p.allocate(std::bit_ceil(text.size() + 1), max_depth) != simdjson::SUCCESS)
      return problem.fail("a JSON document of " + std::to_string(text.size()) + " bytes is too large");
  }
  dom::element e;
  if (const auto code = p.parse(text.data(), text.size()).get(e); code != simdjson::SUCCESS)
    return problem.fail(std::string("not valid JSON: ") + simdjson::error_message(code));
  root = handle(e);
  return true;
}

void append_json_string(std::string_view s, std::string& out) {
  static constexpr char hex[] = "0123456789abcdef";
  out.push_back('"');
  std::size_t plain = 0;
  for (std::size_t i = 0; i < s.size(); ++i) {
    const auto c = static_cast<unsigned char>(s[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(s.substr(plain, i - plain));
    plain = i + 1;
    switch (c) {
      case '"': out.append("\\\""); break;
      case '\\': out.append("\\\\"); break;
      case '\n': out.append("\\n"); break;
      case '\r': out.append("\\r"); break;
      case '\t': out.append("\\t"); break;
      default: out.append("\\u00").push_back(hex[c >> 4]); out.push_back(hex[c & 15]);
    }
  }
  out.append(s.substr(plain));
  out.push_back('"');
}

namespace {
template <typename F>
void append_number(F v, std::string& out) {
  if (!std::isfinite(v)) {
    out.append("null");
    return;
  }
  char digits[64];
  const auto r = std::to_chars(digits, digits + sizeof digits, v);
  out.append(digits, r.ptr);
}
}  // namespace

void append_json_number(double v, std::string& out) { append_number(v, out); }
void append_json_number(float v, std::string& out) { append_number(v, out); }

}  // namespace penstock::detail

namespace penstock::engine {

std::string json_string(std::string_view s) {
  std::string out;
  detail::append_json_string(s, out);
  return out;
}

}  // namespace penstock::engine
