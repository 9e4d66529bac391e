// SPDX-License-Identifier: Apache-2.0
#include "proxy.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>

#include "proxy_link.h"

namespace penstock::testing {

std::string to_string(const proxy_event& e) {
  static constexpr std::string_view kinds[] = {"met", "held", "delivered", "failed"};
  auto line = fmt::format("event {} rule={} fault={} api={} version={} correlation={} client={}",
                          kinds[static_cast<std::size_t>(e.what)], e.rule, to_string(e.action),
                          wire::to_string(e.request.key), e.request.version, e.request.correlation_id,
                          e.request.client);
  if (e.error_code) line += fmt::format(" error={}", *e.error_code);
  return line;
}

proxy::proxy(io::event_loop& loop, io::endpoint broker, std::uint64_t seed)
    : loop_(loop), broker_(std::move(broker)), dice_(seed) {}

proxy::~proxy() {
  on_event = nullptr;
  on_request = nullptr;
  for (const auto& link : std::exchange(links_, {})) link->abandon();
  for (const auto& delivery : std::exchange(deliveries_, {})) delivery->abandon();
}

result<> proxy::listen(std::uint16_t port) {
  auto opened = open_port(broker_, port);
  if (!opened) return fail(opened.error());
  return {};
}

io::endpoint proxy::address() const { return ports_.at(to_string(broker_))->local(); }

result<io::endpoint> proxy::open_port(const io::endpoint& broker, std::uint16_t port) {
  auto listener = io::listen(loop_, {"127.0.0.1", port}, [this, broker](std::unique_ptr<io::stream> client) {
    accepted(broker, std::move(client));
  });
  if (!listener) return fail(listener.error());
  const auto local = (*listener)->local();
  ports_[to_string(broker)] = std::move(*listener);
  return local;
}

io::endpoint proxy::port_for(const io::endpoint& broker) {
  if (const auto known = ports_.find(to_string(broker)); known != ports_.end()) return known->second->local();
  auto opened = open_port(broker, 0);
  return opened ? *opened : broker;
}

void proxy::accepted(const io::endpoint& broker, std::unique_ptr<io::stream> client) {
  if (refusing_) return client->close();
  const auto link = std::make_shared<proxy_link>(*this, broker, std::move(client));
  links_.insert(link);
  link->start();
}

int proxy::add(fault_rule rule) {
  rules_.push_back({.number = next_rule_, .rule = std::move(rule)});
  return next_rule_++;
}

void proxy::clear() { rules_.clear(); }

proxy::verdict proxy::meet(const request_info& info) {
  ++requests_[info.key];
  for (auto it = rules_.begin(); it != rules_.end(); ++it) {
    const fault_rule& r = it->rule;
    if ((r.api && *r.api != info.key) || info.version < r.min_version || info.version > r.max_version ||
        (!r.client.empty() && r.client != info.client))
      continue;
    if (it->skipped < r.skip) {
      ++it->skipped;
      continue;
    }
    if (r.chance < 1 && std::uniform_real_distribution<>(0, 1)(dice_) >= r.chance) continue;
    verdict v{.what = r.what, .rule = it->number, .after = r.after};
    if (r.after && r.after_at_most && *r.after_at_most > *r.after)
      v.after = std::chrono::milliseconds(
          std::uniform_int_distribution<std::int64_t>(r.after->count(), r.after_at_most->count())(dice_));
    ++faults_;
    if (++it->met == r.times) rules_.erase(it);
    return v;
  }
  return {};
}

void proxy::deliver(held_request r) {
  if (!r.why.after) {
    tell({proxy_event::kind::held, r.why.rule, r.why.what, r.info});
    held_.push_back(std::move(r));
    return;
  }
  const auto after = *r.why.after;
  const auto delivery = std::make_shared<proxy_delivery>(*this, std::move(r));
  deliveries_.insert(delivery);
  delivery->start(after);
}

std::size_t proxy::release() {
  auto held = std::exchange(held_, {});
  for (auto& r : held) {
    r.why.after = std::chrono::milliseconds(0);
    deliver(std::move(r));
  }
  return held.size();
}

std::size_t proxy::cut_all() {
  const auto links = std::exchange(links_, {});
  for (const auto& link : links) link->abandon();
  return links.size();
}

std::int64_t proxy::requests(wire::api_key key) const {
  const auto it = requests_.find(key);
  return it == requests_.end() ? 0 : it->second;
}

std::string proxy::command(std::string_view line) {
  const auto space = line.find(' ');
  const auto verb = line.substr(0, space);
  const auto rest = space == line.npos ? std::string_view() : line.substr(space + 1);
  if (verb == "rule") {
    auto rule = parse_rule(rest);
    return rule ? fmt::format("ok rule={}", add(std::move(*rule)))
                : fmt::format("error {}", rule.error().message());
  }
  if (verb == "clear") return clear(), "ok";
  if (verb == "release") return fmt::format("ok released={}", release());
  if (verb == "cut") return fmt::format("ok cut={}", cut_all());
  if (verb == "refuse" && (rest == "on" || rest == "off")) return refuse(rest == "on"), "ok";
  if (verb == "stats") {
    std::string answer =
        fmt::format("ok faults={} held={} connections={}", faults_, held_.size(), links_.size());
    for (const auto& [key, count] : requests_) answer += fmt::format(" {}={}", wire::to_string(key), count);
    return answer;
  }
  return fmt::format("error {} is not a command", line);
}

}  // namespace penstock::testing
