// SPDX-License-Identifier: Apache-2.0
#include <penstock/broker.h>

#include "broker/server.h"

namespace penstock {

struct embedded_broker::impl {
  std::unique_ptr<broker::server> server;
};

embedded_broker::embedded_broker(std::unique_ptr<impl> i) : impl_(std::move(i)) {}
embedded_broker::embedded_broker(embedded_broker&&) noexcept = default;
embedded_broker& embedded_broker::operator=(embedded_broker&&) noexcept = default;
embedded_broker::~embedded_broker() = default;

result<embedded_broker> embedded_broker::start(broker_options options) {
  auto s = broker::server::start(std::move(options));
  if (!s) return fail(s.error());
  auto i = std::make_unique<impl>();
  i->server = std::move(*s);
  return embedded_broker(std::move(i));
}

std::string embedded_broker::bootstrap_servers() const { return to_string(impl_->server->advertised()); }
std::uint16_t embedded_broker::port() const { return impl_->server->endpoint().port; }
std::string embedded_broker::cluster_id() const { return impl_->server->cluster_id(); }
result<> embedded_broker::stop() { return impl_->server->stop(); }

}  // namespace penstock
