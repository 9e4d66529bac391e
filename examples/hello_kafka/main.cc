// SPDX-License-Identifier: Apache-2.0
// The first program: a stream from elements through a Kafka sink to a topic, and from the topic through a
// Kafka source to standard output. On a broker inside of this process, or on any other:
//
//     hello_kafka
//     hello_kafka --brokers localhost:9092
#include <penstock/broker.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>

#include "hello_kafka.h"

namespace ps = penstock;

namespace {

ps::result<> run_both(const std::string& brokers) {
  const ps::application_options options{.run = {.lanes = 1, .settings = {{"bootstrap.servers", brokers}}},
                                        .progress = {}};
  const auto say =
      hello::say(ps::kafka::sink{.topic = "hello", .create = ps::kafka::create_topic{.partitions = 1}});
  if (auto said = ps::run(say, options); !said) return said;
  // Ends with what is there now.
  const auto hear = hello::hear(ps::kafka::source{.topics = {"hello"}, .stop = ps::kafka::stop_at::latest()});
  return ps::run(hear, options);
}

}  // namespace

int main(int argc, char** argv) {
  std::string brokers;
  CLI::App app("Writes two records to the topic 'hello' and reads what the topic holds.");
  app.add_option("--brokers", brokers,
                 "Kafka brokers, host:port,host:port (default: one inside of this process)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }

  std::optional<ps::embedded_broker> broker;
  std::string directory;
  if (brokers.empty()) {
    std::string name = (std::filesystem::temp_directory_path() / "hello_kafka.XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
      std::perror(name.c_str());
      return 1;
    }
    directory = name;
    auto started = ps::embedded_broker::start({.directory = directory});
    if (!started) {
      std::fprintf(stderr, "hello_kafka: %s\n", started.error().message().c_str());
      return 1;
    }
    broker = std::move(*started);
    brokers = broker->bootstrap_servers();
  }
  const auto done = run_both(brokers);
  if (!done) std::fprintf(stderr, "hello_kafka: %s\n", done.error().message().c_str());
  if (broker) {
    (void)broker->stop();
    std::filesystem::remove_all(directory);
  }
  return done ? 0 : 1;
}
