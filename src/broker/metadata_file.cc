// SPDX-License-Identifier: Apache-2.0
#include "broker/metadata_file.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "base/crc32c.h"

namespace penstock::broker {
namespace {

constexpr std::string_view first_line = "penstock-meta 1";
constexpr std::uint64_t largest_file = 1u << 30;

bool must_escape(char c) { return static_cast<unsigned char>(c) <= ' ' || c == '%' || c == 0x7f; }

std::string escaped(std::string_view s) {
  std::string out;
  for (const char c : s) {
    if (must_escape(c))
      out += fmt::format("%{:02x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out;
}

std::optional<std::string> unescaped(std::string_view s) {
  std::string out;
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (s[i] != '%') {
      out += s[i];
      continue;
    }
    unsigned value = 0;
    if (s.size() - i < 3) return std::nullopt;
    const auto [end, error] = std::from_chars(s.data() + i + 1, s.data() + i + 3, value, 16);
    if (error != std::errc() || end != s.data() + i + 3) return std::nullopt;
    out += static_cast<char>(value);
    i += 2;
  }
  return out;
}

// The blank-separated fields of one line; any trouble sets bad().
class fields {
 public:
  explicit fields(std::string_view line) : rest_(line) {}
  std::string_view raw() {
    if (done_) bad_ = true;
    const auto blank = rest_.find(' ');
    const auto field = rest_.substr(0, blank);
    done_ = blank == std::string_view::npos;
    rest_ = done_ ? std::string_view() : rest_.substr(blank + 1);
    return field;
  }
  std::string text() {
    auto t = unescaped(raw());
    if (!t) bad_ = true;
    return t.value_or("");
  }
  template <typename T>
  T number() {
    const auto field = raw();
    T v{};
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), v);
    if (error != std::errc() || end != field.data() + field.size()) bad_ = true;
    return v;
  }
  wire::uuid id() {
    auto v = wire::uuid::parse(raw());
    if (!v) bad_ = true;
    return v ? *v : wire::uuid{};
  }
  bool bad() const { return bad_ || !done_; }

 private:
  std::string_view rest_;
  bool done_ = false;
  bool bad_ = false;
};

bool read_line(std::string_view line, broker_metadata& m) {
  fields f(line);
  const auto kind = f.raw();
  if (kind == "cluster") {
    m.cluster_id = f.text();
  } else if (kind == "epoch") {
    m.leader_epoch = f.number<std::int32_t>();
  } else if (kind == "next-producer") {
    m.next_producer_id = f.number<std::int64_t>();
  } else if (kind == "broker-config") {
    const auto resource = f.text();
    const auto name = f.text();
    m.broker_configs[resource == "*" ? "" : resource][name] = f.text();
  } else if (kind == "topic" || kind == "deleted") {
    topic_record t;
    t.id = f.id();
    t.partitions = f.number<std::int32_t>();
    t.name = f.text();
    if (t.partitions <= 0 || t.name.empty()) return false;
    if (kind == "deleted")
      m.deleted.push_back(std::move(t));
    else
      m.topics[t.name] = std::move(t);
  } else if (kind == "topic-config") {
    const auto topic = m.topics.find(f.text());
    const auto name = f.text();
    if (topic == m.topics.end()) return false;
    topic->second.configs[name] = f.text();
  } else {
    return false;
  }
  return !f.bad();
}

}  // namespace

std::string encode(const broker_metadata& m) {
  std::string out(first_line);
  const auto at = std::back_inserter(out);
  fmt::format_to(at, "\ncluster {}\nepoch {}\nnext-producer {}\n", escaped(m.cluster_id), m.leader_epoch,
                 m.next_producer_id);
  for (const auto& [resource, configs] : m.broker_configs)
    for (const auto& [name, value] : configs)
      fmt::format_to(at, "broker-config {} {} {}\n", resource.empty() ? "*" : escaped(resource),
                     escaped(name), escaped(value));
  for (const auto& [key, t] : m.topics) {
    fmt::format_to(at, "topic {} {} {}\n", t.id.to_string(), t.partitions, escaped(t.name));
    for (const auto& [name, value] : t.configs)
      fmt::format_to(at, "topic-config {} {} {}\n", escaped(t.name), escaped(name), escaped(value));
  }
  for (const auto& t : m.deleted)
    fmt::format_to(at, "deleted {} {} {}\n", t.id.to_string(), t.partitions, escaped(t.name));
  fmt::format_to(at, "end {:08x}\n", base::crc32c(out));
  return out;
}

result<broker_metadata> decode_metadata(std::string_view text) {
  const auto end = text.rfind("end ");
  if (end == std::string_view::npos || (end > 0 && text[end - 1] != '\n'))
    return fail(errc::corrupt, "penstock-meta has no last line");
  if (text.substr(end) != fmt::format("end {:08x}\n", base::crc32c(text.substr(0, end))))
    return fail(errc::corrupt, "the checksum of penstock-meta does not match");
  broker_metadata m;
  int number = 0;
  for (std::string_view rest = text.substr(0, end); !rest.empty();) {
    const auto newline = rest.find('\n');
    const auto line = rest.substr(0, newline);
    rest = newline == std::string_view::npos ? std::string_view() : rest.substr(newline + 1);
    const bool good = ++number == 1 ? line == first_line : read_line(line, m);
    if (!good) return fail(errc::corrupt, fmt::format("line {} of penstock-meta cannot be read", number));
  }
  return m;
}

result<broker_metadata> read_metadata(io::file_system& fs, const std::string& directory) {
  const std::string path = directory + "/penstock-meta";
  if (!fs.exists(path)) return broker_metadata{};
  auto text = io::read_file(fs, path, largest_file);
  if (!text) return fail(text.error());
  auto m = decode_metadata(*text);
  if (!m) return fail(m.error().with_context(directory));
  return m;
}

result<> write_metadata(io::file_system& fs, const std::string& directory, const broker_metadata& m) {
  return io::write_file_atomically(fs, directory + "/penstock-meta", encode(m));
}

}  // namespace penstock::broker
