// SPDX-License-Identifier: Apache-2.0
// Side outputs: further outlets of an operator, by name and type.
#pragma once

#include <penstock/detail/op.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

namespace penstock::detail {

template <typename Base, typename K, typename Fn>
class process_base;

class any_outlet {
 public:
  virtual ~any_outlet() = default;
  virtual void connect(op& consumer) = 0;
  virtual void flush() = 0;
};

template <typename T>
class side_outlet final : public any_outlet {
 public:
  void connect(op& consumer) override { out.connect(consumer); }
  void flush() override { out.flush(); }
  output<batch<T>> out;
};

/// A side output that somebody reads. Outlet 1 + its place in the list.
struct side_declaration {
  std::string name;
  const std::type_info* type;
  std::function<std::unique_ptr<any_outlet>()> make;
};
using side_declarations = std::vector<side_declaration>;

/// The outlet number of a side output; declares it at the first call. 0 when the name is taken by another
/// type.
template <typename T>
std::uint32_t declare_side(side_declarations& all, const std::string& name) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].name == name) return *all[i].type == typeid(T) ? static_cast<std::uint32_t>(i + 1) : 0;
  }
  all.push_back({name, &typeid(T), [] { return std::make_unique<side_outlet<T>>(); }});
  return static_cast<std::uint32_t>(all.size());
}

class side_outlets {
 public:
  explicit side_outlets(const side_declarations& all) {
    for (const side_declaration& d : all) outlets_.push_back({&d, d.make()});
  }
  void connect(std::uint32_t index, op& consumer) { outlets_[index].out->connect(consumer); }
  template <typename T>
  void emit(std::string_view name, T&& value, std::int64_t timestamp) {
    for (entry& e : outlets_) {
      if (e.what->name == name && *e.what->type == typeid(T))
        static_cast<side_outlet<std::decay_t<T>>&>(*e.out).out.add(std::forward<T>(value), timestamp);
    }
  }
  void flush() {
    for (entry& e : outlets_) e.out->flush();
  }

 private:
  struct entry {
    const side_declaration* what;
    std::unique_ptr<any_outlet> out;
  };
  std::vector<entry> outlets_;
};

}  // namespace penstock::detail
