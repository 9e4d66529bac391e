// SPDX-License-Identifier: Apache-2.0
#include "interruption.h"

#include <utility>

namespace penstock::tools {

interruption::interruption(std::function<void()> wake)
    : wake_(std::move(wake)),
      signals_(loop_,
               [this](int) {
                 asked_.store(true, std::memory_order_release);
                 if (wake_) wake_();
               }),
      thread_([this] { loop_.run(); }) {}

interruption::~interruption() {
  loop_.stop();
  thread_.join();
}

}  // namespace penstock::tools
