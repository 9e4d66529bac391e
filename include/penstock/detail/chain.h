// SPDX-License-Identifier: Apache-2.0
// The parts of a fluent expression before it becomes an operator.
#pragma once

#include <penstock/detail/fused.h>
#include <penstock/detail/graph.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace penstock {
template <typename T>
class stream;
}

namespace penstock::detail {

/// An expression begins with a connector's records ...
struct raw_head {
  using out = raw;
  static constexpr bool is_source = true;
  std::uint32_t source;
  void describe(graph&, node& n) const { n.source = source; }
  template <typename Terminal, typename... Steps>
  std::unique_ptr<op> make(const std::tuple<Steps...>& steps, const Terminal& terminal) const {
    return std::make_unique<raw_source_op<Terminal, Steps...>>(steps, terminal);
  }
};

/// ... or with records made from their index ...
template <typename F>
struct indexed_head {
  using out = std::decay_t<std::invoke_result_t<F&, std::int64_t>>;
  static constexpr bool is_source = true;
  std::uint32_t source;
  F at;
  void describe(graph&, node& n) const { n.source = source; }
  template <typename Terminal, typename... Steps>
  std::unique_ptr<op> make(const std::tuple<Steps...>& steps, const Terminal& terminal) const {
    return std::make_unique<indexed_source_op<F, Terminal, Steps...>>(at, steps, terminal);
  }
};

/// ... or behind a seam.
template <typename T>
struct stream_head {
  using out = T;
  static constexpr bool is_source = false;
  edge from;
  void describe(graph&, node& n) const { n.inputs.push_back(from); }
  template <typename Terminal, typename... Steps>
  std::unique_ptr<op> make(const std::tuple<Steps...>& steps, const Terminal& terminal) const {
    return std::make_unique<stream_op<T, Terminal, Steps...>>(steps, terminal);
  }
};

template <typename Head, typename... Steps>
struct last_out {
  using type = typename std::tuple_element_t<sizeof...(Steps) - 1, std::tuple<Steps...>>::out;
};
template <typename Head>
struct last_out<Head> {
  using type = typename Head::out;
};

template <typename... Steps>
std::string steps_label(std::string_view terminal) {
  std::string label;
  ((label.append(Steps::name).append(" > ")), ...);
  return label.append(terminal);
}

/// What may be kept beyond the step that made it: not a view of somebody else's bytes.
template <typename T>
inline constexpr bool owns_its_bytes = !std::is_same_v<T, raw> && !std::is_base_of_v<record_view, T> &&
                                       !std::is_same_v<T, std::string_view> && !std::is_pointer_v<T>;

/// Stands for an expression whose mistake has been reported already, and takes whatever follows in silence.
struct broken {
  template <typename... A>
  broken map(A&&...) const;
  template <typename... A>
  broken filter(A&&...) const;
  template <typename... A>
  broken flat_map(A&&...) const;
  template <typename Out, typename... A>
  broken flat_map(A&&...) const;
  template <typename... A>
  broken assign_timestamps(A&&...) const;
  template <typename... A>
  broken assign_watermarks(A&&...) const;
  template <typename... A>
  broken on_error(A&&...) const;
  template <typename... A>
  broken key_by(A&&...) const;
  template <typename... A>
  broken window(A&&...) const;
  template <typename... A>
  broken aggregate(A&&...) const;
  template <typename... A>
  broken reduce(A&&...) const;
  template <typename... A>
  broken join(A&&...) const;
  template <typename... A>
  broken left_join(A&&...) const;
  template <typename... A>
  void write(A&&...) const;
  template <typename... A>
  void for_each(A&&...) const;
  template <typename... A>
  void print(A&&...) const;
  template <typename... A>
  broken late(A&&...) const;
  template <typename Out, typename... A>
  broken async_map(A&&...) const;
  template <typename... A>
  broken union_with(A&&...) const;
  template <typename... A>
  broken rebalance(A&&...) const;
  template <typename... A>
  broken shuffle(A&&...) const;
  template <typename... A>
  broken partition_by(A&&...) const;
  template <typename... A>
  broken broadcast(A&&...) const;
  template <typename... A>
  broken connect(A&&...) const;
  template <typename... A>
  broken apply(A&&...) const;
  template <typename... A>
  broken side(A&&...) const;
  template <typename... A>
  broken trigger(A&&...) const;
  template <typename... A>
  broken evict(A&&...) const;
  template <typename... A>
  broken window_all(A&&...) const;
  template <typename... A>
  broken co_group(A&&...) const;
  template <typename... A>
  broken interval_join(A&&...) const;
  template <typename F, typename... A>
  broken process(A&&...) const;
  template <typename... A>
  broken process(A&&...) const;
  template <typename T>
  operator stream<T>() const;
};

}  // namespace penstock::detail
