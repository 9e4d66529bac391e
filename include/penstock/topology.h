// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <penstock/detail/graph.h>
#include <penstock/detail/indexed.h>
#include <penstock/detail/table_reader.h>
#include <penstock/format.h>
#include <penstock/source.h>
#include <penstock/stream.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock {

enum class describe_as : std::uint8_t {
  text,
  json,
  dot,  ///< of Graphviz: `dot -Tsvg`
};

/// A dataflow, as a value: build it, check it, print it, test it (<penstock/testing.h>), run it (job::start).
///
///     topology topo("word-count");
///     topo.read_elements("lines", {"to be", "or not to be"})
///         .flat_map([](const std::string& line) { return words(line); })
///         .key_by([](const std::string& w) { return w; })
///         .aggregate("count", count())
///         .print("out");
///
/// Whatever holds state or touches the world has a name, unique in the topology. Streams and tables refer to
/// the topology: it outlives them (moving it is fine). One thread at a time.
class topology {
 public:
  explicit topology(std::string name) : graph_(std::make_unique<detail::graph>(std::move(name))) {}

  const std::string& name() const noexcept { return graph_->name; }

  /// Reads a source and decodes its records.
  template <source_options Source, readable_format Format>
  auto read(std::string name, Source source, Format format,
            std::source_location where = std::source_location::current()) {
    using decode = detail::decode_step<Format>;
    return detail::chain<detail::raw_head, decode>(*graph_,
                                                   {declare(std::move(name), std::move(source), where)},
                                                   std::tuple<decode>(decode(std::move(format))));
  }
  /// Reads a source as it comes: borrowed records (penstock::raw), to be mapped to something that owns its
  /// bytes.
  template <source_options Source>
  auto read(std::string name, Source source, std::source_location where = std::source_location::current()) {
    return detail::chain<detail::raw_head>(*graph_, {declare(std::move(name), std::move(source), where)});
  }

  /// A bounded stream of these elements, in this order.
  template <typename T>
  auto read_elements(std::string name, std::vector<T> elements,
                     std::source_location where = std::source_location::current()) {
    const auto n = static_cast<std::int64_t>(elements.size());
    auto kept = std::make_shared<const std::vector<T>>(std::move(elements));
    auto at = [kept](std::int64_t i) -> decltype(auto) { return (*kept)[static_cast<std::size_t>(i)]; };
    return indexed(std::move(name), n, 1, std::move(at), where);
  }
  template <typename T>
  auto read_elements(std::string name, std::initializer_list<T> elements,
                     std::source_location where = std::source_location::current()) {
    return read_elements(std::move(name), std::vector<T>(elements), where);
  }
  /// String literals become std::string.
  auto read_elements(std::string name, std::initializer_list<const char*> elements,
                     std::source_location where = std::source_location::current()) {
    return read_elements(std::move(name), std::vector<std::string>(elements.begin(), elements.end()), where);
  }

  /// A bounded stream of f(0) ... f(count - 1), cut into `splits` ranges that lanes share.
  template <typename F>
  auto generate(std::string name, std::int64_t count, F f, std::uint32_t splits = 1,
                std::source_location where = std::source_location::current()) {
    constexpr bool takes_an_index = std::is_invocable_v<F&, std::int64_t>;
    static_assert(takes_an_index, "generate(name, count, f): f must take an index, as f(std::int64_t)");
    if constexpr (takes_an_index) {
      return indexed(std::move(name), count, splits, std::move(f), where);
    } else {
      return detail::broken{};
    }
  }

  /// A global table of a source whose records have the row's key as their key; a tombstone deletes the row.
  /// With a function instead of the second format: the first decodes the rows, the function takes the key
  /// from a row.
  template <source_options Source, typename A, typename B>
  auto global_table(std::string name, Source source, A key_format, B value_format,
                    std::source_location where = std::source_location::current()) {
    if constexpr (readable_format<B>) {
      return add_table(std::move(name), std::move(source),
                       detail::rows_by_record_key<A, B>{std::move(key_format), std::move(value_format)},
                       where);
    } else {
      static_assert(readable_format<A>,
                    "global_table(name, source, format, key_of): the format must be able to decode");
      return add_table(std::move(name), std::move(source),
                       detail::rows_by_field<A, B>{std::move(key_format), std::move(value_format)}, where);
    }
  }
  template <source_options Source, typename K, typename V>
  auto global_table(std::string name, Source source, key_value_format<K, V> format,
                    std::source_location where = std::source_location::current()) {
    return global_table(std::move(name), std::move(source), std::move(format.key), std::move(format.value),
                        where);
  }

  /// What happens to bad records, where an expression does not say it itself.
  topology& on_error(error_policy policy) {
    graph_->default_policy = policy;
    return *this;
  }

  /// Where bad records go whose policy is error_policy::dead_letter: with key, value and timestamp as they
  /// were read, and the headers of <penstock/dead_letter.h>: penstock.operator, penstock.step,
  /// penstock.error and, at a source, penstock.topic, penstock.partition, penstock.offset. Behind a named
  /// stream or a key the record is no longer there as it was read: the letter then has the headers alone.
  /// Written in the epoch of the record.
  template <sink_options Sink>
  topology& dead_letters(std::string name, Sink sink,
                         std::source_location where = std::source_location::current()) {
    if (graph_->dead_letters) graph_->add_problem(name + ": a topology has one sink of dead letters");
    graph_->use_name({name, where});
    graph_->dead_letters_name = std::move(name);
    graph_->dead_letters = [sink = std::move(sink)] { return sink.make_sink(); };
    return *this;
  }

  /// Every problem at once, one sentence each, with the operators' names and the lines that
  /// gave them; empty when it can run.
  std::vector<std::string> validate() const { return graph_->validate(); }
  std::string describe(describe_as form = describe_as::text) const {
    if (form == describe_as::dot) return graph_->describe_dot();
    return form == describe_as::json ? graph_->describe_json() : graph_->describe_text();
  }

  const detail::graph& internals() const noexcept { return *graph_; }

 private:
  template <typename Source>
  std::uint32_t declare(std::string name, Source source, std::source_location where) {
    return graph_->add_source({std::move(name), where},
                              [source = std::move(source)] { return source.make_source(); });
  }
  template <typename F>
  detail::chain<detail::indexed_head<F>> indexed(std::string name, std::int64_t count, std::uint32_t splits,
                                                 F at, std::source_location where) {
    const std::uint32_t source = graph_->add_source(
        {std::move(name), where}, [count, splits] { return detail::make_indexed_connector(count, splits); });
    return {*graph_, {source, std::move(at)}};
  }
  template <typename Source, typename Rows>
  table<typename Rows::key, typename Rows::value> add_table(std::string name, Source source, Rows rows,
                                                            std::source_location where) {
    detail::node n;
    n.name = name;
    n.label = "global table";
    n.source = declare(std::move(name), std::move(source), where);
    n.make_table = [rows = std::move(rows)]() -> std::unique_ptr<detail::table_op> {
      return std::make_unique<detail::table_reader_op<Rows>>(rows);
    };
    return {*graph_, graph_->add(std::move(n))};
  }

  std::unique_ptr<detail::graph> graph_;
};

}  // namespace penstock
