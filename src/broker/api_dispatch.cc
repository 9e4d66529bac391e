// SPDX-License-Identifier: Apache-2.0
#include "broker/api_dispatch.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/handlers/handlers.h"
#include "wire/error_code.h"

namespace penstock::broker {
namespace {

template <typename Request, typename Response>
using handler = void (*)(broker_core&, const request_info&, Request&, responder<Response>);

// Deduces the messages of a handler and checks that the codec knows the versions.
template <auto Handler>
struct served;
template <typename Request, typename Response, handler<Request, Response> Handler>
struct served<Handler> {
  static_assert(Request::key == Response::key, "a handler answers the API that it is asked");

  static result<> run(broker_core& core, const request_info& info, wire::reader& body, reply_slot slot) {
    Request request;
    if (auto decoded = request.decode(body, info.version); !decoded) return decoded;
    Handler(core, info, request, responder<Response>(std::move(slot)));
    return {};
  }

  template <int Min, int Max>
  static constexpr api_entry versions() {
    static_assert(Min >= Request::min_version && Max <= Request::max_version && Min <= Max,
                  "the codec does not know all versions that are to be served");
    return {Request::key, Min, Max, &run};
  }
};

constexpr api_entry table[] = {
    served<&handle_produce>::versions<0,
                                      13>(),  // 0-2 are refused by the handler: see there why they are told
    served<&handle_fetch>::versions<4, 18>(),
    served<&handle_list_offsets>::versions<1, 10>(),
    served<&handle_metadata>::versions<0, 13>(),
    served<&handle_offset_commit>::versions<2, 10>(),
    served<&handle_offset_fetch>::versions<1, 10>(),
    served<&handle_find_coordinator>::versions<0, 6>(),
    served<&handle_join_group>::versions<0, 9>(),
    served<&handle_heartbeat>::versions<0, 4>(),
    served<&handle_leave_group>::versions<0, 5>(),
    served<&handle_sync_group>::versions<0, 5>(),
    served<&handle_describe_groups>::versions<0, 6>(),
    served<&handle_list_groups>::versions<0, 5>(),
    served<&handle_api_versions>::versions<0, 4>(),
    served<&handle_create_topics>::versions<2, 7>(),
    served<&handle_delete_topics>::versions<1, 6>(),
    served<&handle_delete_records>::versions<0, 2>(),
    served<&handle_init_producer_id>::versions<0, 5>(),
    served<&handle_offset_for_leader_epoch>::versions<2, 4>(),
    served<&handle_add_partitions_to_txn>::versions<0, 5>(),
    served<&handle_add_offsets_to_txn>::versions<0, 4>(),
    served<&handle_end_txn>::versions<0, 5>(),
    served<&handle_write_txn_markers>::versions<1, 2>(),
    served<&handle_txn_offset_commit>::versions<0, 5>(),
    served<&handle_describe_configs>::versions<1, 4>(),
    served<&handle_alter_configs>::versions<0, 2>(),
    served<&handle_create_partitions>::versions<0, 3>(),
    served<&handle_delete_groups>::versions<0, 2>(),
    served<&handle_incremental_alter_configs>::versions<0, 1>(),
    served<&handle_list_partition_reassignments>::versions<0, 0>(),
    served<&handle_offset_delete>::versions<0, 0>(),
    served<&handle_describe_cluster>::versions<0, 2>(),
    served<&handle_describe_producers>::versions<0, 0>(),
    served<&handle_describe_transactions>::versions<0, 0>(),
    served<&handle_list_transactions>::versions<0, 2>(),
    served<&handle_describe_topic_partitions>::versions<0, 0>(),
};

constexpr bool ascending() {
  for (std::size_t i = 1; i < std::size(table); ++i)
    if (table[i - 1].key >= table[i].key) return false;
  return true;
}
static_assert(ascending(), "clients search the list of APIs by bisection");

const api_entry* find(wire::api_key key) {
  const auto it = std::lower_bound(std::begin(table), std::end(table), key,
                                   [](const api_entry& e, wire::api_key k) { return e.key < k; });
  return it != std::end(table) && it->key == key ? it : nullptr;
}

// KIP-511: an ApiVersions request from the future is answered in version 0, with the versions that there are.
void answer_too_new(reply_slot slot) {
  wire::api_versions_response answer;
  answer.error_code = static_cast<std::int16_t>(wire::error_code::unsupported_version);
  const auto* self = find(wire::api_key::api_versions);
  answer.api_keys.push_back({static_cast<std::int16_t>(self->key), self->min_version, self->max_version});
  slot.send_version(answer, 0);
}

}  // namespace

std::span<const api_entry> served_apis() noexcept { return table; }

result<> dispatch(broker_core& core, request_info info, wire::reader& body, reply_slot slot) {
  const api_entry* entry = find(info.key);
  if (entry == nullptr || info.version < entry->min_version || info.version > entry->max_version) {
    if (info.key == wire::api_key::api_versions) {
      answer_too_new(std::move(slot));
      return {};
    }
    return fail(errc::unsupported, fmt::format("{} (API {}) version {} is not served", to_string(info.key),
                                               static_cast<int>(info.key), info.version));
  }
  return entry->run(core, info, body, std::move(slot));
}

}  // namespace penstock::broker
