// SPDX-License-Identifier: Apache-2.0
// kafka_proxy BROKER [PORT [SEED]]: the proxy as a program, for tests in other languages.
//
// It prints "listening on 127.0.0.1:PORT" and reads one command a line, each answered by a line that begins
// with "ok" or "error"; lines that begin with "event" come in between. It ends with its standard input.
//
//   rule FAULT [api=NAME] [version=N-M] [client=ID] [skip=N] [times=N] [chance=P] [ms=N-M] (proxy_rules.h)
//   clear | release | cut | refuse on|off | stats
#include <charconv>
#include <cstdio>
#include <iostream>
#include <string>
#include <thread>

#include "proxy.h"

int main(int argc, char** argv) {
  using namespace penstock;
  const auto complain = [](std::string_view what) {
    std::fprintf(stderr, "kafka_proxy: %.*s\n", static_cast<int>(what.size()), what.data());
    return 1;
  };
  if (argc < 2 || argc > 4) return complain("kafka_proxy BROKER [PORT [SEED]]");
  const auto broker = io::parse_endpoint(argv[1]);
  if (!broker) return complain(broker.error().message());
  const auto number = [&](int at, unsigned long fallback) {
    return argc > at ? std::strtoul(argv[at], nullptr, 10) : fallback;
  };

  io::event_loop loop;
  {
    testing::proxy proxy(loop, *broker, number(3, 1));
    const auto print = [](const std::string& line) {
      std::puts(line.c_str());
      std::fflush(stdout);
    };
    if (auto listening = proxy.listen(static_cast<std::uint16_t>(number(2, 0))); !listening)
      return complain(listening.error().message());
    proxy.on_event = [&](const testing::proxy_event& e) { print(testing::to_string(e)); };
    print("listening on " + to_string(proxy.address()));
    std::thread reader([&] {
      std::string line;
      while (std::getline(std::cin, line)) loop.post([&proxy, &print, line] { print(proxy.command(line)); });
      loop.stop();
    });
    loop.run();
    reader.join();
  }
  loop.poll();  // what closing has completed
  return 0;
}
