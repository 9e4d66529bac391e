// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <penstock/csv.h>
#include <penstock/files.h>
#include <penstock/json.h>
#include <penstock/testing.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace penstock {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

struct trade {
  std::string symbol;
  std::int64_t at = 0;
  int lot = 0;
};
BOOST_DESCRIBE_STRUCT(trade, (), (symbol, at, lot))

class files_test : public ::testing::Test {
 protected:
  files_test() {
    std::string pattern = (std::filesystem::temp_directory_path() / "files_test.XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
  }
  ~files_test() override { std::filesystem::remove_all(directory_); }
  std::string path(const std::string& name) const { return (directory_ / name).string(); }
  std::string with(const std::string& name, const std::string& content) const {
    std::ofstream(path(name), std::ios::binary) << content;
    return path(name);
  }
  std::string content(const std::string& name) const {
    std::ifstream in(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static std::string outcome(const result<>& r) { return r ? "" : r.error().message(); }

 private:
  std::filesystem::path directory_;
};

TEST_F(files_test, csv_goes_in_and_json_lines_come_out) {
  const auto in = with("in.csv", "symbol,at,lot\r\nA,1,10\r\n\r\n\"B,C\",2,20\nD,3,30");
  topology topo("t");
  topo.read("in", files::source{.paths = {in}, .skip_lines = 1}, csv<trade>)
      .write("out", files::sink{.path = path("out.ndjson")}, as_json);
  for (int run = 0; run < 2; ++run) {  // replaced by the second run
    testing::driver d(topo);
    ASSERT_EQ(outcome(d.finish()), "");
    EXPECT_EQ(content("out.ndjson"),
              "{\"symbol\":\"A\",\"at\":1,\"lot\":10}\n{\"symbol\":\"B,C\",\"at\":2,\"lot\":20}\n"
              "{\"symbol\":\"D\",\"at\":3,\"lot\":30}\n");
  }
}

TEST_F(files_test, lanes_share_the_files_and_write_whole_lines_to_one) {
  std::vector<std::string> paths;
  std::vector<std::string> expected;
  for (int f = 0; f < 5; ++f) {
    std::string lines;
    for (int i = 0; i < 3000; ++i) {
      const std::string line = "line " + std::to_string(i) + " of file " + std::to_string(f);
      lines += line + "\n";
      expected.push_back(line);
    }
    paths.push_back(with("in" + std::to_string(f), lines));
  }
  topology topo("t");
  topo.read("in", files::source{.paths = paths}, text)
      .rebalance()
      .write("out", files::sink{.path = path("out"), .header = "all"}, text);
  testing::driver d(topo, {.lanes = 3, .seed = 7});
  ASSERT_EQ(outcome(d.finish()), "");
  std::ifstream in(path("out"));
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  ASSERT_FALSE(lines.empty());
  EXPECT_EQ(lines.front(), "all");
  lines.erase(lines.begin());
  std::sort(lines.begin(), lines.end());
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(lines, expected);
}

TEST_F(files_test, lines_longer_than_what_is_read_at_once) {
  const std::string longest(3'000'000, 'x');
  const auto in = with("in", "a\n" + longest + "\nb\n");
  testing::collector<std::size_t> sizes;
  topology topo("t");
  topo.read("in", files::source{.paths = {in}}, text)
      .map([](const std::string& s) { return s.size(); })
      .for_each("sizes", sizes);
  testing::driver d(topo);
  ASSERT_EQ(outcome(d.finish()), "");
  EXPECT_THAT(sizes.values(), ElementsAre(1, longest.size(), 1));

  topology bounded("t");
  bounded.read("in", files::source{.paths = {in}, .longest_line = 1'000'000}, text)
      .for_each("out", [](const auto&) {});
  testing::driver refuses(bounded);
  EXPECT_THAT(outcome(refuses.finish()), HasSubstr("the line at byte 2 is longer than 1000000 bytes"));
}

TEST_F(files_test, times_of_lines_make_watermarks_as_if_lines_came_one_by_one) {
  const auto in = with("in", "a 1000\na 5000\na 1500\na 4500\n");
  topology topo("t");
  testing::collector<std::int64_t> counts, late;
  auto windows = topo.read("in",
                           files::source{.paths = {in},
                                         .watermarks = {.max_lag = 1s},
                                         .time_of = [](std::string_view line) -> std::optional<std::int64_t> {
                                           return std::stoll(std::string(line.substr(2)));
                                         }},
                           text)
                     .key_by([](const std::string& s) { return s.substr(0, 1); })
                     .window(tumbling{.size = 2s})
                     .aggregate("n", count());
  windows.map([](const auto& w) { return w.value; }).for_each("counts", counts);
  windows.late().map([](const std::string& s) { return std::stoll(s.substr(2)); }).for_each("late", late);
  testing::driver d(topo);
  ASSERT_EQ(outcome(d.finish()), "");
  EXPECT_THAT(counts.values(), ElementsAre(1, 2));  // 1500 is behind 5000 - 1 s
  EXPECT_THAT(late.values(), ElementsAre(1500));
}

TEST_F(files_test, problems_are_named) {
  topology none("t");
  none.read("in", files::source{}, text).for_each("out", [](const auto&) {});
  testing::driver without(none);
  EXPECT_THAT(outcome(without.finish()), HasSubstr("no paths"));

  topology missing("t");
  missing.read("in", files::source{.paths = {path("missing")}}, text).for_each("out", [](const auto&) {});
  testing::driver d(missing);
  EXPECT_THAT(outcome(d.finish()), HasSubstr(path("missing")));
}

TEST_F(files_test, appends_where_it_is_asked_to) {
  topology topo("t");
  topo.read_elements("in", {"new"})
      .write("out", files::sink{.path = path("out"), .header = "h", .append = true}, text);
  // What a crash cut off in the middle of a line is left by itself.
  for (const auto& [before, after] : std::vector<std::pair<std::string, std::string>>{
           {"old\n", "old\nnew\n"}, {"old\nhal", "old\nhal\nnew\n"}}) {
    with("out", before);
    testing::driver d(topo);
    ASSERT_EQ(outcome(d.finish()), "");
    EXPECT_EQ(content("out"), after);
  }
}

}  // namespace
}  // namespace penstock
