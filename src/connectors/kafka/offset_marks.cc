// SPDX-License-Identifier: Apache-2.0
#include "connectors/kafka/offset_marks.h"

namespace penstock::connectors {
namespace {

constexpr std::string_view topic_mark = " topic=";
constexpr std::string_view state_mark = " state=";
constexpr std::string_view run_mark = " run=";

/// What follows the mark at the end of `text`, which is then cut off there; empty if it has none.
std::string_view cut(std::string_view& text, std::string_view mark) noexcept {
  const auto at = text.rfind(mark);
  if (at == std::string_view::npos) return {};
  const std::string_view found = text.substr(at + mark.size());
  if (found.find(' ') != std::string_view::npos) return {};
  text = text.substr(0, at);
  return found;
}

}  // namespace

std::string encode_marks(const offset_marks& m) {
  std::string text(m.metadata);
  if (!m.topic_id.empty()) text.append(topic_mark).append(m.topic_id);
  if (!m.state.empty()) text.append(state_mark).append(m.state);
  if (!m.run.empty()) text.append(run_mark).append(m.run);
  return text;
}

offset_marks decode_marks(std::string_view text) noexcept {
  offset_marks m;
  m.run = cut(text, run_mark);
  m.state = cut(text, state_mark);
  m.topic_id = cut(text, topic_mark);
  m.metadata = text;
  return m;
}

}  // namespace penstock::connectors
