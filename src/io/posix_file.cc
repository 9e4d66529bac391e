// SPDX-License-Identifier: Apache-2.0
// The machine's files: pread, pwritev, fdatasync. Interrupted calls are repeated, short ones continued.
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>

#include "io/file.h"
#include "io/system_error.h"

namespace penstock::io {
namespace {

using detail::system_failure;

/// Repeats a system call while a signal interrupts it.
template <typename Call>
auto uninterrupted(Call call) noexcept {
  decltype(call()) r;
  do r = call();
  while (r == -1 && errno == EINTR);
  return r;
}

class owned_descriptor {
 public:
  explicit owned_descriptor(int fd) noexcept : fd_(fd) {}
  owned_descriptor(owned_descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  owned_descriptor& operator=(owned_descriptor&&) = delete;
  ~owned_descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

result<owned_descriptor> open_descriptor(const std::string& path, int flags) {
  owned_descriptor fd(uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0644); }));
  if (fd.get() < 0) return fail(system_failure("open", path, errno));
  return fd;
}

class posix_file final : public file {
 public:
  posix_file(std::string path, owned_descriptor fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  const std::string& path() const noexcept override { return path_; }
  int descriptor() const noexcept override { return fd_.get(); }

  result<std::size_t> read_at(std::uint64_t position, std::span<char> out) const override {
    std::size_t got = 0;
    while (got < out.size()) {
      const auto n = uninterrupted([&] {
        return ::pread(fd_.get(), out.data() + got, out.size() - got, static_cast<off_t>(position + got));
      });
      if (n < 0) return fail(system_failure("read", path_, errno));
      if (n == 0) break;
      got += static_cast<std::size_t>(n);
    }
    return got;
  }

  using file::write_at;
  result<> write_at(std::uint64_t position, std::span<const std::string_view> pieces) override {
    constexpr std::size_t most = 64;  // well below IOV_MAX, and small enough for the stack
    static_assert(most <= IOV_MAX);
    std::array<iovec, most> batch;
    std::size_t skip = 0;  // bytes of pieces.front() that are written
    while (!pieces.empty()) {
      std::size_t count = 0;
      for (; count < most && count < pieces.size(); ++count) {
        const auto piece = pieces[count].substr(count == 0 ? skip : 0);
        batch[count] = {const_cast<char*>(piece.data()), piece.size()};
      }
      const auto n = uninterrupted([&] {
        return ::pwritev(fd_.get(), batch.data(), static_cast<int>(count), static_cast<off_t>(position));
      });
      if (n < 0) return fail(system_failure("write", path_, errno));
      position += static_cast<std::uint64_t>(n);
      skip += static_cast<std::size_t>(n);
      while (!pieces.empty() && skip >= pieces.front().size()) {
        skip -= pieces.front().size();
        pieces = pieces.subspan(1);
      }
    }
    return {};
  }

  result<std::uint64_t> size() const override {
    struct stat s;
    if (::fstat(fd_.get(), &s) != 0) return fail(system_failure("ask the size of", path_, errno));
    return static_cast<std::uint64_t>(s.st_size);
  }

  result<> truncate(std::uint64_t size) override {
    if (uninterrupted([&] { return ::ftruncate(fd_.get(), static_cast<off_t>(size)); }) != 0)
      return fail(system_failure("truncate", path_, errno));
    return {};
  }

  result<> sync() override {
    if (sync_failed_.load(std::memory_order_relaxed))
      return fail(errc::io, fmt::format("cannot sync {}: an earlier sync failed", path_));
    if (uninterrupted([&] { return ::fdatasync(fd_.get()); }) != 0) {
      // The kernel has dropped the dirty mark of what it could not write, so asking again would lie (E19).
      sync_failed_.store(true, std::memory_order_relaxed);
      return fail(system_failure("sync", path_, errno));
    }
    return {};
  }

 private:
  std::string path_;
  owned_descriptor fd_;
  std::atomic<bool> sync_failed_{false};
};

class posix_lock final : public file_lock {
 public:
  explicit posix_lock(owned_descriptor fd) : fd_(std::move(fd)) {}

 private:
  owned_descriptor fd_;  // closing it unlocks
};

struct close_directory {
  void operator()(DIR* d) const noexcept { ::closedir(d); }
};

class posix_file_system final : public file_system {
 public:
  result<std::unique_ptr<file>> open(const std::string& path, open_mode mode) override {
    int flags = O_RDONLY;
    if (mode == open_mode::read_write) flags = O_RDWR | O_CREAT;
    if (mode == open_mode::create_new) flags = O_RDWR | O_CREAT | O_EXCL;
    auto fd = open_descriptor(path, flags);
    if (!fd) return fail(fd.error());
    return std::make_unique<posix_file>(path, std::move(*fd));
  }

