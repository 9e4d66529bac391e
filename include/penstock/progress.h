// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace penstock {

/// Shows on standard error, when that is a terminal, how far long work is: how many of how many records, the
/// rate, and the time left. Silent in a pipe. One thread; the line goes away with the object.
///
///     progress shown("publishing");
///     for (...) { ...; shown.update(done, total); }
class progress {
 public:
  /// `visible` overrides whether it shows at all.
  explicit progress(std::string what, std::optional<bool> visible = {});
  ~progress();
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;

  /// Cheap: the line is drawn a few times a second at most. Without a total, no time left.
  void update(std::uint64_t done, std::optional<std::uint64_t> total);

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace penstock
