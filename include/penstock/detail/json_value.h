// SPDX-License-Identifier: Apache-2.0
// What reads and writes JSON without templates, so that the parser itself stays out of public headers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace penstock::detail {

/// A value of a parsed document; valid until the document parses the next one.
class json_value {
 public:
  bool is_null() const noexcept;
  // Each is false, with `out` untouched, when the value is of another kind or out of range.
  bool get(bool& out) const noexcept;
  bool get(std::int64_t& out) const noexcept;
  bool get(std::uint64_t& out) const noexcept;
  bool get(double& out) const noexcept;  ///< takes integers too
  bool get(std::string_view& out) const noexcept;
  bool is_object() const noexcept;
  bool is_array() const noexcept;
  /// "an integer", "a string" ...: for messages.
  const char* kind() const noexcept;

  // The layout of the parser's own handle, checked in json_value.cc.
  const void* document = nullptr;
  std::size_t index = 0;
};

/// Iterates over the fields of an object.
class json_fields {
 public:
  explicit json_fields(const json_value& object) noexcept;
  bool next(std::string_view& key, json_value& value) noexcept;

 private:
  json_value at_;
  json_value end_;
};

/// Iterates over the elements of an array.
class json_elements {
 public:
  explicit json_elements(const json_value& array) noexcept;
  bool next(json_value& value) noexcept;

 private:
  json_value at_;
  json_value end_;
};

/// What went wrong and where: "field 'a': field 'b': expected an integer, found a string".
class json_problem {
 public:
  bool fail(std::string what) {
    text_ = std::move(what);
    return false;
  }
  bool expected(const char* what, const json_value& found) {
    return fail(std::string("expected ") + what + ", found " + found.kind());
  }
  bool within(std::string_view field) {
    text_.insert(0, "field '" + std::string(field) + "': ");
    return false;
  }
  const std::string& text() const noexcept { return text_; }

 private:
  std::string text_;
};

/// A parser with its memory, made when first used. Copies begin empty. Values nest 64 deep at most.
class json_document {
 public:
  json_document() noexcept;
  json_document(const json_document&) noexcept;
  json_document& operator=(const json_document&) noexcept { return *this; }
  ~json_document();
  /// Parses one whole document; false with a problem when it is not one.
  bool parse(std::string_view text, json_value& root, json_problem& problem);

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

void append_json_string(std::string_view s, std::string& out);
void append_json_number(double v, std::string& out);  ///< null for what is no number
void append_json_number(float v, std::string& out);

}  // namespace penstock::detail