  result<std::vector<directory_entry>> list(const std::string& directory) override {
    const std::unique_ptr<DIR, close_directory> open_directory(::opendir(directory.c_str()));
    if (open_directory == nullptr) return fail(system_failure("list", directory, errno));
    std::vector<directory_entry> entries;
    while (true) {
      errno = 0;
      const dirent* d = ::readdir(open_directory.get());
      if (d == nullptr) {
        if (errno != 0) return fail(system_failure("list", directory, errno));
        break;
      }
      const std::string_view name = d->d_name;
      if (name == "." || name == "..") continue;
      struct stat s;
      if (::fstatat(::dirfd(open_directory.get()), d->d_name, &s, 0) != 0) {
        if (errno == ENOENT) continue;  // removed meanwhile, or a link to nothing
        return fail(system_failure("list", directory, errno));
      }
      entries.push_back({.name = std::string(name),
                         .is_directory = S_ISDIR(s.st_mode),
                         .size = static_cast<std::uint64_t>(s.st_size),
                         .modified_ms = s.st_mtim.tv_sec * 1000 + s.st_mtim.tv_nsec / 1'000'000});
    }
    std::sort(entries.begin(), entries.end(),
              [](const directory_entry& a, const directory_entry& b) { return a.name < b.name; });
    return entries;
  }

  bool exists(const std::string& path) override { return ::access(path.c_str(), F_OK) == 0; }

  result<> make_directories(const std::string& path) override {
    if (::mkdir(path.c_str(), 0755) == 0) return sync_directory(directory_of(path));
    int number = errno;
    if (number == ENOENT && !path.empty()) {
      const auto parent = directory_of(path);
      if (auto r = make_directories(parent); !r) return r;
      if (::mkdir(path.c_str(), 0755) == 0) return sync_directory(parent);
      number = errno;
    }
    // There already, a link to a directory too; or made by another thread meanwhile.
    std::error_code ignored;
    if (number == EEXIST && std::filesystem::is_directory(path, ignored)) return {};
    return fail(system_failure("make the directory", path, number == EEXIST ? ENOTDIR : number));
  }

  result<> rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0)
      return fail(system_failure("rename", fmt::format("{} to {}", from, to), errno));
    return {};
  }

  result<> remove(const std::string& path) override {
    std::error_code failure;
    if (!std::filesystem::remove(path, failure) && !failure) failure.assign(ENOENT, std::system_category());
    if (failure) return fail(system_failure("remove", path, failure.value()));
    return {};
  }

  result<> remove_all(const std::string& path) override {
    std::error_code failure;
    std::filesystem::remove_all(path, failure);
    if (failure) return fail(system_failure("remove", path, failure.value()));
    return {};
  }

  result<> sync_directory(const std::string& directory) override {
    const auto fd = open_descriptor(directory, O_RDONLY | O_DIRECTORY);
    if (!fd) return fail(fd.error());
    if (uninterrupted([&] { return ::fsync(fd->get()); }) != 0)
      return fail(system_failure("sync the directory", directory, errno));
    return {};
  }

  result<std::unique_ptr<file_lock>> lock_file(const std::string& path) override {
    auto fd = open_descriptor(path, O_RDWR | O_CREAT);
    if (!fd) return fail(fd.error());
    // flock belongs to the open file, not to the process: a second open in this process is refused too.
    if (uninterrupted([&] { return ::flock(fd->get(), LOCK_EX | LOCK_NB); }) != 0) {
      if (errno != EWOULDBLOCK) return fail(system_failure("lock", path, errno));
      return fail(errc::already_exists, fmt::format("cannot lock {}: it is in use already", path));
    }
    return std::make_unique<posix_lock>(std::move(*fd));
  }

  result<std::uint64_t> free_bytes(const std::string& path) override {
    struct statvfs s;
    if (uninterrupted([&] { return ::statvfs(path.c_str(), &s); }) != 0)
      return fail(system_failure("ask the free space of", path, errno));
    return static_cast<std::uint64_t>(s.f_bavail) * s.f_frsize;
  }
};

}  // namespace

file_system& file_system::system() noexcept {
  static posix_file_system instance;
  return instance;
}

}  // namespace penstock::io
