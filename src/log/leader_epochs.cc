// SPDX-License-Identifier: Apache-2.0
#include "log/leader_epochs.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace penstock::log {

bool leader_epochs::assign(std::int32_t epoch, std::int64_t offset) {
  if (!entries_.empty() && epoch <= entries_.back().epoch) return false;
  // An epoch that began where this one begins holds nothing.
  while (!entries_.empty() && entries_.back().start_offset >= offset) entries_.pop_back();
  entries_.push_back({epoch, offset});
  return true;
}

void leader_epochs::truncate_from_end(std::int64_t end) {
  while (!entries_.empty() && entries_.back().start_offset >= end) entries_.pop_back();
}

void leader_epochs::truncate_from_start(std::int64_t start) {
  const auto first_above =
      std::find_if(entries_.begin(), entries_.end(), [&](const entry& e) { return e.start_offset > start; });
  if (first_above == entries_.begin()) return;
  const auto current = std::prev(first_above);
  current->start_offset = start;
  entries_.erase(entries_.begin(), current);
}

epoch_end_offset leader_epochs::end_offset_for(std::int32_t epoch, std::int64_t log_end) const noexcept {
  if (entries_.empty() || epoch > latest() || epoch < 0) return {};
  if (epoch == latest()) return {epoch, log_end};
  const auto next =
      std::find_if(entries_.begin(), entries_.end(), [&](const entry& e) { return e.epoch > epoch; });
  if (next == entries_.begin()) return {epoch, next->start_offset};
  return {std::prev(next)->epoch, next->start_offset};
}

std::int32_t leader_epochs::epoch_of(std::int64_t offset) const noexcept {
  const auto next =
      std::find_if(entries_.begin(), entries_.end(), [&](const entry& e) { return e.start_offset > offset; });
  return next == entries_.begin() ? -1 : std::prev(next)->epoch;
}

std::string leader_epochs::encode() const {
  std::string text = fmt::format("0\n{}\n", entries_.size());
  for (const auto& e : entries_) text += fmt::format("{} {}\n", e.epoch, e.start_offset);
  return text;
}

namespace {

/// The next number of `text`, which must end with `terminator`.
template <typename Number>
bool take(std::string_view& text, char terminator, Number& out) {
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (failure != std::errc() || end == text.data() + text.size() || *end != terminator) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);
  return true;
}

}  // namespace

result<leader_epochs> leader_epochs::decode(std::string_view text) {
  const auto corrupt = [] { return fail(errc::corrupt, "the leader epochs are damaged"); };
  int version = -1;
  std::size_t count = 0;
  if (!take(text, '\n', version) || version != 0 || !take(text, '\n', count)) return corrupt();
  leader_epochs epochs;
  while (!text.empty()) {
    entry e{};
    if (!take(text, ' ', e.epoch) || !take(text, '\n', e.start_offset)) return corrupt();
    if (!epochs.entries_.empty() &&
        (e.epoch <= epochs.entries_.back().epoch || e.start_offset <= epochs.entries_.back().start_offset))
      return corrupt();
    epochs.entries_.push_back(e);
  }
  if (epochs.entries_.size() != count) return corrupt();
  return epochs;
}

}  // namespace penstock::log
