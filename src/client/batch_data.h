// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/kafka/consumer.h>

#include <memory>
#include <optional>

#include "client/fetcher.h"

namespace penstock::kafka {

/// What a record_batch of the public API holds.
struct record_batch::data {
  client::fetched batch;
  /// The consumer's: where a reader leaves the error of a damaged batch for the next poll.
  std::shared_ptr<std::optional<penstock::error>> damage;
};

}  // namespace penstock::kafka
