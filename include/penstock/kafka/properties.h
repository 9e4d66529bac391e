// SPDX-License-Identifier: Apache-2.0
// Settings by Kafka's names, from a properties file or one by one. docs/reference/client-settings.md lists
// them.
//
//     auto given = kafka::properties::read("client.properties");
//     given->set("linger.ms", "20");
//     auto settings = kafka::producer_settings::from_properties(*given);
#pragma once

#include <penstock/result.h>

#include <string>
#include <string_view>
#include <vector>

namespace penstock::kafka {

/// Names and values as text, in the order given; of two for one name the later one holds. Values may be
/// secrets: no function of the client ever puts one in a message.
class properties {
 public:
  struct entry {
    std::string name;
    std::string value;
    std::string origin;   ///< for messages: "client.properties, line 3", or empty
    bool shared = false;  ///< from a file, which may serve several kinds of clients
  };
  /// A longer text is refused.
  static constexpr std::size_t max_bytes = std::size_t{1} << 20;

  /// Reads Java's .properties syntax: `name=value`, `name: value` or `name value`; comments with # or !; a
  /// backslash at a line's end joins the next one; escapes \t \n \r \f \uXXXX, and a backslash before
  /// any other character means that character. The text is UTF-8. `origin` names it in messages.
  /// errc::invalid_argument names the line.
  static result<properties> parse(std::string_view text, std::string_view origin = "properties");
  /// The same of a file; errc::not_found or errc::io when it cannot be read.
  static result<properties> read(const std::string& path);

  properties& set(std::string name, std::string value, std::string origin = {});
  /// "name=value". errc::invalid_argument when there is no name or no equals sign.
  result<> set_pair(std::string_view pair, std::string origin = {});
  /// Appends the other's: they hold over those here.
  properties& add(const properties& others);

  /// The value that holds, or nullptr.
  const std::string* find(std::string_view name) const noexcept;
  const std::vector<entry>& entries() const noexcept { return entries_; }
  bool empty() const noexcept { return entries_.empty(); }

 private:
  std::vector<entry> entries_;
};

/// One line of the table of settings.
struct setting_info {
  std::string name;      ///< Kafka's
  std::string aliases;   ///< other names for it, with ", " between
  std::string clients;   ///< of "producer", "consumer" and "admin" those that have it, with ", " between
  std::string type;      ///< "boolean", "integer", "milliseconds", "bytes", "text", "list" or "one of"
  std::string range;     ///< "1 to 2147483647", "none, gzip, snappy, lz4, zstd", or empty
  std::string standard;  ///< what holds when it is not set
  std::string text;      ///< what it does
  bool secret = false;
};
/// Every setting, by name.
std::vector<setting_info> list_settings();
/// docs/reference/client-settings.md as it should be.
std::string settings_reference();

}  // namespace penstock::kafka
