// SPDX-License-Identifier: Apache-2.0
// The job that job_kill.py kills: counts the records of each key and second of event time. A record of `in`
// has a key and its event time, in decimal milliseconds, as its value; one of `out` has the same key and
// "START COUNT".
#include <penstock/penstock.h>

#include <cstdint>
#include <string>
#include <utility>

namespace ps = penstock;
using namespace std::chrono_literals;

int main(int argc, char** argv) {
  using event = std::pair<std::string, std::int64_t>;
  ps::topology topo("window-job");
  topo.read("in", ps::kafka::source{.topics = {"in"}}, ps::key_value(ps::text, ps::decimal<std::int64_t>))
      .assign_timestamps([](const event& e) { return e.second; })
      .key_by([](const event& e) { return e.first; })
      .window(ps::tumbling{.size = 1s})
      .aggregate("count", ps::count())
      .map([](const ps::window_result<std::string, std::int64_t>& w) {
        return std::pair(w.key, std::to_string(w.start_ms) + ' ' + std::to_string(w.value));
      })
      .write("out", ps::kafka::sink{.topic = "out"}, ps::key_value(ps::text, ps::text));
  return ps::main(topo, argc, argv);
}
