// SPDX-License-Identifier: Apache-2.0
// What a test may do to requests from the inside: see them, answer them late, lose them or lose their
// answers.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "broker/reply.h"

namespace penstock::broker {

/// What happens to a request that a hook met.
struct hook_action {
  enum class kind : std::uint8_t {
    pass,         ///< nothing: it is handled as if there were no hook
    delay,        ///< it is handled after `by`; what the connection sent behind it may overtake it inside
    drop,         ///< it is not handled, and its connection is closed
    lose_answer,  ///< it is handled, but its connection is closed instead of the answer being sent
  };
  kind what = kind::pass;
  std::chrono::milliseconds by{0};
};

/// Decides about one request; called on the server's thread.
using request_hook = std::function<hook_action(const request_info&)>;

/// The hooks of a broker, in the order in which they were set. Safe from any thread.
class request_hooks {
 public:
  /// Meets the next `times` requests of an API; those for which it says `pass` do not count. One-shot by
  /// default.
  void set(wire::api_key key, request_hook hook, int times = 1) {
    const std::lock_guard lock(mutex_);
    hooks_.push_back({key, std::move(hook), times});
    any_.store(true, std::memory_order_release);
  }
  void clear() {
    const std::lock_guard lock(mutex_);
    hooks_.clear();
    any_.store(false, std::memory_order_release);
  }
  hook_action meet(const request_info& info) {
    if (!any_.load(std::memory_order_acquire)) return {};
    const std::lock_guard lock(mutex_);
    for (auto it = hooks_.begin(); it != hooks_.end(); ++it) {
      if (it->key != info.key) continue;
      const hook_action action = it->hook(info);
      if (action.what == hook_action::kind::pass) continue;
      if (--it->times == 0) hooks_.erase(it);
      any_.store(!hooks_.empty(), std::memory_order_release);
      return action;
    }
    return {};
  }

 private:
  struct entry {
    wire::api_key key;
    request_hook hook;
    int times;
  };
  std::mutex mutex_;
  std::atomic<bool> any_{false};
  std::vector<entry> hooks_;
};

}  // namespace penstock::broker
