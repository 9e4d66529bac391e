// SPDX-License-Identifier: Apache-2.0
#include "client/coordinator.h"

#include <fmt/format.h>

#include "wire/messages/find_coordinator.h"

namespace penstock::client {

bool coordinator_may_have_moved(wire::error_code code) noexcept {
  return code == wire::error_code::not_coordinator || code == wire::error_code::coordinator_not_available ||
         code == wire::error_code::coordinator_load_in_progress;
}

void find_coordinator(cluster& c, coordinated type, const std::string& key,
                      unique_function<void(result<std::int32_t>)> done) {
  outgoing out;
  out.key = wire::find_coordinator_request::key;
  out.min_version = type == coordinated::group ? 0 : 1;
  out.max_version = 4;  // 5 and 6 bring error codes for brokers, and share groups
  out.encode = [key, type](wire::writer& w, std::int16_t version) {
    wire::find_coordinator_request ask;
    ask.key_type = static_cast<std::int8_t>(type);
    if (version >= 4)
      ask.coordinator_keys.push_back(key);
    else
      ask.coordinator_key = key;
    return ask.encode(w, version);
  };
  out.done = [&c, key, type, done = std::move(done)](result<incoming> in) mutable {
    if (!in) return done(fail(std::move(in.error())));
    wire::find_coordinator_response answer;
    if (auto decoded = answer.decode(in->body, in->version); !decoded)
      return done(fail(decoded.error().with_context(in->from)));
    if (in->version >= 4) {
      if (answer.coordinators.empty())
        return done(fail(errc::corrupt, fmt::format("{} answered without a coordinator", in->from)));
      auto& first = answer.coordinators.front();
      answer.error_code = first.error_code;
      answer.node_id = first.node_id;
      answer.host = first.host;
      answer.port = first.port;
    }
    if (answer.error_code != 0)
      return done(fail(wire::make_error(
          answer.error_code, fmt::format("coordinator of {} '{}'",
                                         type == coordinated::group ? "group" : "transactional id", key))));
    if (answer.node_id < 0 || answer.port < 0 || answer.port > 65535)
      return done(fail(errc::corrupt, fmt::format("{} named no usable coordinator", in->from)));
    c.learn_broker(answer.node_id, {answer.host, static_cast<std::uint16_t>(answer.port)});
    done(answer.node_id);
  };
  c.send(any_broker, channel::general, std::move(out));
}

}  // namespace penstock::client
