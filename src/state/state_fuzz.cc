// SPDX-License-Identifier: Apache-2.0
// A changelog is a topic, and whatever is in it is outside data. The first byte chooses what the rest is
// taken for: a value of some type, or rows of a function's state. What was read, written and read again is
// the same.
#include <penstock/detail/state_columns.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

namespace state_fuzz {
struct point {
  std::int32_t x;
  std::int64_t y;
};
struct order {
  std::string id;
  std::vector<std::int64_t> amounts;
  std::optional<double> price;
};
}  // namespace state_fuzz

namespace {

using namespace penstock;
using namespace penstock::detail;
using state_fuzz::order;
using state_fuzz::point;

template <typename T>
void value(std::string_view in) {
  T first{}, second{};
  if (!decode_all(in, first)) return;
  std::string once, twice;
  encode_state(first, once);
  if (!decode_all(once, second)) std::abort();
  encode_state(second, twice);
  if (once != twice) std::abort();
}

struct all_rows final : state_log {
  void put(std::uint32_t partition, std::string_view row, std::string_view bytes) override {
    rows[{partition, std::string(row)}] = bytes;
  }
  void erase(std::uint32_t partition, std::string_view row) override {
    rows.erase({partition, std::string(row)});
  }
  std::map<std::pair<std::uint32_t, std::string>, std::string> rows;
};

/// A function with one state of each kind.
template <typename K>
struct function {
  keyed_rows<K> rows;
  value_column<std::string>& one;
  map_column<std::string, std::int64_t>& map;
  function()
      : one(rows.add_column("one", std::make_unique<value_column<std::string>>(rows, state_options{}),
                            false)),
        map(rows.add_column(
            "map", std::make_unique<map_column<std::string, std::int64_t>>(rows, state_options{}), false)) {
    rows.add_column(
        "list",
        std::make_unique<list_column<std::int32_t>>(
            rows, state_options{.ttl = std::chrono::milliseconds(5), .ttl_time = time_domain::event}),
        true);
    rows.add_shared("rules", std::make_unique<shared_map<std::int64_t, std::string>>());
    rows.note_changes();
  }
  bool restore(bool shared, std::string_view row, std::string_view bytes) {
    return shared ? rows.restore_shared(row, bytes)
                  : rows.restore(row, bytes, [](row_id, std::string_view&) { return true; });
  }
  /// Touches every row, so that all of them are written.
  void save(all_rows& to) {
    rows.save_shared(to, true);
    rows.save_changes(to, [](row_id, std::string&) {});
  }
};

/// Rows, each behind a byte that says whether it is shared, the length of its name and that of its value.
template <typename K>
void rows_of(std::string_view in) {
  function<K> f;
  while (in.size() >= 3) {
    const bool shared = (in[0] & 1) != 0;
    const auto name_size = static_cast<std::size_t>(static_cast<unsigned char>(in[1]));
    const auto value_size = static_cast<std::size_t>(static_cast<unsigned char>(in[2]));
    in.remove_prefix(3);
    const std::string_view name = in.substr(0, name_size);
    in.remove_prefix(name.size());
    const std::string_view bytes = in.substr(0, value_size);
    in.remove_prefix(bytes.size());
    if (!f.restore(shared, name, bytes)) return;
  }
  // It can be worked with, and what is written can be read.
  const K key{};
  f.rows.select(key, key_traits<K>::hash(key));
  f.one.set("x");
  f.map.put("entry", 1);
  f.map.put("other", 2);
  f.map.erase("entry");
  f.rows.done();
  f.rows.set_time(1'000, 1'000, 1'000);
  f.rows.sweep();
  all_rows log;
  f.save(log);
  function<K> again;
  for (const bool shared : {true, false})
    for (const auto& [name, bytes] : log.rows)
      if ((name.first == shared_rows) == shared && !again.restore(shared, name.second, bytes)) std::abort();
  again.rows.select(key, key_traits<K>::hash(key));
  if (again.one.get() == nullptr || *again.one.get() != "x" || again.map.get("other") == nullptr)
    std::abort();
  again.rows.done();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::vector<char> exact(data + 1, data + size);  // what is read behind its end is noticed
  const std::string_view in(exact.data(), exact.size());
  switch (data[0] % 10) {
    case 0: value<std::string>(in); break;
    case 1: value<std::vector<std::string>>(in); break;
    case 2: value<std::map<std::int32_t, std::vector<std::int64_t>>>(in); break;
    case 3: value<std::variant<std::int64_t, std::string, std::optional<bool>>>(in); break;
    case 4:
      value<std::tuple<double, std::pair<char, std::string>, std::optional<std::set<std::string>>>>(in);
      break;
    case 5: value<point>(in); break;
    case 6: value<order>(in); break;
    case 7: value<std::map<std::string, std::array<std::uint16_t, 3>>>(in); break;
    case 8: rows_of<std::string>(in); break;
    default: rows_of<std::int64_t>(in);
  }
  return 0;
}
