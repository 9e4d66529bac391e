// SPDX-License-Identifier: Apache-2.0
// Avro schemas, and what reads and writes its binary encoding without templates.
#pragma once

#include <penstock/result.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::detail {

enum class avro_kind : std::uint8_t {
  null,
  boolean,
  int_,
  long_,
  float_,
  double_,
  bytes,
  string,
  record,
  enum_,
  array,
  map,
  union_,
  fixed
};
/// "a string", "a record" ...: for messages.
const char* name_of(avro_kind kind) noexcept;

/// A type of a schema. Belongs to its avro_schema; named types may refer to themselves.
struct avro_node {
  avro_kind kind = avro_kind::null;
  std::string name{};                                             ///< of record, enum, fixed
  std::vector<std::pair<std::string, const avro_node*>> parts{};  ///< fields, branches, or the one element
  std::vector<std::string> symbols{};
  std::size_t size = 0;               ///< of fixed
  std::int64_t units_per_second = 0;  ///< of a logical timestamp in a long; 0: it is none
  int scale = -1;                     ///< of a logical decimal in bytes or a fixed; -1: it is none
};

/// A parsed schema: constant once made, shared by all threads.
class avro_schema {
 public:
  /// The sentence says what is wrong with the text. `used`: texts whose types it may name, each before those
  /// that name its own.
  static result<std::shared_ptr<const avro_schema>> parse(std::string_view json,
                                                          std::span<const std::string> used = {});
  const avro_node& root() const noexcept { return *root_; }

 private:
  friend struct avro_schema_parser;
  std::vector<std::unique_ptr<avro_node>> nodes_;
  const avro_node* root_ = nullptr;
};

/// Reads the binary encoding. The first problem stays; everything after it fails.
class avro_reader {
 public:
  explicit avro_reader(std::string_view bytes) noexcept : rest_(bytes), total_(bytes.size()) {}
  bool get_long(std::int64_t& out);
  bool get_bytes(std::string_view& out);
  bool get_fixed(std::size_t n, std::string_view& out);
  bool get_boolean(bool& out);
  bool get_float(float& out);
  bool get_double(double& out);
  /// A decimal's digits as one number, the point left out.
  bool get_decimal(const avro_node& node, std::int64_t& unscaled);
  /// The branch of a union, the symbol of an enum.
  bool get_index(std::size_t count, std::size_t& out);
  /// The next block of an array or map: its number of items, 0 at the end. No more than there are bytes.
  bool get_block(std::size_t& count);
  bool skip(const avro_node& what);
  /// Values nest 64 deep at most.
  bool enter();
  void leave() noexcept { --depth_; }

  bool fail(std::string what);
  bool expected(const char* what, const avro_node& found);
  bool within(std::string_view field);
  const std::string& problem() const noexcept { return problem_; }
  std::size_t left() const noexcept { return rest_.size(); }
  std::size_t total() const noexcept { return total_; }

 private:
  static constexpr int most_deep = 64;
  std::string_view rest_;
  std::size_t total_;
  int depth_ = 0;
  std::size_t steps_ = 0;
  std::string problem_;
};

void put_avro_long(std::int64_t v, std::string& out);
void put_avro_bytes(std::string_view v, std::string& out);
void put_avro_decimal(std::int64_t unscaled, std::string& out);
void put_avro_fixed(const void* v, std::size_t n, std::string& out);

/// A C++ type's name as Avro writes it: "shop::order" is "shop.order".
std::string avro_full_name(std::string_view cpp_name);
/// What the compiler calls T.
template <typename T>
std::string_view cpp_name_of() {
  const std::string_view text = __PRETTY_FUNCTION__;
  const auto from = text.find("T = ") + 4;
  return text.substr(from, text.find_first_of(";]", from) - from);
}

}  // namespace penstock::detail
