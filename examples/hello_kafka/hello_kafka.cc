// SPDX-License-Identifier: Apache-2.0
#include "hello_kafka.h"

#include <string>
#include <utility>
#include <vector>

namespace ps = penstock;

namespace {

// A pair as a record: the word is its key, the number, in decimal, its value.
constexpr auto greeting = ps::key_value(ps::text, ps::decimal<int>);

}  // namespace

ps::topology say_hello() {
  ps::topology topo("say-hello");
  topo.read_elements("greetings", std::vector<std::pair<std::string, int>>{{"hello", 1}, {"world", 2}})
      .write("to-kafka",
             ps::kafka::sink{.topic = "hello", .create = ps::kafka::create_topic{.partitions = 1}}, greeting);
  return topo;
}

ps::topology hear_hello() {
  ps::topology topo("hear-hello");
  topo.read("from-kafka", ps::kafka::source{.topics = {"hello"}, .stop = ps::kafka::stop_at::latest()},
            greeting)
      .print("out");
  return topo;
}
