// SPDX-License-Identifier: Apache-2.0
// What a record costs on its way into a batch and out of one. Records: key of 8 bytes, value of 100, about a
// thousand in a batch of 128 KiB.
#include <benchmark/benchmark.h>

#include <random>
#include <string>
#include <vector>

#include "wire/batch_builder.h"
#include "wire/batch_validation.h"
#include "wire/compression.h"
#include "wire/record_cursor.h"
#include "wire/records_reader.h"

namespace penstock::wire {
namespace {

constexpr int records_per_batch = 1100;
constexpr std::int64_t start_ms = 1'700'000'000'000;

const std::vector<std::pair<std::string, std::string>>& sample() {
  static const auto made = [] {
    std::mt19937 random(1);
    std::vector<std::pair<std::string, std::string>> out(records_per_batch);
    for (auto& [key, value] : out) {
      key = std::to_string(10'000'000 + random() % 80'000'000);
      // About as compressible as JSON of sensors.
      while (value.size() < 100) value += "{\"t\":" + std::to_string(random() % 1000) + ",\"u\":\"C\"},";
      value.resize(100);
    }
    return out;
  }();
  return made;
}

void fill(batch_builder& b, bool headers = false) {
  const record_header list[] = {{"trace", "0123456789abcdef"}, {"type", "reading"}};
  std::int64_t i = 0;
  for (const auto& [key, value] : sample()) {
    if (headers)
      b.append(key, value, start_ms + i++ / 10, list);
    else
      b.append(key, value, start_ms + i++ / 10);
  }
}

std::string batch_of(compression codec, bool headers = false) {
  batch_builder b(16 << 20);
  fill(b, headers);
  return std::string(*b.seal({.codec = codec}));
}

void per_record(benchmark::State& state, std::size_t bytes, int batches = 1) {
  const auto records = state.iterations() * records_per_batch * batches;
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
  state.counters["record"] = benchmark::Counter(static_cast<double>(records),
                                                benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void name_codec(benchmark::State& state) {
  state.SetLabel(std::string(to_string(static_cast<compression>(state.range(0)))));
}

void cursor_walk(benchmark::State& state) {
  const bool headers = state.range(0) != 0;
  const std::string batch = batch_of(compression::none, headers);
  const auto header = *parse_batch_header(batch);
  for (auto _ : state) {
    record_cursor cursor(header, bytes_view(batch).substr(batch_overhead));
    record_view r;
    std::uint64_t sum = 0;
    while (cursor.next(r))
      sum += static_cast<std::uint64_t>(r.offset + r.timestamp_ms) + r.key.size() +
             static_cast<unsigned char>(r.value.back());
    if (cursor.damaged()) state.SkipWithError("damaged");
    benchmark::DoNotOptimize(sum);
  }
  per_record(state, batch.size());
}
BENCHMARK(cursor_walk)->ArgName("headers")->Arg(0)->Arg(1);

void reader_with_crc(benchmark::State& state) {
  const std::string batch = batch_of(static_cast<compression>(state.range(0)));
  constexpr int batches = 8;
  std::string section;
  for (int i = 0; i < batches; ++i) {
    section += batch;
    set_base_offset(section.data() + section.size() - batch.size(), i * records_per_batch);
  }
  scratch_buffer scratch;
  for (auto _ : state) {
    records_reader reader(section, {});
    fetched_batch b;
    record_view r;
    std::uint64_t sum = 0;
    while (*reader.next(b, scratch))
      while (b.cursor.next(r)) sum += static_cast<std::uint64_t>(r.offset) + r.value.size();
    benchmark::DoNotOptimize(sum);
  }
  per_record(state, section.size(), batches);
  name_codec(state);
}
BENCHMARK(reader_with_crc)->DenseRange(0, 4);

void build(benchmark::State& state) {
  batch_builder b(16 << 20);
  for (auto _ : state) {
    b.reset();
    fill(b, state.range(0) != 0);
    benchmark::DoNotOptimize(b.size());
  }
  per_record(state, b.size());
}
BENCHMARK(build)->ArgName("headers")->Arg(0)->Arg(1);

void build_and_seal(benchmark::State& state) {
  batch_builder b(16 << 20);
  for (auto _ : state) {
    b.reset();
    fill(b);
    auto bytes =
        b.seal({.codec = static_cast<compression>(state.range(0)), .producer_id = 1, .base_sequence = 0});
    benchmark::DoNotOptimize(bytes->data());
  }
  per_record(state, b.size());
  name_codec(state);
}
BENCHMARK(build_and_seal)->DenseRange(0, 4);

void validate(benchmark::State& state) {
  const std::string batch = batch_of(static_cast<compression>(state.range(0)));
  scratch_buffer scratch;
  for (auto _ : state) {
    auto summary = validate_batch(batch, {.find_null_keys = true}, scratch);
    if (!summary) state.SkipWithError("refused");
    benchmark::DoNotOptimize(summary);
  }
  per_record(state, batch.size());
  name_codec(state);
}
BENCHMARK(validate)->DenseRange(0, 4);

}  // namespace
}  // namespace penstock::wire

BENCHMARK_MAIN();
