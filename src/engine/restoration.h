// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/transactions.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "io/clock.h"

namespace penstock::engine {

/// What the lanes of a job have restored, and how long the rest will take; told once a second, and at the
/// end. Safe from any thread.
class restoration {
 public:
  restoration(const io::clock& clock, std::string application, std::function<void(const std::string&)> tell)
      : clock_(clock),
        application_(std::move(application)),
        tell_(std::move(tell)),
        began_(clock.now()),
        told_(began_) {}

  void note(unsigned lane, std::size_t op, const restore_progress& p);
  /// A lane has restored everything; the last of `lanes` says what there was.
  void lane_done(unsigned lanes);

 private:
  restore_progress sum() const;
  double seconds() const;

  const io::clock& clock_;
  const std::string application_;
  const std::function<void(const std::string&)> tell_;
  const io::instant began_;
  std::mutex mutex_;
  io::instant told_;                                                    // guarded by mutex_
  std::map<std::pair<unsigned, std::size_t>, restore_progress> parts_;  // guarded by mutex_
  unsigned done_ = 0;                                                   // guarded by mutex_
};

}  // namespace penstock::engine
