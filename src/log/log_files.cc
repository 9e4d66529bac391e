// SPDX-License-Identifier: Apache-2.0
#include "log/log_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/bytes.h"
#include "base/crc32c.h"

namespace penstock::log {

namespace {

constexpr std::size_t digits = 20;
constexpr std::size_t slot_distance = 512;  // never in one sector
constexpr std::size_t slot_bytes = 20;

std::optional<std::int64_t> parse_number(std::string_view text) {
  std::int64_t v = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (failure != std::errc() || end != text.data() + text.size() || v < 0) return std::nullopt;
  return v;
}

}  // namespace

std::optional<std::int64_t> offset_of_name(std::string_view name, std::string_view suffix) {
  if (name.size() != digits + suffix.size() || name.substr(digits) != suffix) return std::nullopt;
  return parse_number(name.substr(0, digits));
}

result<std::optional<std::int64_t>> read_number_file(io::file_system& fs, const std::string& path) {
  if (!fs.exists(path)) return std::nullopt;
  auto text = io::read_file(fs, path, 64);
  if (!text) return fail(text.error());
  if (text->empty() || text->back() != '\n') return fail(errc::corrupt, fmt::format("{} is damaged", path));
  auto number = parse_number(std::string_view(*text).substr(0, text->size() - 1));
  if (!number) return fail(errc::corrupt, fmt::format("{} is damaged", path));
  return number;
}

result<> write_number_file(io::file_system& fs, const std::string& path, std::int64_t number) {
  return io::write_file_atomically(fs, path, fmt::format("{}\n", number));
}

result<recovery_point_file::state> recovery_point_file::load(bool failed) {
  if (!fs_.exists(path_)) return state{};
  auto bytes = io::read_file(fs_, path_, 4096);
  if (!bytes) return fail(bytes.error());
  if (bytes->empty()) return state{};  // made, but never written
  state s{.exists = true, .offset = std::nullopt};
  for (int slot = 0; slot < 2; ++slot) {
    const std::size_t at = static_cast<std::size_t>(slot) * slot_distance;
    if (bytes->size() < at + slot_bytes) break;
    const std::string_view b = std::string_view(*bytes).substr(at, slot_bytes);
    if (base::load_be<std::uint32_t>(b.data()) != base::crc32c(b.substr(4))) continue;
    const auto count = base::load_be<std::int64_t>(b.data() + 12);
    if (count <= writes_) continue;
    writes_ = count;
    slot_ = failed ? slot : 1 - slot;  // the newest whole slot stays as it is
    s.offset = base::load_be<std::int64_t>(b.data() + 4);
  }
  // The very first note was cut off before it was synced: nothing was promised yet.
  if (!s.offset && bytes->size() <= slot_distance) return state{};
  return s;
}

result<> recovery_point_file::store(std::int64_t offset, bool durable) {
  const bool is_new = file_ == nullptr && !fs_.exists(path_);
  if (file_ == nullptr) {
    auto file = fs_.open(path_, io::open_mode::read_write);
    if (!file) return fail(file.error());
    file_ = std::move(*file);
  }
  char b[slot_bytes];
  base::store_be(b + 4, offset);
  base::store_be(b + 12, ++writes_);
  base::store_be(b, base::crc32c(std::string_view(b + 4, slot_bytes - 4)));
  if (auto r =
          file_->write_at(static_cast<std::uint64_t>(slot_) * slot_distance, std::string_view(b, slot_bytes));
      !r)
    return r;
  const auto now = clock_.now();
  if (!durable && last_sync_ && now - *last_sync_ < sync_interval) return {};
  if (auto r = file_->sync(); !r) return r;
  if (is_new) {
    if (auto r = fs_.sync_directory(path_.substr(0, path_.rfind('/'))); !r) return r;
  }
  slot_ = 1 - slot_;
  last_sync_ = now;
  return {};
}

}  // namespace penstock::log
