// SPDX-License-Identifier: Apache-2.0
// A topology in the language of Graphviz: boxes are operators (bold ones keep state), ellipses what they read
// and write, dashed arrows exchanges between lanes.
#include <fmt/format.h>
#include <penstock/detail/graph.h>

#include <iterator>

namespace penstock::detail {
namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    if (static_cast<unsigned char>(c) >= 0x20) out.push_back(c);
  }
  return out + '"';
}
/// On two lines.
std::string quoted(std::string_view first, std::string_view second) {
  std::string both = quoted(first);
  both.pop_back();
  return both + "\\n" + quoted(second).substr(1);
}

}  // namespace

std::string graph::describe_dot() const {
  std::string out = fmt::format("digraph {} {{\n  rankdir=LR;\n  node [shape=box];\n", quoted(name));
  const auto line = [&out](const std::string& text) { out.append("  ").append(text).append(";\n"); };
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const node& n = nodes[i];
    line(fmt::format("n{} [label={}{}]", i, quoted(n.name, n.label), n.keeps_state ? ", style=bold" : ""));
    if (n.source) {
      const declared_source& s = sources[*n.source];
      line(fmt::format("in{} [shape=ellipse, label={}]", i, quoted(s.id.name, s.make()->describe())));
      line(fmt::format("in{} -> n{}", i, i));
    }
    for (const edge& in : n.inputs) {
      std::string_view style = nodes[in.node].make_relay ? " [style=dashed]" : "";
      if (in.outlet != 0) style = " [label=\"side output\"]";
      line(fmt::format("n{} -> n{}{}", in.node, i, style));
    }
    if (n.sink) {
      line(fmt::format("out{} [shape=ellipse, label={}]", i, quoted(n.sink()->describe())));
      line(fmt::format("n{} -> out{}", i, i));
    }
  }
  return out + "}\n";
}

}  // namespace penstock::detail
