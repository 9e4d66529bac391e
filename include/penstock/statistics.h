// SPDX-License-Identifier: Apache-2.0
// More aggregators (see <penstock/aggregate.h>): variance, top-n, distinct counts, quantiles. All can merge.
#pragma once

#include <penstock/aggregate.h>
#include <penstock/key.h>

#include <boost/describe.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_set>
#include <utility>
#include <vector>

namespace penstock {
namespace detail {

/// Welford's running moments; two of them make one by Chan's formula.
struct moments {
  std::int64_t n = 0;
  double mean = 0;
  double m2 = 0;
  void add(double v) noexcept {
    ++n;
    const double d = v - mean;
    mean += d / static_cast<double>(n);
    m2 += d * (v - mean);
  }
  void merge(const moments& o) noexcept {
    if (o.n == 0) return;
    const auto a = static_cast<double>(n), b = static_cast<double>(o.n);
    const double d = o.mean - mean;
    mean += d * b / (a + b);
    m2 += o.m2 + d * d * a * b / (a + b);
    n += o.n;
  }
};

template <typename F>
struct variance_aggregator {
  F field;
  bool sample;
  using accumulator = moments;
  template <typename T>
  void add(moments& a, const T& record) const {
    with_field(field, record, [&](const auto& v) { a.add(static_cast<double>(v)); });
  }
  void merge(moments& a, const moments& more) const { a.merge(more); }
  std::optional<double> result(const moments& a) const {
    const std::int64_t n = sample ? a.n - 1 : a.n;
    if (n <= 0) return std::nullopt;
    return a.m2 / static_cast<double>(n);
  }
};

template <typename T, typename F>
struct top_aggregator {
  std::size_t n;
  F by;
  using accumulator = std::vector<T>;  // the best first
  void add(accumulator& a, const T& record) const { put(a, record); }
  void merge(accumulator& a, const accumulator& more) const {
    for (const T& r : more) put(a, r);
  }
  std::vector<T> result(const accumulator& a) const { return a; }

 private:
  void put(accumulator& a, const T& record) const {
    const auto better = [&](const T& x, const T& y) { return std::invoke(by, y) < std::invoke(by, x); };
    if (n == 0 || (a.size() == n && !better(record, a.back()))) return;
    a.insert(std::upper_bound(a.begin(), a.end(), record, better), record);
    if (a.size() > n) a.pop_back();
  }
};

template <typename V>
struct key_hasher {
  std::size_t operator()(const V& v) const noexcept { return key_traits<V>::hash(v); }
};

template <typename F>
struct distinct_aggregator {
  F field;
  template <typename T>
  using accumulator_for = std::unordered_set<field_value<F, T>, key_hasher<field_value<F, T>>>;
  template <typename Set, typename T>
  void add(Set& a, const T& record) const {
    with_field(field, record, [&](const auto& v) { a.insert(v); });
  }
  template <typename Set>
  void merge(Set& a, const Set& more) const {
    a.insert(more.begin(), more.end());
  }
  template <typename Set>
  std::int64_t result(const Set& a) const {
    return static_cast<std::int64_t>(a.size());
  }
};

/// HyperLogLog with 2^12 registers (a standard error of 1.6 %), which counts exactly up to 64 values.
class distinct_sketch {
 public:
  void add(std::uint64_t hash);
  void merge(const distinct_sketch& more);
  std::int64_t estimate() const;

 private:
  static constexpr int bits = 12;
  static constexpr std::size_t exact_up_to = 64;
  void add_register(std::uint64_t hash) noexcept;
  void make_registers();
  BOOST_DESCRIBE_CLASS(distinct_sketch, (), (), (), (few_, registers_))
  std::vector<std::uint64_t> few_;  // sorted hashes, while there are few
  std::vector<std::uint8_t> registers_;
};

template <typename F>
struct approximate_distinct_aggregator {
  F field;
  using accumulator = distinct_sketch;
  template <typename T>
  void add(distinct_sketch& a, const T& record) const {
    with_field(field, record, [&](const auto& v) {
      // Tables mix as little as they need; a sketch needs all the bits.
      a.add(mix_hash(key_traits<std::decay_t<decltype(v)>>::hash(v), 0x8ebc6af09c88c6e3));
    });
  }
  void merge(distinct_sketch& a, const distinct_sketch& more) const { a.merge(more); }
  std::int64_t result(const distinct_sketch& a) const { return a.estimate(); }
};

/// t-digest: clusters of values, small at the ends, so that the outer quantiles are the sharper ones. The
/// same values in the same order give the same digest.
class quantile_sketch {
 public:
  void add(double v);
  void merge(const quantile_sketch& more);
  /// 0 <= q <= 1. Nothing when nothing was added.
  std::optional<double> quantile(double q) const;

 private:
  struct cluster {
    double mean;
    double weight;
  };
  static constexpr double compression = 200;
  static constexpr std::size_t buffered = 500;
  static void compress(std::vector<cluster>& all);
  std::vector<cluster> clusters_;  // compressed ones by mean, then `fresh_` others
  std::size_t fresh_ = 0;
  double least_ = 0, most_ = 0;
  BOOST_DESCRIBE_CLASS(quantile_sketch, (), (), (), (clusters_, fresh_, least_, most_))
};

template <typename F>
struct quantiles_aggregator {
  F field;
  std::vector<double> at;
  using accumulator = quantile_sketch;
  template <typename T>
  void add(quantile_sketch& a, const T& record) const {
    with_field(field, record, [&](const auto& v) { a.add(static_cast<double>(v)); });
  }
  void merge(quantile_sketch& a, const quantile_sketch& more) const { a.merge(more); }
  std::vector<std::optional<double>> result(const quantile_sketch& a) const {
    std::vector<std::optional<double>> all;
    for (const double q : at) all.push_back(a.quantile(q));
    return all;
  }
};

}  // namespace detail

/// The variance of a field over all values there are (divided by n). Gives std::optional<double>.
template <typename F>
detail::variance_aggregator<F> variance(F field) {
  return {std::move(field), false};
}
/// The variance estimated from a sample (divided by n - 1): nothing for fewer than two values.
template <typename F>
detail::variance_aggregator<F> sample_variance(F field) {
  return {std::move(field), true};
}
/// The n records of type T with the largest by(record), the largest first; of equals the earlier one. Gives
/// std::vector<T>: `top<bid>(3, &bid::price)`.
template <typename T, typename F>
detail::top_aggregator<T, F> top(std::size_t n, F by) {
  return {n, std::move(by)};
}
/// How many different values of a field (a key type) there are, exactly: keeps each of them. Gives
/// std::int64_t.
template <typename F>
detail::distinct_aggregator<F> distinct(F field) {
  return {std::move(field)};
}
/// About how many: HyperLogLog in at most 4 KiB, standard error 1.6 %, exact up to 64.
template <typename F>
detail::approximate_distinct_aggregator<F> approximate_distinct(F field) {
  return {std::move(field)};
}
/// Quantiles of a field by a t-digest of a few KiB: `quantiles(&trip::delay, {0.5, 0.99})` gives a
/// std::vector<std::optional<double>>, empty optionals when there was no value.
template <typename F>
detail::quantiles_aggregator<F> quantiles(F field, std::vector<double> at) {
  return {std::move(field), std::move(at)};
}

}  // namespace penstock
