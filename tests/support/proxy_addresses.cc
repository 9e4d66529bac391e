// SPDX-License-Identifier: Apache-2.0
#include "proxy_addresses.h"

#include "wire/messages/describe_cluster.h"
#include "wire/messages/fetch.h"
#include "wire/messages/find_coordinator.h"
#include "wire/messages/metadata.h"
#include "wire/messages/produce.h"

namespace penstock::testing {
namespace {

constexpr std::size_t length_bytes = 4;

/// Anything with host and port. An empty host comes with an error code: there is no broker then.
template <typename Node>
bool move(Node& node, const new_address& to) {
  if (node.host.empty() || node.port <= 0) return false;
  auto moved = to({node.host, static_cast<std::uint16_t>(node.port)});
  node.host = std::move(moved.host);
  node.port = moved.port;
  return true;
}

template <typename Nodes>
bool move_all(Nodes& nodes, const new_address& to) {
  bool changed = false;
  for (auto& node : nodes) changed |= move(node, to);
  return changed;
}

bool change(wire::metadata_response& r, const new_address& to) { return move_all(r.brokers, to); }
bool change(wire::describe_cluster_response& r, const new_address& to) { return move_all(r.brokers, to); }
bool change(wire::produce_response& r, const new_address& to) { return move_all(r.node_endpoints, to); }
bool change(wire::fetch_response& r, const new_address& to) { return move_all(r.node_endpoints, to); }
bool change(wire::find_coordinator_response& r, const new_address& to) {
  const bool one = move(r, to);  // before version 4
  return move_all(r.coordinators, to) || one;
}

template <typename Response>
std::optional<std::string> rewritten(const request_info& request, bytes_view frame, const new_address& to) {
  wire::reader in(frame.substr(length_bytes));
  wire::response_header header;
  Response body;
  if (!header.decode(in, request.key, request.version) || !body.decode(in, request.version))
    return std::nullopt;
  if (!change(body, to)) return std::nullopt;
  std::string bytes;
  wire::writer out(bytes);
  if (!wire::encode_frame(out, header, request.version, body)) return std::nullopt;
  return bytes;
}

}  // namespace

std::optional<std::string> with_addresses(const request_info& request, bytes_view frame,
                                          const new_address& to) {
  switch (request.key) {
    case wire::api_key::metadata: return rewritten<wire::metadata_response>(request, frame, to);
    case wire::api_key::describe_cluster:
      return rewritten<wire::describe_cluster_response>(request, frame, to);
    case wire::api_key::find_coordinator:
      return rewritten<wire::find_coordinator_response>(request, frame, to);
    case wire::api_key::produce:
      return request.version >= 10 ? rewritten<wire::produce_response>(request, frame, to) : std::nullopt;
    case wire::api_key::fetch:
      return request.version >= 16 ? rewritten<wire::fetch_response>(request, frame, to) : std::nullopt;
    default: return std::nullopt;
  }
}

}  // namespace penstock::testing
