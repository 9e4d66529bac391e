// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <penstock/csv.h>

#include <algorithm>
#include <iterator>

namespace penstock::detail {

csv_line::csv_line(std::string_view text, char delimiter, std::string& scratch) noexcept
    : rest_(text), delimiter_(delimiter), scratch_(scratch) {
  if (rest_.ends_with('\n')) rest_.remove_suffix(1);
  if (rest_.ends_with('\r')) rest_.remove_suffix(1);
}

bool csv_line::next(std::string_view& field) {
  if (!more_ || problem_ != nullptr) return false;
  if (rest_.starts_with('"')) return quoted(field);
  const std::size_t end = rest_.find(delimiter_);
  more_ = end != std::string_view::npos;
  field = rest_.substr(0, end);
  rest_.remove_prefix(more_ ? end + 1 : rest_.size());
  return true;
}

bool csv_line::quoted(std::string_view& field) {
  scratch_.clear();
  bool doubled = false;
  for (std::size_t from = 1;;) {
    const std::size_t end = rest_.find('"', from);
    if (end == std::string_view::npos) {
      problem_ = "a quoted field has no end";
      return false;
    }
    if (end + 1 < rest_.size() && rest_[end + 1] == '"') {
      scratch_.append(rest_, from, end + 1 - from);
      from = end + 2;
      doubled = true;
      continue;
    }
    if (doubled) {
      scratch_.append(rest_, from, end - from);
      field = scratch_;
    } else {
      field = rest_.substr(1, end - 1);
    }
    rest_.remove_prefix(end + 1);
    break;
  }
  more_ = rest_.starts_with(delimiter_);
  if (!more_ && !rest_.empty()) {
    problem_ = "something follows a quoted field before the delimiter";
    return false;
  }
  if (more_) rest_.remove_prefix(1);
  return true;
}

void append_csv(std::string_view field, char delimiter, std::string& out) {
  const bool plain = std::none_of(field.begin(), field.end(), [delimiter](char c) {
    return c == delimiter || c == '"' || c == '\n' || c == '\r';
  });
  if (plain) {
    out.append(field);
    return;
  }
  out.push_back('"');
  for (const char c : field) {
    if (c == '"') out.push_back('"');
    out.push_back(c);
  }
  out.push_back('"');
}

bool parse_csv_number(std::string_view text, double& out) {
  const auto r = std::from_chars(text.data(), text.data() + text.size(), out);
  return r.ec == std::errc{} && r.ptr == text.data() + text.size();
}

void append_csv_number(double v, std::string& out) { fmt::format_to(std::back_inserter(out), "{}", v); }
void append_csv_number(float v, std::string& out) { fmt::format_to(std::back_inserter(out), "{}", v); }

std::vector<std::size_t> csv_places(const std::vector<std::string>& columns, const std::string_view* names,
                                    std::size_t members, std::string& problem) {
  std::vector<std::size_t> places;
  if (columns.empty()) {
    for (std::size_t i = 0; i < members; ++i) places.push_back(i);
    return places;
  }
  std::size_t found = 0;
  for (const std::string& c : columns) {
    const auto at = static_cast<std::size_t>(std::find(names, names + members, c) - names);
    if (at != members && std::find(places.begin(), places.end(), at) != places.end())
      problem = fmt::format("the column '{}' is named twice", c);
    places.push_back(at == members ? no_member : at);
    found += at == members ? 0 : 1;
  }
  for (std::size_t i = 0; i < members && found != members && problem.empty(); ++i) {
    if (std::find(columns.begin(), columns.end(), names[i]) == columns.end())
      problem = fmt::format("the member '{}' has no column", names[i]);
  }
  return places;
}

std::string csv_problem(std::string_view column, const char* expected, std::string_view found) {
  return fmt::format("column '{}': expected {}, found '{}'", column, expected, found.substr(0, 32));
}

std::string csv_count_problem(std::size_t wanted, bool more) {
  return fmt::format("the line has {} than {} fields", more ? "more" : "fewer", wanted);
}

}  // namespace penstock::detail
