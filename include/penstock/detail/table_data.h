// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/key.h>

#include <unordered_map>
#include <utility>

namespace penstock::detail {

/// The rows of a global table on one lane: the newest value of each key.
template <typename K, typename V>
class table_data {
 public:
  const V* find(const K& key) const {
    const auto row = rows_.find(key);
    return row == rows_.end() ? nullptr : &row->second;
  }
  void put(K key, V value) { rows_.insert_or_assign(std::move(key), std::move(value)); }
  void erase(const K& key) { rows_.erase(key); }
  std::size_t size() const noexcept { return rows_.size(); }

 private:
  struct hasher {
    std::size_t operator()(const K& key) const noexcept { return key_traits<K>::hash(key); }
  };
  std::unordered_map<K, V, hasher> rows_;
};

}  // namespace penstock::detail
