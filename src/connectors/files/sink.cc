// SPDX-License-Identifier: Apache-2.0
#include <penstock/files.h>

#include <mutex>
#include <utility>

#include "io/file.h"

namespace penstock::files {
namespace {

/// The one file that all lanes write to.
class shared_file {
 public:
  result<> open(const sink& options) {
    auto opened = io::file_system::system().open(options.path, io::open_mode::read_write);
    if (!opened) return fail(std::move(opened.error()));
    file_ = std::move(*opened);
    if (!options.append) {
      if (result<> r = file_->truncate(0); !r) return r;
    }
    auto size = file_->size();
    if (!size) return fail(std::move(size.error()));
    end_ = *size;
    if (end_ == 0 && !options.header.empty()) return write(options.header + "\n");
    return end_ == 0 ? result<>{} : end_last_line();
  }
  /// Whole lines.
  result<> write(std::string_view lines) {
    const std::lock_guard lock(mutex_);
    result<> r = file_->write_at(end_, lines);
    end_ += lines.size();
    return r;
  }
  result<> sync() {
    const std::lock_guard lock(mutex_);
    return file_->sync();
  }

 private:
  /// One that was cut off by a crash, or that somebody else left open, does not run into the next.
  result<> end_last_line() {
    char last = 0;
    auto read = file_->read_at(end_ - 1, {&last, 1});
    if (!read) return fail(std::move(read.error()));
    return last == '\n' ? result<>{} : write("\n");
  }

  std::mutex mutex_;
  std::unique_ptr<io::file> file_;
  std::uint64_t end_ = 0;
};

class writer final : public sink_writer {
 public:
  explicit writer(std::shared_ptr<shared_file> to) : to_(std::move(to)) {}
  result<> write(std::span<const outgoing> records) override {
    for (const outgoing& r : records) {
      if (r.value.data() == nullptr) continue;
      lines_.append(r.value);
      if (lines_.empty() || lines_.back() != '\n') lines_.push_back('\n');
    }
    return lines_.size() < enough ? result<>{} : hand_over();
  }
  bool ready() const override { return true; }
  void flush(std::function<void(result<>)> done) override {
    result<> r = hand_over();
    done(r ? to_->sync() : std::move(r));
  }

 private:
  static constexpr std::size_t enough = std::size_t{1} << 16;
  result<> hand_over() {
    if (lines_.empty()) return {};
    result<> r = to_->write(lines_);
    lines_.clear();
    return r;
  }
  std::shared_ptr<shared_file> to_;
  std::string lines_;
};

class file_sink_connector final : public sink_connector {
 public:
  explicit file_sink_connector(sink options) : options_(std::move(options)) {}
  std::string describe() const override { return "file " + options_.path; }
  void validate(std::vector<std::string>& problems) const override {
    if (options_.path.empty()) problems.push_back("the file sink has no path");
  }
  result<> prepare(const job_info&) override { return file_->open(options_); }
  result<std::unique_ptr<sink_writer>> open_writer(const lane_context&) override {
    return std::make_unique<writer>(file_);
  }

 private:
  sink options_;
  std::shared_ptr<shared_file> file_ = std::make_shared<shared_file>();
};

}  // namespace

std::unique_ptr<sink_connector> sink::make_sink() const {
  return std::make_unique<file_sink_connector>(*this);
}

}  // namespace penstock::files
