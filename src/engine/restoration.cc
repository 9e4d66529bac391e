// SPDX-License-Identifier: Apache-2.0
#include "engine/restoration.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace penstock::engine {

void restoration::note(unsigned lane, std::size_t op, const restore_progress& p) {
  const std::lock_guard lock(mutex_);
  parts_[{lane, op}] = p;
  const io::instant now = clock_.now();
  if (!tell_ || now - told_ < std::chrono::seconds(1)) return;
  told_ = now;
  const restore_progress all = sum();
  const double rate = static_cast<double>(all.rows) / std::max(seconds(), 1e-3);
  const std::uint64_t left = all.rows_total > all.rows ? all.rows_total - all.rows : 0;
  tell_(fmt::format("{}: restoring state: {} of about {} rows, {:.0f} rows/s, about {:.1f} s left",
                    application_, all.rows, all.rows_total, rate,
                    static_cast<double>(left) / std::max(rate, 1.0)));
}

void restoration::lane_done(unsigned lanes) {
  const std::lock_guard lock(mutex_);
  if (++done_ != lanes || !tell_) return;
  const restore_progress all = sum();
  if (all.rows == 0) return;
  tell_(fmt::format("{}: restored {} rows of state, {:.1f} MB, in {:.2f} s", application_, all.rows,
                    static_cast<double>(all.bytes) / 1e6, seconds()));
}

restore_progress restoration::sum() const {
  restore_progress all;
  for (const auto& [who, p] : parts_) {
    all.rows += p.rows;
    all.bytes += p.bytes;
    all.rows_total += p.rows_total;
  }
  return all;
}

double restoration::seconds() const { return std::chrono::duration<double>(clock_.now() - began_).count(); }

}  // namespace penstock::engine
