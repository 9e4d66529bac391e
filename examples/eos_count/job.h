// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/topology.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace eos_count {

struct arrival {
  std::string key;
  std::string src;
};
struct counted {
  std::string key;
  std::int64_t count = 0;
  std::string src;
};

struct arrival_format {
  using value_type = arrival;
  penstock::result<> decode(const penstock::raw& record, arrival& into) const {
    into.key.assign(record.key);
    into.src = std::to_string(record.partition()) + ':' + std::to_string(record.offset);
    return {};
  }
};

struct count_format {
  bool encode_key(const counted& c, std::string& out) const {
    out += c.key;
    return true;
  }
  void encode(const counted& c, std::string& out) const { out += std::to_string(c.count); }
  void encode_headers(const counted& c, penstock::header_writer& out) const { out.add("src", c.src); }
};

struct counter {
  using output = counted;
  penstock::value_state<std::int64_t> count;
  explicit counter(auto& state) : count(state, "count") {}
  void process(const arrival& a, auto& ctx) {
    const std::int64_t n = count.value_or(0) + 1;
    count.set(n);
    ctx.emit({a.key, n, a.src});
  }
};

/// The topology takes its connectors, so that the program gives it Kafka and the test gives it memory.
template <typename Source, typename Sink>
penstock::topology count_job(Source in, Sink out, std::optional<Sink> also = {}) {
  penstock::topology topo("eos-count");
  auto all = topo.read("in", std::move(in), arrival_format{})
                 .key_by(&arrival::key)
                 .template process<counter>("count");
  all.write("out", std::move(out), count_format{});
  if (also) all.write("also", std::move(*also), count_format{});
  return topo;
}

}  // namespace eos_count
