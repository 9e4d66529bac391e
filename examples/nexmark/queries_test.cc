// SPDX-License-Identifier: Apache-2.0
// The queries under the test driver. What their rows must be, nexmark_test.py asks SQLite; here, that rows do
// not depend on the number of lanes, nor on which lane works when.
#include <gtest/gtest.h>
#include <penstock/testing.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "query.h"

namespace nexmark {
namespace {

class every_query : public ::testing::TestWithParam<std::string_view> {
 protected:
  every_query() {
    std::string pattern = (std::filesystem::temp_directory_path() / "nexmark_test.XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
  }
  ~every_query() override { std::filesystem::remove_all(directory_); }

  /// Sorted.
  std::vector<std::string> rows_with(unsigned lanes, std::uint64_t seed) {
    const std::string path = directory_ / "rows";
    auto out = rows::to(path);
    EXPECT_TRUE(out);
    const event_input in{events_in_memory{.count = 6'000, .made = generator(generator_options{})}};
    const auto topo = query_named(GetParam())(in, *out);
    penstock::testing::driver d(topo, {.lanes = lanes, .seed = seed});
    const auto done = d.finish();
    EXPECT_TRUE(done) << done.error().message();
    EXPECT_TRUE(out->close());
    std::ifstream file(path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    if (GetParam() == "q4") lines = last_of_each(lines);
    std::sort(lines.begin(), lines.end());
    return lines;
  }

 private:
  /// An average of what several lanes have made goes through other values on other lanes.
  static std::vector<std::string> last_of_each(const std::vector<std::string>& lines) {
    std::map<std::string, std::string> rows;
    for (const std::string& line : lines) rows[line.substr(0, line.find(','))] = line;
    std::vector<std::string> last;
    for (const auto& [id, row] : rows) last.push_back(row);
    return last;
  }
  std::filesystem::path directory_;
};

TEST_P(every_query, has_the_same_rows_on_any_number_of_lanes) {
  const auto expected = rows_with(1, 0);
  EXPECT_FALSE(expected.empty());
  EXPECT_EQ(rows_with(2, 1), expected);
  EXPECT_EQ(rows_with(3, 2), expected);
}

std::vector<std::string_view> names() {
  std::vector<std::string_view> all;
  for (const auto& [name, make] : queries()) all.push_back(name);
  return all;
}
INSTANTIATE_TEST_SUITE_P(nexmark, every_query, ::testing::ValuesIn(names()),
                         [](const auto& query) { return std::string(query.param); });

}  // namespace
}  // namespace nexmark
