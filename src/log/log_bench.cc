// SPDX-License-Identifier: Apache-2.0
// What the log costs beyond the write itself: `write` is a bare pwrite of the same bytes.
#include <benchmark/benchmark.h>

#include <filesystem>
#include <string>

#include "log/partition_log.h"
#include "wire/batch_builder.h"

namespace penstock::log {
namespace {

constexpr std::uint64_t rewind_bytes = 512u << 20;  // stays within the page cache

std::string scratch_directory() {
  const auto path = std::filesystem::temp_directory_path() / "penstock_log_bench";
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path.string();
}

std::string batch_of(std::size_t bytes) {
  wire::batch_builder builder(bytes + 1000);
  builder.reset();
  const std::string value(100, 'v');
  while (builder.size() < bytes) (void)builder.append({}, value, 1'700'000'000'000);
  return std::string(*builder.seal({}));
}

std::unique_ptr<partition_log> open_log(const std::string& directory) {
  auto log = partition_log::open(
      {.files = &io::file_system::system(),
       .clock = &io::clock::system(),
       .directory = directory + "/bench-0",
       .topic_id = {},
       .config = {.retention_age = std::chrono::milliseconds(-1), .flush = flush_policy::none}});
  return log ? std::move(*log) : nullptr;
}

void write_bare(benchmark::State& state) {
  const std::string directory = scratch_directory();
  auto file = io::file_system::system().open(directory + "/bare", io::open_mode::read_write);
  const std::string batch = batch_of(static_cast<std::size_t>(state.range(0)));
  std::uint64_t at = 0;
  for (auto _ : state) {
    if (!(*file)->write_at(at, batch)) state.SkipWithError("write failed");
    at += batch.size();
    if (at > rewind_bytes) {
      state.PauseTiming();
      (void)(*file)->truncate(at = 0);
      state.ResumeTiming();
    }
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * batch.size()));
}
BENCHMARK(write_bare)->Arg(200)->Arg(16 << 10)->Arg(1 << 20);

void append(benchmark::State& state) {
  const std::string directory = scratch_directory();
  auto log = open_log(directory);
  std::string batch = batch_of(static_cast<std::size_t>(state.range(0)));
  std::uint64_t written = 0;
  for (auto _ : state) {
    if (!log->append(std::span<char>(batch))) state.SkipWithError("append failed");
    written += batch.size();
    if (written > rewind_bytes) {
      state.PauseTiming();
      log.reset();
      std::filesystem::remove_all(directory);
      log = open_log(directory);
      written = 0;
      state.ResumeTiming();
    }
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * batch.size()));
}
BENCHMARK(append)->Arg(200)->Arg(16 << 10)->Arg(1 << 20);

// A consumer at the end: one batch is appended, one is read.
void append_and_read_tail(benchmark::State& state) {
  auto log = open_log(scratch_directory());
  std::string batch = batch_of(200);
  std::int64_t offset = 0;
  for (auto _ : state) {
    (void)log->append(std::span<char>(batch));
    auto slice = log->read({.offset = offset});
    if (!slice || slice->length != batch.size()) state.SkipWithError("read failed");
    offset = slice->next_offset;
  }
}
BENCHMARK(append_and_read_tail);

void fill(partition_log& log) {
  std::string batch = batch_of(2'000);
  for (std::size_t i = 0; i < (256u << 20) / batch.size(); ++i) (void)log.append(std::span<char>(batch));
}

void read_sequential(benchmark::State& state) {
  auto log = open_log(scratch_directory());
  fill(*log);
  std::int64_t offset = 0;
  std::int64_t bytes = 0;
  for (auto _ : state) {
    auto slice = log->read({.offset = offset, .max_bytes = static_cast<std::uint64_t>(state.range(0))});
    if (!slice) state.SkipWithError("read failed");
    bytes += static_cast<std::int64_t>(slice->length);
    offset = slice->length == 0 ? 0 : slice->next_offset;
  }
  state.SetBytesProcessed(bytes);
}
BENCHMARK(read_sequential)->Arg(16 << 10)->Arg(1 << 20);

void read_random(benchmark::State& state) {
  auto log = open_log(scratch_directory());
  fill(*log);
  std::uint64_t at = 1;
  for (auto _ : state) {
    at = at * 6364136223846793005u + 1442695040888963407u;
    auto slice = log->read(
        {.offset = static_cast<std::int64_t>((at >> 33) % static_cast<std::uint64_t>(log->end_offset()))});
    if (!slice) state.SkipWithError("read failed");
    benchmark::DoNotOptimize(slice->position);
  }
}
BENCHMARK(read_random);

// What an open after a crash reads and verifies.
void recover(benchmark::State& state) {
  const std::string directory = scratch_directory();
  fill(*open_log(directory));
  std::int64_t bytes = 0;
  for (auto _ : state) {
    auto log = open_log(directory);
    bytes += static_cast<std::int64_t>(log->recovery().bytes_verified);
  }
  state.SetBytesProcessed(bytes);
}
BENCHMARK(recover);

}  // namespace
}  // namespace penstock::log

BENCHMARK_MAIN();
