// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <penstock/detail/graph.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "engine/json_text.h"
#include "engine/recovery_rules.h"

namespace penstock::detail {
namespace {

std::string place(const std::source_location& where) {
  std::string_view file = where.file_name();
  if (const auto slash = file.rfind('/'); slash != std::string_view::npos) file.remove_prefix(slash + 1);
  return fmt::format("{}:{}", file, where.line());
}

/// What the node ends in, for a name: "decode > filter > key_by" ends in "key_by".
std::string_view last_step(std::string_view label) {
  const auto at = label.rfind("> ");
  return at == std::string_view::npos ? label : label.substr(at + 2);
}

}  // namespace

std::uint32_t graph::add_source(given_name id, source_factory make) {
  use_name(id);
  sources.push_back({std::move(id), std::move(make), false});
  return static_cast<std::uint32_t>(sources.size() - 1);
}

std::uint32_t graph::add(node n) {
  if (n.source) {
    declared_source& s = sources[*n.source];
    if (s.used)
      add_problem(s.id.name +
                  ": the expression that reads it is used twice; name it first: stream<T> s = ...");
    s.used = true;
    if (n.name.empty()) n.name = s.id.name;
  }
  if (n.name.empty()) n.name = fmt::format("{}.{}", nodes[n.inputs.front().node].name, last_step(n.label));
  nodes.push_back(std::move(n));
  return static_cast<std::uint32_t>(nodes.size() - 1);
}

void graph::use_name(given_name id) { names_.push_back(std::move(id)); }

/// "name: what is wrong" with the line on which the name was given, or a name that it was made from.
std::string graph::with_place(std::string sentence) const {
  if (sentence.ends_with(')') && sentence.rfind(" (") != std::string::npos &&
      sentence.find(':', sentence.rfind(" (")) != std::string::npos)
    return sentence;  // it says so already
  std::string_view called = std::string_view(sentence).substr(0, sentence.find(": "));
  while (!called.empty()) {
    for (const given_name& n : names_) {
      if (n.name == called) return fmt::format("{} ({})", sentence, place(n.where));
    }
    const auto dot = called.rfind('.');
    if (dot == std::string_view::npos) break;
    called = called.substr(0, dot);
  }
  return sentence;
}

std::vector<std::string> graph::validate() const {
  std::vector<std::string> found = problems_;
  if (nodes.empty()) found.push_back("it has no operators");
  std::map<std::string, const given_name*> seen;
  for (const given_name& n : names_) {
    if (n.name.empty()) found.push_back(fmt::format("a name is empty ({})", place(n.where)));
    const auto [at, fresh] = seen.emplace(n.name, &n);
    if (!fresh)
      found.push_back(fmt::format("the name '{}' is used twice ({} and {})", n.name, place(at->second->where),
                                  place(n.where)));
  }
  for (const declared_source& s : sources) {
    if (!s.used)
      found.push_back(
          fmt::format("{}: it is read, but nothing uses its records ({})", s.id.name, place(s.id.where)));
    std::vector<std::string> settings;
    s.make()->validate(settings);
    for (const std::string& p : settings) found.push_back(s.id.name + ": " + p);
  }
  std::vector<bool> consumed(nodes.size(), false);
  for (const node& n : nodes) {
    for (const edge& in : n.inputs) consumed[in.node] = true;
  }
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const node& n = nodes[i];
    const bool is_end = last_step(n.label) == "write" || last_step(n.label) == "for_each" || n.make_table;
    if (!is_end && !consumed[i]) found.push_back(n.name + ": nothing uses what it gives (" + n.label + ")");
    if (n.sink) {
      std::vector<std::string> settings;
      n.sink()->validate(settings);
      for (const std::string& p : settings) found.push_back(n.name + ": " + p);
    }
    if (policy_of(n) == error_policy::dead_letter && !dead_letters)
      found.push_back(n.name +
                      ": the error policy dead_letter needs a sink: topology.dead_letters(name, sink)");
  }
  if (dead_letters) {
    std::vector<std::string> settings;
    dead_letters()->validate(settings);
    for (const std::string& p : settings) found.push_back(dead_letters_name + ": " + p);
  }
  for (std::string& sentence : found) sentence = with_place(std::move(sentence));
  return found;
}

std::string graph::describe_text() const {
  std::string out = fmt::format("topology {}\n", name);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const node& n = nodes[i];
    fmt::format_to(std::back_inserter(out), "  {:>2} {}: {}\n", i, n.name, n.label);
    if (n.source)
      fmt::format_to(std::back_inserter(out), "       from {} ({})\n", sources[*n.source].make()->describe(),
                     sources[*n.source].id.name);
    for (const edge& in : n.inputs)
      fmt::format_to(std::back_inserter(out), "       from {} {}{}\n", in.node, nodes[in.node].name,
                     in.outlet == 0 ? "" : " (side output)");
    if (n.sink) fmt::format_to(std::back_inserter(out), "       to {}\n", n.sink()->describe());
  }
  return out;
}

std::string graph::describe_json() const {
  using engine::json_string;
  std::string out = fmt::format("{{\"name\":{},\"operators\":[", json_string(name));
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const node& n = nodes[i];
    fmt::format_to(std::back_inserter(out), "{}{{\"id\":{},\"name\":{},\"does\":{}", i == 0 ? "" : ",", i,
                   json_string(n.name), json_string(n.label));
    if (n.source)
      fmt::format_to(std::back_inserter(out), ",\"source\":{{\"name\":{},\"is\":{}}}",
                     json_string(sources[*n.source].id.name),
                     json_string(sources[*n.source].make()->describe()));
    if (n.sink) fmt::format_to(std::back_inserter(out), ",\"sink\":{}", json_string(n.sink()->describe()));
    out += ",\"inputs\":[";
    for (std::size_t k = 0; k < n.inputs.size(); ++k)
      fmt::format_to(std::back_inserter(out), "{}{{\"operator\":{},\"outlet\":{}}}", k == 0 ? "" : ",",
                     n.inputs[k].node, n.inputs[k].outlet);
    fmt::format_to(std::back_inserter(out), "],\"keeps_state\":{}}}", n.keeps_state);
  }
  return out + "]}";
}

}  // namespace penstock::detail

namespace penstock::engine {

bool has_cascaded_state(const detail::graph& g) {
  std::vector<bool> behind_state(g.nodes.size(), false);  // its output depends on some state
  for (std::size_t i = 0; i < g.nodes.size(); ++i) {
    const detail::node& n = g.nodes[i];
    const bool before = std::any_of(n.inputs.begin(), n.inputs.end(),
                                    [&](const detail::edge& in) { return behind_state[in.node]; });
    if (before && n.keeps_state) return true;
    behind_state[i] = before || n.keeps_state;
  }
  return false;
}

}  // namespace penstock::engine
