// SPDX-License-Identifier: Apache-2.0
#include <penstock/detail/indexed.h>

#include <algorithm>
#include <string>
#include <utility>

namespace penstock::detail {

void index_splits::add(std::uint32_t number, const split& s) {
  ranges_.push_back({number, &s, s.start, s.stop.value_or(s.start), false, false});
}

bool index_splits::set_paused(std::uint32_t number, bool paused) {
  for (range& r : ranges_) {
    if (r.number == number) r.paused = paused;
  }
  return true;
}

index_range index_splits::next() {
  for (std::size_t i = 0; i < ranges_.size(); ++i) {
    range& r = ranges_[(turn_ + i) % ranges_.size()];
    if (r.finished || r.paused) continue;
    turn_ = (turn_ + i + 1) % ranges_.size();
    index_range part;
    part.first = r.position;
    part.size = static_cast<std::size_t>(std::min(piece, r.stop - r.position));
    part.split = r.number;
    part.from = r.from;
    r.position += static_cast<std::int64_t>(part.size);
    part.finished = r.finished = r.position >= r.stop;
    return part;
  }
  return {};
}

namespace {

/// Indices need no reader and no place to keep positions: a restart makes the same records again.
class indexed_connector final : public source_connector {
 public:
  indexed_connector(std::int64_t count, std::uint32_t splits) : count_(count), splits_(splits) {}
  std::string describe() const override { return std::to_string(count_) + " elements in memory"; }
  void validate(std::vector<std::string>& problems) const override {
    if (count_ < 0) problems.push_back("the number of elements is negative");
    if (splits_ == 0) problems.push_back("the number of splits must be at least 1");
  }
  bool bounded() const override { return true; }
  watermark_options watermarks() const override { return {}; }
  result<std::vector<split>> discover(const job_info& job, read_purpose) override {
    std::vector<split> found;
    for (std::uint32_t i = 0; i < splits_; ++i) {
      split s;
      s.topic = job.name;
      s.partition = static_cast<std::int32_t>(i);
      s.start = bound(i);
      s.stop = s.end = bound(i + 1);
      found.push_back(std::move(s));
    }
    return found;
  }
  result<std::unique_ptr<source_reader>> open_reader(const lane_context&) override {
    return fail(errc::unsupported, "elements in memory cannot be a global table");
  }

 private:
  std::int64_t bound(std::uint32_t i) const {
    return static_cast<std::int64_t>(static_cast<__int128>(count_) * i / splits_);
  }
  std::int64_t count_;
  std::uint32_t splits_;
};

}  // namespace

std::unique_ptr<source_connector> make_indexed_connector(std::int64_t count, std::uint32_t splits) {
  return std::make_unique<indexed_connector>(count, splits);
}

}  // namespace penstock::detail
