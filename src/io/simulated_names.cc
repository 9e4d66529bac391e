// SPDX-License-Identifier: Apache-2.0
#include "io/simulated_names.h"

#include <algorithm>

namespace penstock::io::detail {
namespace {

std::vector<std::string_view> parts_of(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const auto slash = std::min(path.find('/'), path.size());
    const auto part = path.substr(0, slash);
    if (!part.empty() && part != ".") parts.push_back(part);
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return parts;
}

template <typename F>
void for_each_file(const simulated_node& directory, const F& f) {
  for (const auto& [name, node] : directory.seen) node->is_directory ? for_each_file(*node, f) : f(*node);
}

/// Makes what the disk has what programs see.
void reset_to_durable(simulated_node& directory) {
  directory.seen = directory.durable;
  for (const auto& [name, node] : directory.seen)
    if (node->is_directory) reset_to_durable(*node);
}

}  // namespace

simulated_node_ptr simulated_names::place::node() const {
  if (directory == nullptr || name.empty()) return directory;
  const auto found = directory->seen.find(name);
  return found == directory->seen.end() ? nullptr : found->second;
}

simulated_names::simulated_names() : root_(std::make_shared<simulated_node>(true)) {}

simulated_names::place simulated_names::find(std::string_view path) const {
  auto parts = parts_of(path);
  if (parts.empty()) return {root_, ""};
  place at{root_, std::string(parts.front())};
  for (std::size_t i = 1; i < parts.size(); ++i) {
    auto next = at.node();
    if (next == nullptr || !next->is_directory) return {};
    at = {std::move(next), std::string(parts[i])};
  }
  return at;
}

bool simulated_names::make_directories(std::string_view path) {
  auto at = root_;
  for (const auto part : parts_of(path)) {
    auto& node = at->seen[std::string(part)];
    if (node == nullptr) {
      node = std::make_shared<simulated_node>(true);
      at->durable[std::string(part)] = node;
      forget(pending_, {at, std::string(part)});
    }
    if (!node->is_directory) return false;
    at = node;
  }
  return true;
}

void simulated_names::set(const place& at, simulated_node_ptr node) {
  if (node != nullptr) {
    at.directory->seen[at.name] = node;
  } else {
    at.directory->seen.erase(at.name);
  }
  pending_.push_back({{at, std::move(node)}});
}

void simulated_names::move(const place& from, const place& to) {
  auto node = from.node();
  from.directory->seen.erase(from.name);
  to.directory->seen[to.name] = node;
  pending_.push_back({{from, nullptr}, {to, std::move(node)}});
}

void simulated_names::remove_all(const place& at) {
  const auto node = at.node();
  if (node == nullptr) return;
  const auto children = node->seen;
  for (const auto& child : children) remove_all({node, child.first});
  if (!at.name.empty()) set(at, nullptr);
}

void simulated_names::forget(std::vector<change>& changes, const place& at) {
  for (auto& c : changes) {
    std::erase_if(
        c, [&](const name_change& n) { return n.at.directory == at.directory && n.at.name == at.name; });
  }
}

void simulated_names::apply(const change& c) {
  for (const auto& [at, node] : c) {
    if (node != nullptr) {
      at.directory->durable[at.name] = node;
    } else {
      at.directory->durable.erase(at.name);
    }
  }
}

void simulated_names::sync(const simulated_node_ptr& directory) {
  const auto concerns = [&](const change& c) {
    return std::any_of(c.begin(), c.end(), [&](const name_change& n) { return n.at.directory == directory; });
  };
  std::vector<change> left;
  for (auto& c : pending_) {
    if (!concerns(c)) {
      left.push_back(std::move(c));
      continue;
    }
    apply(c);
    // A move into another directory settles the name there: what was pending for it is past.
    for (const auto& settled : c) forget(left, settled.at);
  }
  pending_ = std::move(left);
}

void simulated_names::crash(survival what, random_source& random) {
  for (const auto& c : pending_) {
    const bool drawn = random.next() % 2 == 0;
    if (what == survival::all || (what == survival::any && drawn)) apply(c);
  }
  pending_.clear();
  reset_to_durable(*root_);
  for_each_file(*root_, [&](simulated_node& f) { f.content.crash(what, random); });
}

std::uint64_t simulated_names::total_size() const {
  std::uint64_t total = 0;
  for_each_file(*root_, [&](const simulated_node& f) { total += f.content.bytes().size(); });
  return total;
}

}  // namespace penstock::io::detail
