// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "io/file.h"

namespace penstock::io {

/// A file system in memory that behaves as a disk does when the power goes: what was synced is there, of the
/// rest any part may be. Faults are drawn from the seed, so a failure repeats. Safe from any thread.
///
///     simulated_file_system fs(seed);
///     ... write without sync ...
///     fs.crash();            // open files answer errors from now on
///     ... open again: unsynced writes are kept, torn or lost, each as drawn
class simulated_file_system final : public file_system {
 public:
  explicit simulated_file_system(std::uint64_t seed = 1);
  ~simulated_file_system() override;

  /// Loses power. Every unsynced write to a file survives whole, as a prefix, as zeros, or not at all;
  /// unsynced names (creations, renames, removals) survive or not.
  void crash();
  /// The n-th write (1 = the next) from now fails with errc::io; 0 turns it off.
  void fail_write(std::uint64_t n);
  /// The n-th sync from now fails with errc::io.
  void fail_sync(std::uint64_t n);
  /// Writes that would take the sum of all files over `bytes` fail with errc::exhausted ("no space left").
  void limit_space(std::uint64_t bytes);
  std::uint64_t syncs() const;

  result<std::unique_ptr<file>> open(const std::string& path, open_mode mode) override;
  result<std::vector<directory_entry>> list(const std::string& directory) override;
  bool exists(const std::string& path) override;
  result<> make_directories(const std::string& path) override;
  result<> rename(const std::string& from, const std::string& to) override;
  result<> remove(const std::string& path) override;
  result<> remove_all(const std::string& path) override;
  result<> sync_directory(const std::string& directory) override;
  result<std::unique_ptr<file_lock>> lock_file(const std::string& path) override;
  result<std::uint64_t> free_bytes(const std::string& path) override;

  struct state;  ///< shared with the open files

 private:
  std::shared_ptr<state> state_;
};

}  // namespace penstock::io
