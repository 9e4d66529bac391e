// SPDX-License-Identifier: Apache-2.0
// What producers, consumers and admin clients count and measure: docs/reference/client-metrics.md lists it.
//
//     for (const auto& m : producer.metrics())
//       if (m.name == "record-error-total" && m.tags.empty()) alarm_unless_zero(m.value);
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::kafka {

/// One value at one moment. Names and groups are Kafka's where Kafka has the thing; averages, maxima and
/// rates are over the last 30 to 60 seconds (since the start, if that is less), totals since the client was
/// made. NaN: nothing was measured in that time.
struct metric {
  std::string_view name;                                    ///< "record-send-rate"
  std::string_view group;                                   ///< "producer-metrics"
  std::vector<std::pair<std::string, std::string>> tags{};  ///< {"topic", "orders"}, {"partition", "3"}
  double value = 0;
  std::string_view description;
};
using metric_list = std::vector<metric>;
using metrics_callback = std::function<void(const metric_list&)>;

/// The value of that name and group without tags, or NaN.
double find_metric(const metric_list& all, std::string_view group, std::string_view name) noexcept;
/// One line a metric: "group name{tag=value,...} value".
std::string to_text(const metric_list& all);

/// One line of the table of metrics.
struct metric_info {
  std::string_view group;  ///< with several clients' groups, ", " between
  std::string_view name;
  std::string_view tags;  ///< their names, ", " between
  std::string_view description;
};
/// Every metric that there can be.
std::span<const metric_info> list_metrics() noexcept;
/// docs/reference/client-metrics.md as it should be.
std::string metrics_reference();

}  // namespace penstock::kafka
