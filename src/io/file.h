// SPDX-License-Identifier: Apache-2.0
// Files behind an interface: the real file system, and one in memory that can lose what was not synced.
#pragma once

#include <penstock/result.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::io {

/// An open file. Reads may run on any thread at once; writes and truncate one at a time, and syncs one at a
/// time. A sync may run beside a write: it covers what was written before it began. Errors are errc::io
/// (errc::exhausted when the disk is full) and name the path and the cause. Closing (the destructor) syncs
/// nothing.
class file {
 public:
  virtual ~file() = default;
  virtual const std::string& path() const noexcept = 0;
  /// Reads up to out.size() bytes at `position`; fewer only at the end of the file.
  virtual result<std::size_t> read_at(std::uint64_t position, std::span<char> out) const = 0;
  /// Writes all pieces, one behind the other, at `position`. On an error a prefix may have been written.
  virtual result<> write_at(std::uint64_t position, std::span<const std::string_view> pieces) = 0;
  result<> write_at(std::uint64_t position, std::string_view bytes) {
    return write_at(position, {&bytes, 1});
  }
  virtual result<std::uint64_t> size() const = 0;
  virtual result<> truncate(std::uint64_t size) = 0;
  /// Returns when the bytes (and the size) are on the disk. After an error what reached it is unknown, and a
  /// second call may wrongly succeed: never retry (E19).
  virtual result<> sync() = 0;
  /// The descriptor for sendfile(2), or -1 when there is none (in memory).
  virtual int descriptor() const noexcept = 0;
};

/// Held until destroyed; see file_system::lock_file.
class file_lock {
 public:
  virtual ~file_lock() = default;
};

enum class open_mode : std::uint8_t {
  read,        ///< must exist
  read_write,  ///< made if it does not exist
  create_new,  ///< fails with errc::already_exists if it does
};

struct directory_entry {
  std::string name;
  bool is_directory = false;
  std::uint64_t size = 0;
  std::int64_t modified_ms = 0;  ///< wall clock, milliseconds since 1970
};

/// The operations on names. Safe from any thread.
class file_system {
 public:
  virtual ~file_system() = default;
  virtual result<std::unique_ptr<file>> open(const std::string& path, open_mode mode) = 0;
  /// errc::not_found when it does not exist. Order: by name.
  virtual result<std::vector<directory_entry>> list(const std::string& directory) = 0;
  virtual bool exists(const std::string& path) = 0;
  /// With parents; fine when it is there. What it made is durable when it returns.
  virtual result<> make_directories(const std::string& path) = 0;
  /// Replaces `to` atomically. Durable once the directory is synced.
  virtual result<> rename(const std::string& from, const std::string& to) = 0;
  virtual result<> remove(const std::string& path) = 0;
  virtual result<> remove_all(const std::string& path) = 0;
  /// Makes creations, renames and removals in `directory` durable.
  virtual result<> sync_directory(const std::string& directory) = 0;
  /// Takes the lock of `path` (made if needed) for this process: errc::already_exists when another holds it.
  virtual result<std::unique_ptr<file_lock>> lock_file(const std::string& path) = 0;
  /// Bytes free for this user on the disk that holds `path`.
  virtual result<std::uint64_t> free_bytes(const std::string& path) = 0;

  /// The machine's files; lives as long as the program.
  static file_system& system() noexcept;
};

/// The directory that holds `path`: "/a" of "/a/b", "." of "b".
std::string directory_of(std::string_view path);
/// Reads a whole file into memory; errc::exhausted when it is larger than `limit` bytes.
result<std::string> read_file(file_system& fs, const std::string& path, std::uint64_t limit = 64u << 20);
/// Replaces a file so that after a crash either the old or the new content is there whole: write to
/// `path.tmp`, sync, rename, sync the directory.
result<> write_file_atomically(file_system& fs, const std::string& path, std::string_view content);

}  // namespace penstock::io
