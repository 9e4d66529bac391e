// SPDX-License-Identifier: Apache-2.0
#include <penstock/statistics.h>

#include <numbers>

namespace penstock::detail {

void distinct_sketch::add(std::uint64_t hash) {
  if (!registers_.empty()) return add_register(hash);
  const auto at = std::lower_bound(few_.begin(), few_.end(), hash);
  if (at != few_.end() && *at == hash) return;
  few_.insert(at, hash);
  if (few_.size() > exact_up_to) make_registers();
}

void distinct_sketch::make_registers() {
  registers_.assign(std::size_t{1} << bits, 0);
  for (const std::uint64_t h : few_) add_register(h);
  few_ = {};
}

void distinct_sketch::add_register(std::uint64_t hash) noexcept {
  auto& r = registers_[hash >> (64 - bits)];
  const auto zeros = std::countl_zero((hash << bits) | (std::uint64_t{1} << (bits - 1)));
  r = std::max(r, static_cast<std::uint8_t>(zeros + 1));
}

void distinct_sketch::merge(const distinct_sketch& more) {
  if (more.registers_.empty()) {
    for (const std::uint64_t h : more.few_) add(h);
    return;
  }
  if (registers_.empty()) make_registers();
  for (std::size_t i = 0; i < registers_.size(); ++i)
    registers_[i] = std::max(registers_[i], more.registers_[i]);
}

std::int64_t distinct_sketch::estimate() const {
  if (registers_.empty()) return static_cast<std::int64_t>(few_.size());
  const auto m = static_cast<double>(registers_.size());
  double sum = 0;
  double empty = 0;
  for (const std::uint8_t r : registers_) {
    sum += std::ldexp(1.0, -r);
    if (r == 0) ++empty;
  }
  const double raw = 0.7213 / (1 + 1.079 / m) * m * m / sum;
  // With registers still empty, counting those is the better estimate up to here.
  if (raw <= 2.5 * m && empty > 0) return std::llround(m * std::log(m / empty));
  return std::llround(raw);
}

void quantile_sketch::add(double v) {
  if (std::isnan(v)) return;
  if (clusters_.empty()) least_ = most_ = v;
  least_ = std::min(least_, v);
  most_ = std::max(most_, v);
  clusters_.push_back({v, 1});
  if (++fresh_ < buffered) return;
  compress(clusters_);
  fresh_ = 0;
}

void quantile_sketch::merge(const quantile_sketch& more) {
  if (more.clusters_.empty()) return;
  if (clusters_.empty()) {
    *this = more;
    return;
  }
  least_ = std::min(least_, more.least_);
  most_ = std::max(most_, more.most_);
  clusters_.insert(clusters_.end(), more.clusters_.begin(), more.clusters_.end());
  compress(clusters_);
  fresh_ = 0;
}

/// Joins neighbours as long as a cluster stays within one step of k(q) = compression / 2pi * asin(2q - 1).
void quantile_sketch::compress(std::vector<cluster>& all) {
  std::stable_sort(all.begin(), all.end(),
                   [](const cluster& a, const cluster& b) { return a.mean < b.mean; });
  double total = 0;
  for (const cluster& c : all) total += c.weight;
  const auto k = [](double q) {
    return compression / (2 * std::numbers::pi) * std::asin(2 * std::clamp(q, 0.0, 1.0) - 1);
  };
  std::size_t kept = 0;
  double before = 0;  // the weight before the cluster that is being filled
  double from = k(0);
  for (std::size_t i = 1; i < all.size(); ++i) {
    cluster& c = all[kept];
    const double together = c.weight + all[i].weight;
    if (k((before + together) / total) - from <= 1) {
      c.mean += (all[i].mean - c.mean) * all[i].weight / together;
      c.weight = together;
    } else {
      before += c.weight;
      from = k(before / total);
      all[++kept] = all[i];
    }
  }
  if (!all.empty()) all.resize(kept + 1);
}

std::optional<double> quantile_sketch::quantile(double q) const {
  if (clusters_.empty()) return std::nullopt;
  std::vector<cluster> all = clusters_;
  compress(all);
  double total = 0;
  for (const cluster& c : all) total += c.weight;
  const double wanted = std::clamp(q, 0.0, 1.0) * total;
  // A cluster's mean stands in its middle; between two middles the quantile goes straight.
  double at = 0;
  double last_middle = 0;
  double last_value = least_;
  for (const cluster& c : all) {
    const double middle = at + c.weight / 2;
    if (wanted <= middle)
      return last_value +
             (c.mean - last_value) * (wanted - last_middle) / std::max(middle - last_middle, 1e-300);
    last_middle = middle;
    last_value = c.mean;
    at += c.weight;
  }
  return last_value + (most_ - last_value) * (wanted - last_middle) / std::max(total - last_middle, 1e-300);
}

}  // namespace penstock::detail
