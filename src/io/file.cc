// SPDX-License-Identifier: Apache-2.0
// What is built on the interface alone, so that it serves the real and the simulated files alike.
#include "io/file.h"

#include <fmt/format.h>

#include <algorithm>

namespace penstock::io {

std::string directory_of(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  const auto slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return std::string(path.substr(0, std::max<std::size_t>(slash, 1)));
}

result<std::string> read_file(file_system& fs, const std::string& path, std::uint64_t limit) {
  auto opened = fs.open(path, open_mode::read);
  if (!opened) return fail(opened.error());
  const file& f = **opened;
  const auto size = f.size();
  if (!size) return fail(size.error());
  if (*size > limit)
    return fail(errc::exhausted,
                fmt::format("{} has {} bytes, more than the {} allowed", path, *size, limit));
  std::string content(static_cast<std::size_t>(*size), '\0');
  const auto got = f.read_at(0, content);
  if (!got) return fail(got.error());
  content.resize(*got);
  return content;
}

namespace {

result<> write_and_sync(file_system& fs, const std::string& path, std::string_view content) {
  auto opened = fs.open(path, open_mode::read_write);
  if (!opened) return fail(opened.error());
  file& f = **opened;
  if (auto r = f.truncate(0); !r) return r;  // a leftover of an earlier crash
  if (auto r = f.write_at(0, content); !r) return r;
  return f.sync();
}

}  // namespace

result<> write_file_atomically(file_system& fs, const std::string& path, std::string_view content) {
  const std::string temporary = path + ".tmp";
  if (auto r = write_and_sync(fs, temporary, content); !r) {
    (void)fs.remove(temporary);
    return r;
  }
  if (auto r = fs.rename(temporary, path); !r) return r;
  return fs.sync_directory(directory_of(path));
}

}  // namespace penstock::io
