// SPDX-License-Identifier: Apache-2.0
#include "io/simulated_file_system.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <mutex>
#include <set>

#include "io/simulated_names.h"
#include "io/system_error.h"

namespace penstock::io {

using detail::simulated_node_ptr;
using detail::system_failure;

struct simulated_file_system::state {
  static constexpr std::uint64_t no_limit = std::numeric_limits<std::uint64_t>::max();

  explicit state(std::uint64_t seed) : random(seed) {}

  /// True when the countdown is over with this call.
  static bool strikes(std::uint64_t& countdown) { return countdown > 0 && --countdown == 0; }

  result<> write(const std::string& path, detail::simulated_node& node, std::uint64_t position,
                 std::span<const std::string_view> pieces);

  std::mutex mutex;
  seeded_random random;
  detail::simulated_names names;
  std::set<const void*> locked;  // nodes
  std::uint64_t crashes = 0;     // handles of an earlier one are dead
  std::uint64_t write_fails_in = 0;
  std::uint64_t sync_fails_in = 0;
  std::uint64_t space = no_limit;
  std::uint64_t syncs = 0;
  std::int64_t ticks_ms = 1'700'000'000'000;  // grows with each change, so that ages can be told apart
};

result<> simulated_file_system::state::write(const std::string& path, detail::simulated_node& node,
                                             std::uint64_t position,
                                             std::span<const std::string_view> pieces) {
  std::string bytes;
  for (const auto piece : pieces) bytes.append(piece);
  result<> outcome;
  if (strikes(write_fails_in)) {
    bytes.resize(random.next() % (bytes.size() + 1));
    outcome = fail(system_failure("write", path, EIO));
  } else if (space != no_limit) {
    const auto size = node.content.bytes().size();
    const auto others = names.total_size() - std::min<std::uint64_t>(size, names.total_size());
    const auto largest = std::max<std::uint64_t>(size, space > others ? space - others : 0);
    if (position + bytes.size() > largest) {
      bytes.resize(largest > position ? static_cast<std::size_t>(largest - position) : 0);
      outcome = fail(system_failure("write", path, ENOSPC));
    }
  }
  node.content.write(position, bytes);
  node.modified_ms = ++ticks_ms;
  return outcome;
}

namespace {

class simulated_file final : public file {
 public:
  simulated_file(std::shared_ptr<simulated_file_system::state> state, std::string path,
                 simulated_node_ptr node, bool writable)
      : state_(std::move(state)),
        path_(std::move(path)),
        node_(std::move(node)),
        crashes_(state_->crashes),
        writable_(writable) {}

  const std::string& path() const noexcept override { return path_; }
  int descriptor() const noexcept override { return -1; }

  result<std::size_t> read_at(std::uint64_t position, std::span<char> out) const override {
    const std::scoped_lock lock(state_->mutex);
    if (!alive()) return fail(system_failure("read", path_, EIO));
    const std::string& bytes = node_->content.bytes();
    if (position >= bytes.size()) return 0;
    return bytes.copy(out.data(), out.size(), static_cast<std::size_t>(position));
  }

  result<> write_at(std::uint64_t position, std::span<const std::string_view> pieces) override {
    const std::scoped_lock lock(state_->mutex);
    if (!alive()) return fail(system_failure("write", path_, EIO));
    if (!writable_) return fail(system_failure("write", path_, EBADF));
    return state_->write(path_, *node_, position, pieces);
  }

  result<std::uint64_t> size() const override {
    const std::scoped_lock lock(state_->mutex);
    if (!alive()) return fail(system_failure("ask the size of", path_, EIO));
    return node_->content.bytes().size();
  }

  result<> truncate(std::uint64_t size) override {
    const std::scoped_lock lock(state_->mutex);
    if (!alive()) return fail(system_failure("truncate", path_, EIO));
    if (!writable_) return fail(system_failure("truncate", path_, EBADF));
    node_->content.truncate(size);
    node_->modified_ms = ++state_->ticks_ms;
    return {};
  }

  result<> sync() override {
    const std::scoped_lock lock(state_->mutex);
    if (!alive()) return fail(system_failure("sync", path_, EIO));
    ++state_->syncs;
    if (simulated_file_system::state::strikes(state_->sync_fails_in)) {
      node_->content.sync_in_vain(state_->random);
      return fail(system_failure("sync", path_, EIO));
    }
    node_->content.sync();
    return {};
  }

 private:
  bool alive() const noexcept { return crashes_ == state_->crashes; }

  std::shared_ptr<simulated_file_system::state> state_;
  std::string path_;
  simulated_node_ptr node_;
  std::uint64_t crashes_;
  bool writable_;
};

class simulated_lock final : public file_lock {
 public:
  simulated_lock(std::shared_ptr<simulated_file_system::state> state, simulated_node_ptr node)
      : state_(std::move(state)), node_(std::move(node)), crashes_(state_->crashes) {}
  ~simulated_lock() override {
    const std::scoped_lock lock(state_->mutex);
    if (crashes_ == state_->crashes) state_->locked.erase(node_.get());
  }

