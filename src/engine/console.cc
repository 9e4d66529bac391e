// SPDX-License-Identifier: Apache-2.0
#include <penstock/console.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

namespace penstock {
namespace {

class console_writer final : public sink_writer {
 public:
  result<> write(std::span<const outgoing> records) override {
    lines_.clear();
    for (const outgoing& r : records) lines_.append(r.value).push_back('\n');
    // One call a batch: lines of several lanes do not mix.
    if (std::fwrite(lines_.data(), 1, lines_.size(), stdout) != lines_.size()) return broken();
    return {};
  }
  bool ready() const override { return true; }
  void flush(std::function<void(result<>)> done) override {
    done(std::fflush(stdout) == 0 ? result<>{} : result<>(broken()));
  }

 private:
  static tl::unexpected<error> broken() {
    return fail(errc::io, std::string("writing to standard output: ") + std::strerror(errno));
  }
  std::string lines_;
};

class console_connector final : public sink_connector {
 public:
  std::string describe() const override { return "standard output"; }
  void validate(std::vector<std::string>&) const override {}
  result<> prepare(const job_info&) override { return {}; }
  result<std::unique_ptr<sink_writer>> open_writer(const lane_context&) override {
    return std::make_unique<console_writer>();
  }
};

}  // namespace

std::unique_ptr<sink_connector> console::make_sink() const { return std::make_unique<console_connector>(); }

}  // namespace penstock
