// SPDX-License-Identifier: Apache-2.0
// What a hostile broker may send: to a connection (frames, negotiation, answers to its requests), and as what
// group members tell each other. The first byte chooses.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "client/assignors.h"
#include "client/connection.h"
#include "client/metadata.h"
#include "client/section_end.h"
#include "io/memory_stream.h"
#include "wire/messages/fetch.h"
#include "wire/messages/metadata.h"

namespace {

using namespace penstock;

// The connection reads the bytes as they are; then requests are sent, so that well-formed answers get
// further.
void feed_connection(std::string_view bytes) {
  io::manual_clock clock;
  io::event_loop loop(clock);
  client::buffer_pool buffers;
  auto pair = io::connect_in_memory(loop, {.most_a_read = 1 + bytes.size() / 3});
  auto held = std::make_shared<std::string>(bytes);
  pair.second->write({{.bytes = *held, .keep = held}}, [](result<>) {});
  auto c = std::make_shared<client::connection>(
      loop, std::move(pair.first), buffers,
      client::connection_options{.client_id = "fuzz", .max_response_bytes = 1 << 16});
  client::metadata_cache cache;
  c->start(
      [&] {
        client::outgoing ask;
        ask.key = wire::api_key::metadata;
        ask.max_version = wire::metadata_request::max_version;
        ask.encode = [](wire::writer& w, std::int16_t version) {
          return wire::metadata_request{}.encode(w, version);
        };
        ask.done = [&](result<client::incoming> in) {
          wire::metadata_response response;
          if (in && response.decode(in->body, in->version)) cache.apply(response);
        };
        c->send(std::move(ask));
      },
      [](const error&) {});
  for (int i = 0; i < 20; ++i) loop.poll();
  c->abandon();
  pair.second->close();
  loop.poll();
}

void feed_assignments(std::string_view bytes) {
  auto s = client::decode_subscription("sticky", "m", "", bytes);
  const auto a = client::decode_assignment(bytes);
  if (client::decode_assignment(client::encode_assignment(a)).partitions.size() > a.partitions.size())
    std::abort();
  s.owned.insert(s.owned.end(), a.partitions.begin(), a.partitions.end());
  std::map<std::string, std::int32_t> partitions;
  for (const auto& t : s.topics)
    if (partitions.size() < 100) partitions[t] = 3;
  const client::group_subscription other{"other", "", s.topics, a.partitions, s.generation};
  for (const auto how : {kafka::assignor::range, kafka::assignor::round_robin, kafka::assignor::sticky,
                         kafka::assignor::cooperative_sticky}) {
    std::size_t given = 0;
    for (const auto& [m, list] : client::share_out(how, {s, other}, partitions)) given += list.size();
    // Cooperative members may have to let go of something first.
    const bool all = how != kafka::assignor::cooperative_sticky;
    if (given > partitions.size() * 3 || (all && given < partitions.size() * 3)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0: feed_connection(bytes); break;
    case 1: feed_assignments(bytes); break;
    default:
      if (client::end_of_section(bytes, 5).offset < 5) std::abort();
  }
  return 0;
}
