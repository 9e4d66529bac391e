// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <penstock/files.h>

#include <algorithm>
#include <limits>
#include <span>
#include <utility>

#include "io/file.h"

namespace penstock::files {
namespace {

constexpr std::size_t piece = std::size_t{1} << 20;

/// One file while it is read, a piece at a time; records are views of lines in the piece.
class open_file {
 public:
  open_file(std::uint32_t number, const split& s, const source& options)
      : number_(number), split_(&s), options_(&options), position_(s.start), read_to_(s.start) {}

  result<> open() {
    auto opened = io::file_system::system().open(split_->topic, io::open_mode::read);
    if (!opened) return fail(std::move(opened.error()));
    file_ = std::move(*opened);
    if (position_ == 0) to_skip_ = options_->skip_lines;
    return {};
  }
  bool finished() const noexcept { return finished_; }
  void set_paused(bool on) noexcept { paused_ = on; }
  bool has_work() const noexcept { return !finished_ && !paused_; }
  std::uint32_t number() const noexcept { return number_; }

  result<polled> poll(std::span<raw> into) {
    polled answer{.count = 0, .split = number_, .next = position_, .finished = false};
    while (answer.count < into.size()) {
      auto line = next_line(answer.count == 0);
      if (!line) return fail(std::move(line.error()));
      if (!line->found) break;
      if (to_skip_ != 0) {
        --to_skip_;
      } else if (!line->text.empty() && line->text.find_first_not_of(" \t") != std::string_view::npos) {
        raw& record = into[answer.count];
        record = {};
        if (options_->time_of) {
          const std::optional<std::int64_t> time = options_->time_of(line->text);
          if (time && answer.count != 0 && behind_the_watermark(*time)) break;
          if (time) newest_ = std::max(newest_, *time);
          record.timestamp_ms = time.value_or(-1);
        }
        record.from = split_;
        record.offset = position_;
        record.value = line->text;
        ++answer.count;
      }
      position_ += static_cast<std::int64_t>(line->size);
      taken_ += line->size;
    }
    answer.next = position_;
    answer.finished = finished_ = position_ >= *split_->stop;
    return answer;
  }

 private:
  struct line {
    bool found = false;
    std::string_view text{};  // without its end
    std::size_t size = 0;     // with it
  };

  /// The line at position_. Not found: at the end, or when the piece has no more and `may_read` is not set
  /// (views of it have been given out).
  result<line> next_line(bool may_read) {
    for (;;) {
      const std::string_view rest = std::string_view(piece_).substr(taken_);
      if (const std::size_t end = rest.find('\n', looked_at_ - std::min(looked_at_, taken_));
          end != rest.npos)
        return made(rest.substr(0, end), end + 1);
      looked_at_ = piece_.size();
      if (read_to_ >= *split_->stop) {
        looked_at_ = 0;
        return rest.empty() ? line{} : made(rest, rest.size());
      }
      if (rest.size() > options_->longest_line)
        return fail(errc::io, fmt::format("{}: the line at byte {} is longer than {} bytes", split_->topic,
                                          position_, options_->longest_line));
      if (!may_read) return line{};
      if (result<> r = read_on(); !r) return fail(std::move(r.error()));
    }
  }
  static line made(std::string_view text, std::size_t size) {
    if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
    return {true, text, size};
  }
  result<> read_on() {
    piece_.erase(0, taken_);
    looked_at_ -= std::min(looked_at_, taken_);
    taken_ = 0;
    const std::size_t had = piece_.size();
    const auto wanted = std::min<std::uint64_t>(piece, static_cast<std::uint64_t>(*split_->stop - read_to_));
    piece_.resize(had + wanted);
    auto got = file_->read_at(static_cast<std::uint64_t>(read_to_), std::span(piece_).subspan(had));
    if (!got) return fail(std::move(got.error()));
    if (*got == 0) return fail(errc::io, split_->topic + ": the file has become shorter while it is read");
    piece_.resize(had + *got);
    read_to_ += static_cast<std::int64_t>(*got);
    return {};
  }
  /// The engine moves the watermark after a poll, not after each record: a line that would be judged by it
  /// begins a poll of its own.
  bool behind_the_watermark(std::int64_t ms) const {
    return newest_ != min_watermark && ms <= newest_ - options_->watermarks.max_lag.count() - 1;
  }

  std::uint32_t number_;
  const split* split_;
  const source* options_;
  std::unique_ptr<io::file> file_;
  std::string piece_;
  std::size_t taken_ = 0;      // of the piece, by records that were given out
  std::size_t looked_at_ = 0;  // of the piece: there is no line end between `taken_` and here
  std::int64_t position_;      // of the next line
  std::int64_t read_to_;       // of the file
  std::size_t to_skip_ = 0;
  std::int64_t newest_ = min_watermark;
  bool paused_ = false, finished_ = false;
};

class reader final : public source_reader {
 public:
  explicit reader(const source& options) : options_(options) {}
  result<> assign(std::uint32_t number, const split& s) override {
    return files_.emplace_back(number, s, options_).open();
  }
  result<polled> poll(std::span<raw> into) override {
    for (std::size_t i = 0; i < files_.size(); ++i) {
      open_file& f = files_[(turn_ + i) % files_.size()];
      if (!f.has_work()) continue;
      turn_ = (turn_ + i + 1) % files_.size();
      return f.poll(into);
    }
    return polled{};
  }
  bool set_paused(std::uint32_t number, bool paused) override {
    for (open_file& f : files_) {
      if (f.number() == number) f.set_paused(paused);
    }
    return true;
  }
  void commit(std::vector<split_commit>, std::function<void(result<>)> done) override { done({}); }

 private:
  source options_;
  std::vector<open_file> files_;
  std::size_t turn_ = 0;
};

class file_source_connector final : public source_connector {
 public:
  explicit file_source_connector(source options) : options_(std::move(options)) {}
  std::string describe() const override { return fmt::format("file {}", fmt::join(options_.paths, ", ")); }
  void validate(std::vector<std::string>& problems) const override {
    if (options_.paths.empty()) problems.push_back("the file source has no paths");
    if (options_.longest_line == 0) problems.push_back("the file source's longest_line must be at least 1");
  }
  bool bounded() const override { return true; }
  watermark_options watermarks() const override { return options_.watermarks; }
  result<std::vector<split>> discover(const job_info&, read_purpose) override {
    std::vector<split> found;
    for (const std::string& path : options_.paths) {
      auto file = io::file_system::system().open(path, io::open_mode::read);
      if (!file) return fail(std::move(file.error()));
      auto size = (*file)->size();
      if (!size) return fail(std::move(size.error()));
      split& s = found.emplace_back();
      s.topic = path;
      s.stop = s.end = static_cast<std::int64_t>(*size);
    }
    return found;
  }
  result<std::unique_ptr<source_reader>> open_reader(const lane_context&) override {
    return std::make_unique<reader>(options_);
  }

 private:
  source options_;
};

}  // namespace

std::unique_ptr<source_connector> source::make_source() const {
  return std::make_unique<file_source_connector>(*this);
}

}  // namespace penstock::files
