// SPDX-License-Identifier: Apache-2.0
// The first byte chooses: a line of CSV, an Avro value of a known schema, or (with the schema in front of the
// value, a zero byte between) an Avro value of an unknown one. What was read must survive being written and
// read again.
#include <penstock/avro.h>
#include <penstock/csv.h>

#include <cmath>
#include <cstdlib>
#include <vector>

namespace {

struct part {
  std::string name;
  std::vector<std::int32_t> numbers;
  friend bool operator==(const part&, const part&) = default;
};
BOOST_DESCRIBE_STRUCT(part, (), (name, numbers))
struct whole {
  std::int64_t id = 0;
  bool late = false;
  std::optional<std::string> note;
  std::map<std::string, part> parts;
  std::vector<whole> children;
  friend bool operator==(const whole&, const whole&) = default;
};
BOOST_DESCRIBE_STRUCT(whole, (), (id, late, note, parts, children))
struct row {
  std::string text;
  std::optional<int> n;
  bool yes = false;
  friend bool operator==(const row&, const row&) = default;
};
BOOST_DESCRIBE_STRUCT(row, (), (text, n, yes))

template <typename Format, typename T>
void round_trip(const Format& format, std::string_view bytes, T value) {
  if (!format.decode(penstock::detail::record_of(bytes), value)) return;
  std::string text;
  format.encode(value, text);
  T back{};
  if (!format.decode(penstock::detail::record_of(text), back) || !(back == value)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  if (size == 0) return 0;
  const std::vector<char> exact(data + 1, data + size);
  const std::string_view bytes(exact.data(), exact.size());
  if (data[0] % 3 == 0) round_trip(csv<row>, bytes, row{});
  if (data[0] % 3 == 1) round_trip(avro<whole>, bytes, whole{});
  if (data[0] % 3 == 2) {
    const auto end = bytes.find('\0');
    if (end == std::string_view::npos) return 0;
    const auto schema = detail::avro_schema::parse(bytes.substr(0, end));
    whole into;
    if (schema) (void)detail::decode_avro(**schema, bytes.substr(end + 1), into);
  }
  return 0;
}
