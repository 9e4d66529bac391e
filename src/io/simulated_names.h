// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/simulated_content.h"

namespace penstock::io::detail {

/// A file or directory of the simulation.
struct simulated_node {
  using names = std::map<std::string, std::shared_ptr<simulated_node>, std::less<>>;
  explicit simulated_node(bool directory) noexcept : is_directory(directory) {}
  const bool is_directory;
  std::int64_t modified_ms = 0;
  simulated_content content;  // of a file
  names seen;                 // of a directory: the names as programs see them,
  names durable;              // and as they are on the disk
};
using simulated_node_ptr = std::shared_ptr<simulated_node>;

/// The tree of names, with the changes that no sync of their directory has covered yet. Paths are taken apart
/// at slashes; "." and empty parts are nothing, so relative and absolute paths name the same files.
class simulated_names {
 public:
  struct place {
    simulated_node_ptr directory;  // null when there is none
    std::string name;              // empty for the root itself
    simulated_node_ptr node() const;
  };

  simulated_names();
  place find(std::string_view path) const;
  /// Makes `path` and its parents, durably. False when a file is in the way.
  bool make_directories(std::string_view path);
  /// Gives the name another meaning (null: none).
  void set(const place& at, simulated_node_ptr node);
  void move(const place& from, const place& to);
  /// Takes the names away one by one, from the leaves up: a crash may leave any of them.
  void remove_all(const place& at);
  void sync(const simulated_node_ptr& directory);
  void crash(survival what, random_source& random);
  /// The bytes of all files that have a name.
  std::uint64_t total_size() const;

 private:
  struct name_change {
    place at;
    simulated_node_ptr node;
  };
  using change = std::vector<name_change>;  // what happens together or not at all
  static void apply(const change& c);
  static void forget(std::vector<change>& changes, const place& at);

  simulated_node_ptr root_;
  std::vector<change> pending_;
};

}  // namespace penstock::io::detail