 private:
  std::shared_ptr<simulated_file_system::state> state_;
  simulated_node_ptr node_;
  std::uint64_t crashes_;
};

}  // namespace

simulated_file_system::simulated_file_system(std::uint64_t seed) : state_(std::make_shared<state>(seed)) {}
simulated_file_system::~simulated_file_system() = default;

void simulated_file_system::crash() {
  const std::scoped_lock lock(state_->mutex);
  const auto drawn = state_->random.next() % 8;
  const auto what = drawn == 0   ? detail::survival::all
                    : drawn == 1 ? detail::survival::nothing
                                 : detail::survival::any;
  state_->names.crash(what, state_->random);
  state_->locked.clear();
  ++state_->crashes;
}

void simulated_file_system::fail_write(std::uint64_t n) {
  const std::scoped_lock lock(state_->mutex);
  state_->write_fails_in = n;
}

void simulated_file_system::fail_sync(std::uint64_t n) {
  const std::scoped_lock lock(state_->mutex);
  state_->sync_fails_in = n;
}

void simulated_file_system::limit_space(std::uint64_t bytes) {
  const std::scoped_lock lock(state_->mutex);
  state_->space = bytes;
}

std::uint64_t simulated_file_system::syncs() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->syncs;
}

result<std::unique_ptr<file>> simulated_file_system::open(const std::string& path, open_mode mode) {
  const std::scoped_lock lock(state_->mutex);
  const auto at = state_->names.find(path);
  auto node = at.node();
  if (node != nullptr && mode == open_mode::create_new) return fail(system_failure("open", path, EEXIST));
  if (node != nullptr && node->is_directory) return fail(system_failure("open", path, EISDIR));
  if (node == nullptr) {
    if (mode == open_mode::read || at.directory == nullptr || !at.directory->is_directory)
      return fail(system_failure("open", path, ENOENT));
    node = std::make_shared<detail::simulated_node>(false);
    node->modified_ms = ++state_->ticks_ms;
    state_->names.set(at, node);
  }
  return std::make_unique<simulated_file>(state_, path, std::move(node), mode != open_mode::read);
}

result<std::vector<directory_entry>> simulated_file_system::list(const std::string& directory) {
  const std::scoped_lock lock(state_->mutex);
  const auto node = state_->names.find(directory).node();
  if (node == nullptr) return fail(system_failure("list", directory, ENOENT));
  if (!node->is_directory) return fail(system_failure("list", directory, ENOTDIR));
  std::vector<directory_entry> entries;
  for (const auto& [name, entry] : node->seen) {
    entries.push_back({.name = name,
                       .is_directory = entry->is_directory,
                       .size = entry->content.bytes().size(),
                       .modified_ms = entry->modified_ms});
  }
  return entries;
}

bool simulated_file_system::exists(const std::string& path) {
  const std::scoped_lock lock(state_->mutex);
  return state_->names.find(path).node() != nullptr;
}

result<> simulated_file_system::make_directories(const std::string& path) {
  const std::scoped_lock lock(state_->mutex);
  if (!state_->names.make_directories(path)) return fail(system_failure("make the directory", path, ENOTDIR));
  return {};
}

result<> simulated_file_system::rename(const std::string& from, const std::string& to) {
  const std::scoped_lock lock(state_->mutex);
  const auto source = state_->names.find(from);
  const auto target = state_->names.find(to);
  const auto failed = [&](int number) {
    return fail(system_failure("rename", fmt::format("{} to {}", from, to), number));
  };
  const auto node = source.node();
  if (node == nullptr || target.directory == nullptr || !target.directory->is_directory)
    return failed(ENOENT);
  const auto replaced = target.node();
  if (replaced == node) return {};
  if (target.directory == node) return failed(EINVAL);
  if (replaced != nullptr) {
    if (replaced->is_directory != node->is_directory)
      return failed(replaced->is_directory ? EISDIR : ENOTDIR);
    if (!replaced->seen.empty()) return failed(ENOTEMPTY);
  }
  state_->names.move(source, target);
  return {};
}

result<> simulated_file_system::remove(const std::string& path) {
  const std::scoped_lock lock(state_->mutex);
  const auto at = state_->names.find(path);
  const auto node = at.node();
  if (node == nullptr) return fail(system_failure("remove", path, ENOENT));
  if (at.name.empty() || !node->seen.empty()) return fail(system_failure("remove", path, ENOTEMPTY));
  state_->names.set(at, nullptr);
  return {};
}

result<> simulated_file_system::remove_all(const std::string& path) {
  const std::scoped_lock lock(state_->mutex);
  state_->names.remove_all(state_->names.find(path));
  return {};
}

result<> simulated_file_system::sync_directory(const std::string& directory) {
  const std::scoped_lock lock(state_->mutex);
  const auto node = state_->names.find(directory).node();
  if (node == nullptr) return fail(system_failure("sync the directory", directory, ENOENT));
  if (!node->is_directory) return fail(system_failure("sync the directory", directory, ENOTDIR));
  ++state_->syncs;
  if (state::strikes(state_->sync_fails_in))
    return fail(system_failure("sync the directory", directory, EIO));
  state_->names.sync(node);
  return {};
}

result<std::unique_ptr<file_lock>> simulated_file_system::lock_file(const std::string& path) {
  if (auto made = open(path, open_mode::read_write); !made) return fail(made.error());
  const std::scoped_lock lock(state_->mutex);
  auto node = state_->names.find(path).node();
  if (!state_->locked.insert(node.get()).second)
    return fail(errc::already_exists, fmt::format("cannot lock {}: it is in use already", path));
  return std::make_unique<simulated_lock>(state_, std::move(node));
}

result<std::uint64_t> simulated_file_system::free_bytes(const std::string& path) {
  const std::scoped_lock lock(state_->mutex);
  if (state_->names.find(path).node() == nullptr)
    return fail(system_failure("ask the free space of", path, ENOENT));
  const auto used = state_->names.total_size();
  return state_->space > used ? state_->space - used : 0;
}

}  // namespace penstock::io
