// SPDX-License-Identifier: Apache-2.0
#include "dead_letters.h"

#include <fmt/format.h>
#include <penstock/dead_letter.h>
#include <penstock/detail/json_value.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

#include "base/base64.h"

namespace penstock::tools {
namespace {

using namespace std::chrono_literals;

/// Whether text needs no encoding in JSON beyond escapes.
bool is_utf8(std::string_view s) { return simdjson::validate_utf8(s.data(), s.size()); }

void add_bytes(std::string& out, std::string_view name, const std::optional<std::string>& bytes) {
  const bool plain = !bytes || is_utf8(*bytes);
  out += fmt::format("\"{}{}\":", name, plain ? "" : "_base64");
  if (!bytes) {
    out += "null";
  } else if (plain) {
    detail::append_json_string(*bytes, out);
  } else {
    out.append("\"").append(base::base64_encode(*bytes)).append("\"");
  }
}

void add_text(std::string& out, std::string_view name, const std::string& text) {
  out += fmt::format(",\"{}\":", name);
  std::string shown = text;
  if (!is_utf8(text))
    for (char& c : shown) c = static_cast<unsigned char>(c) < 0x80 ? c : '?';
  detail::append_json_string(shown, out);
}

}  // namespace

std::optional<letter_place> parse_place(std::string_view text) {
  letter_place at;
  const char* end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, at.partition);
  if (first.ec != std::errc{} || first.ptr == end || *first.ptr != ':') return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, at.offset);
  if (second.ec != std::errc{} || second.ptr != end || at.partition < 0 || at.offset < 0) return std::nullopt;
  return at;
}

std::string to_string(letter_place at) { return fmt::format("{}:{}", at.partition, at.offset); }

// The letter's own headers come first, each once: from the first other one on they are the record's, even if
// that was a dead letter itself.
letter_origin origin_of(const kafka::record& r) {
  letter_origin o;
  std::array<bool, 7> seen{};
  for (const auto& [key, value] : r.headers) {
    constexpr std::array<std::string_view, 7> own{dead_letter::operator_header,  dead_letter::step_header,
                                                  dead_letter::error_header,     dead_letter::topic_header,
                                                  dead_letter::partition_header, dead_letter::offset_header,
                                                  dead_letter::record_header};
    const std::string text = value.value_or("");
    if (key == redriven_header && o.own_headers == 0) o.redriven = parse_place(text);
    const auto which = static_cast<std::size_t>(std::find(own.begin(), own.end(), key) - own.begin());
    if (which == own.size() || seen[which]) break;
    seen[which] = true;
    ++o.own_headers;
    switch (which) {
      case 0: o.op = text; break;
      case 1: o.step = text; break;
      case 2: o.error = text; break;
      case 3: o.topic = text; break;
      case 4: std::from_chars(text.data(), text.data() + text.size(), o.at.partition); break;
      case 5: std::from_chars(text.data(), text.data() + text.size(), o.at.offset); break;
      default: o.has_record = false;
    }
  }
  return o;
}

std::string to_json(const kafka::record& letter, const letter_origin& from, bool redriven, bool whole) {
  std::string out = fmt::format("{{\"letter\":\"{}:{}\"", letter.partition, letter.offset);
  if (!from.topic.empty()) {
    add_text(out, "topic", from.topic);
    out += fmt::format(",\"partition\":{},\"offset\":{}", from.at.partition, from.at.offset);
  }
  add_text(out, "operator", from.op);
  add_text(out, "step", from.step);
  add_text(out, "error", from.error);
  out += fmt::format(",\"timestamp\":{},\"redriven\":{}", letter.timestamp_ms, redriven);
  if (whole && from.has_record) {
    add_bytes(out += ',', "key", letter.key);
    add_bytes(out += ',', "value", letter.value);
    out += ",\"headers\":[";
    for (std::size_t i = from.own_headers; i < letter.headers.size(); ++i) {
      out += i == from.own_headers ? "{" : ",{";
      add_bytes(out, "key", letter.headers[i].first);
      add_bytes(out += ',', "value", letter.headers[i].second);
      out += '}';
    }
    out += ']';
  }
  return out += "}\n";
}

result<topic_scan> topic_scan::open(kafka::consumer& consumer, const std::string& topic) {
  topic_scan scan(consumer);
  auto partitions = consumer.partitions_of(topic);
  if (!partitions) return fail(partitions.error());
  auto ends = consumer.end_offsets(*partitions);
  if (!ends) return fail(ends.error());
  for (std::size_t i = 0; i < partitions->size(); ++i) scan.ends_.emplace_back((*partitions)[i], (*ends)[i]);
  return scan;
}

bool topic_scan::at_end() const {
  return std::all_of(ends_.begin(), ends_.end(), [this](const auto& e) {
    const auto at = consumer_->position(e.first);
    return e.second == 0 || (at && *at >= e.second);
  });
}

result<> topic_scan::each(const std::function<result<bool>(const kafka::record&)>& f) {
  std::vector<kafka::start_position> from;
  for (const auto& [tp, end] : ends_) from.push_back({tp, kafka::earliest_offset});
  if (auto r = consumer_->assign(std::move(from)); !r) return r;
  while (!at_end()) {
    auto records = consumer_->poll_records(100ms);
    if (!records) {
      if (records.error().retriable()) continue;
      return fail(records.error());
    }
    for (const kafka::record& r : *records) {
      const auto& [tp, end] = ends_[static_cast<std::size_t>(r.partition)];
      if (r.offset >= end) continue;
      const auto more = f(r);
      if (!more) return fail(more.error());
      if (!*more) return {};
    }
  }
  return {};
}

result<kafka::record> topic_scan::one(kafka::consumer& consumer, const std::string& topic, letter_place at) {
  const kafka::topic_partition tp{topic, at.partition};
  const auto gone = [&] {
    return fail(errc::not_found,
                fmt::format("{} has no record at offset {} any more", to_string(tp), at.offset));
  };
  auto end = consumer.end_offsets({tp});
  if (!end) return fail(end.error());
  if (at.offset >= end->front()) return gone();
  if (auto r = consumer.assign({{tp, at.offset}}); !r) return fail(r.error());
  for (;;) {
    auto records = consumer.poll_records(100ms, 1);
    if (!records) {
      if (records.error().retriable()) continue;
      return fail(records.error());
    }
    if (!records->empty() && records->front().offset == at.offset) return std::move(records->front());
    const auto position = consumer.position(tp);
    if (!records->empty() || (position && *position > at.offset)) return gone();
  }
}

}  // namespace penstock::tools
