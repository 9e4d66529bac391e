// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace penstock::connectors {

/// What a committed offset says beside the engine's own metadata. Views into what was parsed.
struct offset_marks {
  std::string_view metadata{};  ///< the engine's
  std::string_view topic_id{};  ///< of the topic that the offset is in; empty: not known
  std::string_view state{};     ///< which changelogs go with it: changelog_mark; empty: none
  std::string_view run{};       ///< of the process that committed it; empty: not exactly once
};

/// "METADATA topic=ID state=MARKS run=PROCESS"; what is empty is left out.
std::string encode_marks(const offset_marks& marks);
/// Takes any text: what has no marks is metadata.
offset_marks decode_marks(std::string_view text) noexcept;

}  // namespace penstock::connectors
