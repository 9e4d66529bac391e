// SPDX-License-Identifier: Apache-2.0
// A source of one's own, as <penstock/source.h> asks for it: the lines of a file are the records of one
// split.
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "query.h"
#include "sources.h"

namespace ps = penstock;

namespace nexmark {
namespace {

/// The first time in an event's line, if it can be read without parsing all of it.
bool find_time(std::string_view line, std::int64_t& ms) {
  constexpr std::string_view name = "\"dateTime\"";
  std::size_t at = line.find(name);
  if (at == std::string_view::npos) return false;
  at = line.find_first_not_of(" :", at + name.size());
  if (at == std::string_view::npos) return false;
  line.remove_prefix(at);
  if (line.front() == '"') {
    line.remove_prefix(1);
    timestamp t;
    if (!parse(line.substr(0, line.find('"')), t)) return false;
    ms = t.ms;
    return true;
  }
  return std::from_chars(line.data(), line.data() + line.size(), ms).ec == std::errc{};
}

/// Reads pieces of the file; a record is a view of a line in the current piece.
class reader final : public ps::source_reader {
 public:
  ps::result<> assign(std::uint32_t number, const ps::split& s) override {
    number_ = number;
    split_ = &s;
    position_ = s.start;
    file_.open(s.topic, std::ios::binary);
    file_.seekg(position_);
    if (!file_) return ps::fail(ps::errc::io, "cannot read " + s.topic);
    return {};
  }

  ps::result<ps::polled> poll(std::span<ps::raw> into) override {
    if (split_ == nullptr || finished_) return ps::polled{};
    ps::polled answer{.count = 0, .split = number_, .next = position_, .finished = false};
    std::string_view line;
    while (answer.count < into.size() && next_line(line, answer.count == 0)) {
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      const bool blank = line.find_first_not_of(" \t") == line.npos;
      if (!blank && behind_the_watermark(line, answer.count)) break;
      ps::raw& record = into[answer.count];
      record = {};
      record.from = split_;
      record.offset = position_;
      record.value = line;
      if (!blank) ++answer.count;
      position_ = start_of_next_;
      taken_ = next_taken_;
    }
    answer.next = position_;
    answer.finished = finished_ = position_ >= *split_->stop;
    return answer;
  }

  void commit(std::vector<ps::split_commit>, std::function<void(ps::result<>)> done) override { done({}); }

 private:
  static constexpr std::size_t piece = 1 << 20;

  /// The line at position_; false when the piece has no more and `may_read` is not set, or at the end.
  bool next_line(std::string_view& line, bool may_read) {
    for (;;) {
      const std::string_view rest = std::string_view(piece_).substr(taken_);
      if (const std::size_t end = rest.find('\n'); end != rest.npos) {
        line = rest.substr(0, end);
        return step(end + 1);
      }
      if (at_end_) {
        line = rest;
        return !rest.empty() && step(rest.size());
      }
      if (!may_read) return false;
      piece_.erase(0, taken_);
      taken_ = 0;
      const std::size_t had = piece_.size();
      piece_.resize(had + piece);
      file_.read(piece_.data() + had, piece);
      piece_.resize(had + static_cast<std::size_t>(file_.gcount()));
      at_end_ = !file_;
    }
  }
  bool step(std::size_t bytes) {
    next_taken_ = taken_ + bytes;
    start_of_next_ = position_ + static_cast<std::int64_t>(bytes);
    return true;
  }

  /// The engine moves the watermark after a poll, not after each record. An event that is behind the
  /// watermark which the events before it make must see that: it begins a poll of its own. (It may be late.
  /// What is not behind the watermark is never late, so that order within a poll does not matter.)
  bool behind_the_watermark(std::string_view line, std::size_t in_this_poll) {
    std::int64_t ms = 0;
    if (!find_time(line, ms)) return false;
    if (in_this_poll != 0 && ms <= newest_ - disorder.max_lag.count() - 1) return true;
    newest_ = std::max(newest_, ms);
    return false;
  }

  std::uint32_t number_ = 0;
  const ps::split* split_ = nullptr;
  std::ifstream file_;
  std::string piece_;
  std::size_t taken_ = 0, next_taken_ = 0;  // of the piece
  std::int64_t position_ = 0, start_of_next_ = 0;
  std::int64_t newest_ = 0;
  bool at_end_ = false, finished_ = false;
};

class connector final : public ps::source_connector {
 public:
  explicit connector(std::string path) : path_(std::move(path)) {}
  std::string describe() const override { return "file " + path_; }
  void validate(std::vector<std::string>&) const override {}
  bool bounded() const override { return true; }
  ps::watermark_options watermarks() const override { return disorder; }
  ps::result<std::vector<ps::split>> discover(const ps::job_info&, ps::read_purpose) override {
    std::ifstream file(path_, std::ios::binary | std::ios::ate);
    const auto size = static_cast<std::int64_t>(file.tellg());
    if (!file || size < 0) return ps::fail(ps::errc::io, "cannot read " + path_);
    return std::vector<ps::split>{{.topic = path_, .stop = size}};
  }
  ps::result<std::unique_ptr<ps::source_reader>> open_reader(const ps::lane_context&) override {
    return std::make_unique<reader>();
  }

 private:
  std::string path_;
};

}  // namespace

std::unique_ptr<ps::source_connector> ndjson_file::make_source() const {
  return std::make_unique<connector>(path);
}

}  // namespace nexmark
