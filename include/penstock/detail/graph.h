// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/detail/op.h>
#include <penstock/error_policy.h>
#include <penstock/sink.h>
#include <penstock/source.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace penstock::detail {

using source_factory = std::function<std::unique_ptr<source_connector>()>;
using sink_factory = std::function<std::unique_ptr<sink_connector>()>;

/// A name that the user gave, and where.
struct given_name {
  std::string name;
  std::source_location where;
};

/// A name as it is passed: notes where, although further arguments follow.
struct named : given_name {
  template <typename S>
  requires std::is_convertible_v<S, std::string> named(
      S&& text, std::source_location here = std::source_location::current())
      : given_name{std::string(std::forward<S>(text)), here} {}
};

/// A source that was read; it becomes part of the node of the expression that uses it.
struct declared_source {
  given_name id;
  source_factory make;
  bool used = false;
};

struct edge {
  std::uint32_t node = 0;
  std::uint32_t outlet = 0;
};

/// One operator of the topology: a fused expression, a window, a global table.
struct node {
  std::string name;   ///< for messages and metrics
  std::string label;  ///< what it does: "decode > filter > key_by"
  std::vector<edge> inputs{};
  std::function<std::unique_ptr<op>()> make{};              ///< one instance a lane
  std::function<std::unique_ptr<relay_op>()> make_relay{};  ///< set where the outlet is partitioned by key
  std::function<std::unique_ptr<table_op>()> make_table{};  ///< instead of `make` for a global table
  std::optional<std::uint32_t> source{};                    ///< index of a declared source
  sink_factory sink{};
  bool keeps_state = false;
  std::optional<error_policy> policy{};
  std::shared_ptr<const watermark_options> watermarks{};  ///< instead of the source's own
};

/// A topology while it is built. Nodes are in the order of the data: an input's number is smaller.
class graph {
 public:
  explicit graph(std::string topology_name) : name(std::move(topology_name)) {}

  std::uint32_t add_source(given_name id, source_factory make);
  std::uint32_t add(node n);
  /// A name that must be unique in the topology.
  void use_name(given_name id);
  void add_problem(std::string sentence) { problems_.push_back(std::move(sentence)); }

  /// Everything that is wrong, one sentence each.
  std::vector<std::string> validate() const;
  std::string describe_text() const;
  std::string describe_json() const;
  std::string describe_dot() const;
  error_policy policy_of(const node& n) const { return n.policy.value_or(default_policy); }

  std::string name;
  error_policy default_policy = error_policy::fail;
  std::string dead_letters_name{};
  sink_factory dead_letters{};  ///< where records go whose policy is dead_letter
  std::vector<node> nodes;
  std::vector<declared_source> sources;

 private:
  std::string with_place(std::string sentence) const;
  std::vector<given_name> names_;
  std::vector<std::string> problems_;
};

}  // namespace penstock::detail
