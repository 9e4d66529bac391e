// SPDX-License-Identifier: Apache-2.0
// What the wire itself allows: asks one broker for the partitions of a topic and receives the answers into
// one buffer, over a blocking socket. Looks at nothing but the header of each batch, to know where to go on:
// no checksum, no record. Prints the same JSON line as `penstock perf consume`.
//
//     raw_fetch HOST:PORT TOPIC PARTITIONS RECORDS [PARTITION_BYTES]
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "figures.h"
#include "wire/api.h"
#include "wire/messages/fetch.h"
#include "wire/record_batch.h"

namespace {

using namespace penstock;
constexpr std::int16_t version = 4;

[[noreturn]] void complain(const std::string& why) {
  std::fprintf(stderr, "raw_fetch: %s\n", why.c_str());
  std::exit(1);
}

int connect_to(const std::string& address) {
  const auto colon = address.rfind(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(std::atoi(address.c_str() + colon + 1)));
  if (inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr) != 1)
    complain("HOST is not an IPv4 address");
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
    complain("cannot connect to " + address);
  return fd;
}

void receive(int fd, char* into, std::size_t size) {
  while (size > 0) {
    const ssize_t n = recv(fd, into, size, 0);
    if (n <= 0) complain("the connection ended");
    into += n;
    size -= static_cast<std::size_t>(n);
  }
}

std::size_t receive_frame(int fd, std::string& into) {
  unsigned char length[4];
  receive(fd, reinterpret_cast<char*>(length), sizeof length);
  const std::size_t size = (std::size_t{length[0]} << 24) | (std::size_t{length[1]} << 16) |
                           (std::size_t{length[2]} << 8) | length[3];
  if (into.size() < size) into.resize(size);
  receive(fd, into.data(), size);
  return size;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5 && argc != 6) {
    std::fprintf(stderr, "usage: raw_fetch HOST:PORT TOPIC PARTITIONS RECORDS [PARTITION_BYTES]\n");
    return 2;
  }
  std::vector<std::int64_t> next(static_cast<std::size_t>(std::atoi(argv[3])));
  const long long wanted = std::atoll(argv[4]);
  const int partition_bytes = argc == 6 ? std::atoi(argv[5]) : 1 << 20;
  const int fd = connect_to(argv[1]);
  std::string asked, answer;
  long long records = 0, bytes = 0;
  const peers::measurement measured;
  while (records < wanted) {
    wire::fetch_request q;
    q.replica_id = -1;
    q.max_wait_ms = 500;
    q.min_bytes = 1;
    q.max_bytes = 50 << 20;
    auto& topic = q.topics.emplace_back();
    topic.topic = argv[2];
    for (std::size_t p = 0; p < next.size(); ++p) {
      auto& part = topic.partitions.emplace_back();
      part.partition = static_cast<std::int32_t>(p);
      part.fetch_offset = next[p];
      part.partition_max_bytes = partition_bytes;
    }
    asked.clear();
    wire::writer out(asked);
    if (!wire::encode_frame(out, {wire::fetch_request::key, version, 1, "raw"}, q)) complain("cannot encode");
    if (send(fd, asked.data(), asked.size(), 0) != static_cast<ssize_t>(asked.size()))
      complain("cannot send");

    const std::size_t size = receive_frame(fd, answer);
    bytes += static_cast<long long>(size);
    wire::reader in(bytes_view(answer.data(), size));
    wire::response_header header;
    wire::fetch_response r;
    if (!header.decode(in, wire::fetch_request::key, version) || !r.decode(in, version))
      complain("cannot decode");
    for (const auto& t : r.responses) {
      for (const auto& p : t.partitions) {
        if (p.error_code != 0) complain("the broker answers with error " + std::to_string(p.error_code));
        bytes_view left = p.records.bytes;
        while (const std::size_t whole = wire::peek_total_size(left)) {
          if (whole > left.size()) break;
          const auto h = wire::parse_batch_header(left.substr(0, whole));
          if (!h) complain("not a record batch");
          records += h->record_count;
          next[static_cast<std::size_t>(p.partition_index)] = h->base_offset + h->last_offset_delta + 1;
          left.remove_prefix(whole);
        }
      }
    }
  }
  measured.print(records, bytes);
  close(fd);
  return 0;
}
