// SPDX-License-Identifier: Apache-2.0
// Opens a log whose files hold arbitrary bytes: the first byte says what is there and how it is opened, the
// rest is cut into the files. It may refuse, and then it must name something; whatever it opens must be
// consistent.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "io/simulated_file_system.h"
#include "log/partition_log.h"

namespace {

using namespace penstock;

constexpr const char* directory = "/d/t-0";

void put(io::simulated_file_system& fs, const char* name, std::string_view bytes) {
  auto file = fs.open(std::string(directory) + "/" + name, io::open_mode::read_write);
  if (!file || (!bytes.empty() && !(*file)->write_at(0, bytes))) std::abort();
}

std::string_view take(std::string_view& rest, std::size_t n) {
  const auto part = rest.substr(0, n);
  rest.remove_prefix(part.size());
  return part;
}

void use(log::partition_log& log) {
  if (!log.verify()) std::abort();
  std::int64_t offset = log.log_start_offset();
  while (true) {
    auto slice = log.read({.offset = offset, .max_bytes = 500});
    if (!slice) std::abort();
    if (slice->length == 0) break;
    if (slice->next_offset <= offset) std::abort();
    offset = slice->next_offset;
  }
  if (offset != log.end_offset()) std::abort();
  (void)log.offset_for_timestamp(1'000);  // records may be damaged within a right checksum
  (void)log.max_timestamp();
  (void)log.compact(true);
  if (!log.close()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  const unsigned flags = data[0];
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  io::simulated_file_system fs;
  io::manual_clock clock;
  if (!fs.make_directories(directory)) std::abort();
  const std::size_t small = static_cast<unsigned char>(take(rest, 1)[0]);
  if (flags & 1) put(fs, "00000000000000000000.index", take(rest, small));
  if (flags & 2) put(fs, "00000000000000000000.timeindex", take(rest, small));
  if (flags & 4) put(fs, "00000000000000000000.snapshot", take(rest, small));
  if (flags & 8) put(fs, "recovery-point", take(rest, small));
  if (flags & 16) put(fs, "leader-epoch-checkpoint", take(rest, small));
  if (flags & 32) put(fs, "00000000000000000005.log", take(rest, small * 4));
  if (flags & 32) put(fs, "00000000000000000000.txnindex", take(rest, small));
  put(fs, "00000000000000000000.log", rest);
  log::log_config config{.segment_bytes = 400};
  config.cleanup_compact = true;
  auto log = log::partition_log::open({.files = &fs,
                                       .clock = &clock,
                                       .directory = directory,
                                       .topic_id = {},
                                       .config = config,
                                       .clean_shutdown = (flags & 64) != 0,
                                       .accept_data_loss = (flags & 128) != 0});
  if (log) {
    use(**log);
  } else if (log.error().message().find(directory) == std::string::npos) {
    std::abort();
  }
  return 0;
}
