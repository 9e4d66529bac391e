// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <netdb.h>

#include <boost/asio/ip/address.hpp>
#include <cstring>

#include "io/tcp.h"

namespace penstock::io::detail {

std::string to_string(const tcp::endpoint& e) {
  return io::to_string(endpoint{.host = e.address().to_string(), .port = e.port()});
}

std::optional<tcp::endpoint> numeric_endpoint(const endpoint& e) {
  boost::system::error_code failure;
  const auto address = asio::ip::make_address(e.host, failure);
  if (failure) return std::nullopt;
  return tcp::endpoint(address, e.port);
}

result<std::vector<tcp::endpoint>> resolve(const endpoint& e) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  int code = ::getaddrinfo(e.host.c_str(), nullptr, &hints, &list);
  // A machine without a network has no configured address but loopback, which AI_ADDRCONFIG does not count.
  if (code != 0 && code != EAI_AGAIN) {
    hints.ai_flags = 0;
    code = ::getaddrinfo(e.host.c_str(), nullptr, &hints, &list);
  }
  if (code != 0) {
    return fail(errc::io, fmt::format("cannot resolve {}: {}", e.host, ::gai_strerror(code)),
                recovery::retriable);
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, ::freeaddrinfo);
  std::vector<tcp::endpoint> found;
  for (const addrinfo* a = list; a != nullptr; a = a->ai_next) {
    tcp::endpoint address;
    if (a->ai_addrlen > address.capacity()) continue;
    std::memcpy(address.data(), a->ai_addr, a->ai_addrlen);
    address.resize(a->ai_addrlen);
    address.port(e.port);
    found.push_back(address);
  }
  if (found.empty())
    return fail(errc::io, fmt::format("cannot resolve {}: it has no address", e.host), recovery::retriable);
  return found;
}

}  // namespace penstock::io::detail
