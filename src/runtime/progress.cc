// SPDX-License-Identifier: Apache-2.0
#include "runtime/progress.h"

#include <fmt/format.h>
#include <penstock/progress.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "io/terminal.h"

namespace penstock::runtime {

std::string with_thousands(std::uint64_t n) {
  std::string text = fmt::format("{}", n);
  for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, 1, ',');
  return text;
}

std::string duration_text(double seconds) {
  if (seconds < 10) return fmt::format("{:.1f} s", seconds);
  const auto s = static_cast<std::uint64_t>(seconds + 0.5);
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {} s", s / 60, s % 60);
  return fmt::format("{} h {} min", s / 3600, s % 3600 / 60);
}

std::string progress_text::update(std::uint64_t done, std::optional<std::uint64_t> total) {
  constexpr double memory = 0.6;  // of the earlier rate, a measurement
  const io::instant t = clock_.now();
  if (last_) {
    const double passed = std::chrono::duration<double>(t - *last_).count();
    if (passed > 0) {
      const double measured = static_cast<double>(done - last_done_) / passed;
      rate_ = rate_ == 0 ? measured : memory * rate_ + (1 - memory) * measured;
    }
  }
  last_ = t;
  last_done_ = done;

  std::string line = fmt::format("{}: {}", what_, with_thousands(done));
  if (total) line += fmt::format(" of {}", with_thousands(*total));
  line += fmt::format(" records, {}/s", with_thousands(static_cast<std::uint64_t>(rate_)));
  if (total && rate_ > 0) {
    const auto left = *total - std::min(*total, done);
    line += fmt::format(", {} left", duration_text(static_cast<double>(left) / rate_));
  }
  return line;
}

}  // namespace penstock::runtime

namespace penstock {

struct progress::impl {
  runtime::progress_text text;
  bool visible;
  bool drawn = false;
  io::instant next{};
};

progress::progress(std::string what, std::optional<bool> visible)
    : impl_(new impl{.text = {std::move(what), io::clock::system()},
                     .visible = visible.value_or(io::error_is_terminal())}) {}

progress::~progress() {
  if (!impl_->drawn) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
}

void progress::update(std::uint64_t done, std::optional<std::uint64_t> total) {
  constexpr auto interval = std::chrono::milliseconds(100);
  if (!impl_->visible) return;
  const io::instant now = io::clock::system().now();
  if (now < impl_->next) return;
  impl_->next = now + interval;
  impl_->drawn = true;
  fmt::print(stderr, "\r{}\033[K", impl_->text.update(done, total));
  std::fflush(stderr);
}

}  // namespace penstock
