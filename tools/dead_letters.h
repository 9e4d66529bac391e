// SPDX-License-Identifier: Apache-2.0
// Dead letters as a job writes them: the record as it was read, behind headers that say where it came from
// and what was wrong with it.
#pragma once

#include <penstock/kafka/consumer.h>
#include <penstock/result.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::tools {

/// Partition and offset, written "0:17".
struct letter_place {
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  friend auto operator<=>(const letter_place&, const letter_place&) = default;
};
std::optional<letter_place> parse_place(std::string_view text);
std::string to_string(letter_place at);

/// What a letter's own headers say.
struct letter_origin {
  std::string topic{};  ///< empty: not known
  letter_place at{-1, -1};
  std::string op{}, step{}, error{};
  bool has_record = true;                  ///< else its key and value are not the record's
  std::size_t own_headers = 0;             ///< the first so many are the letter's, the others the record's
  std::optional<letter_place> redriven{};  ///< no letter, but the mark of one that was
};
letter_origin origin_of(const kafka::record& r);

/// The mark that a letter was redriven: a record without key and value beside it.
inline constexpr std::string_view redriven_header = "penstock.redriven";

/// As one line of JSON, with a newline. Bytes that are no UTF-8 are in base64, under "key_base64" and such.
std::string to_json(const kafka::record& letter, const letter_origin& from, bool redriven, bool whole);

/// Reads all of a topic that is there when it is made and read_committed sees, as often as wanted.
class topic_scan {
 public:
  static result<topic_scan> open(kafka::consumer& consumer, const std::string& topic);
  /// Each partition in its order; ends early when `f` answers false or an error.
  result<> each(const std::function<result<bool>(const kafka::record&)>& f);
  /// The record at one place; an error when it is not there any more.
  static result<kafka::record> one(kafka::consumer& consumer, const std::string& topic, letter_place at);

 private:
  explicit topic_scan(kafka::consumer& consumer) : consumer_(&consumer) {}
  bool at_end() const;
  kafka::consumer* consumer_;
  std::vector<std::pair<kafka::topic_partition, std::int64_t>> ends_;
};

}  // namespace penstock::tools
