// SPDX-License-Identifier: Apache-2.0
#include "io/http_fetch.h"

#include <fmt/format.h>

#include <array>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

namespace penstock::io {
namespace {

namespace http = boost::beast::http;

/// One exchange; kept alive by its handlers and its deadline.
class fetch final : public std::enable_shared_from_this<fetch> {
 public:
  fetch(event_loop& loop, http_fetch_request request, http_fetch_options options,
        unique_function<void(result<http_answer>)> done)
      : loop_(loop),
        request_(std::move(request)),
        options_(std::move(options)),
        done_(std::move(done)),
        deadline_(loop) {
    parser_.eager(true);
    parser_.header_limit(64u << 10);
    parser_.body_limit(options_.max_body);
  }

  void start() {
    connect(loop_, request_.to.at, options_.connect_timeout, [self = shared_from_this()](auto s) {
      if (!s) return self->finish(fail(std::move(s.error())));
      if (!self->request_.to.tls) return self->send(std::move(*s));
      start_tls(self->loop_, std::move(*s), self->options_.tls, self->request_.to.at,
                self->options_.connect_timeout, [self](auto t) {
                  if (!t) return self->finish(fail(std::move(t.error())));
                  self->send(std::move(*t));
                });
    });
  }

 private:
  void send(std::unique_ptr<stream> s) {
    stream_ = std::move(s);
    deadline_.arm(options_.read_timeout, [self = shared_from_this()] {
      self->finish(fail(errc::timeout,
                        fmt::format("{} did not answer within {} ms", to_string(self->request_.to.at),
                                    self->options_.read_timeout.count()),
                        recovery::retriable));
    });
    const auto& to = request_.to;
    text_ = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n",
                        request_.method, to.target, to_string(to.at), request_.body.size());
    for (const auto& [name, value] : request_.headers) text_ += fmt::format("{}: {}\r\n", name, value);
    text_ += "\r\n";
    text_ += request_.body;
    stream_->write({{.bytes = text_}}, [self = shared_from_this()](result<> r) {
      if (!r) self->finish(fail(std::move(r.error())));
    });
    read();
  }

  void read() {
    if (!done_) return;
    stream_->read_some(buffer_,
                       [self = shared_from_this()](result<std::size_t> n) { self->came(std::move(n)); });
  }

  void came(result<std::size_t> n) {
    if (!done_) return;
    boost::system::error_code failure;
    if (n) {
      bytes_.append(buffer_.data(), *n);
      const auto used = parser_.put(boost::asio::buffer(bytes_), failure);
      bytes_.erase(0, used);
      if (failure == http::error::need_more) failure = {};
    } else if (n.error().kind() == errc::closed && parser_.got_some()) {
      parser_.put_eof(failure);
    } else {
      return finish(fail(std::move(n.error())));
    }
    if (failure) {
      return finish(fail(errc::corrupt, fmt::format("the answer of {} is no HTTP that can be taken: {}",
                                                    to_string(request_.to.at), failure.message())));
    }
    if (!parser_.is_done()) return read();
    finish(http_answer{parser_.get().result_int(), std::move(parser_.get().body())});
  }

  void finish(result<http_answer> outcome) {
    if (!done_) return;
    const auto self = shared_from_this();  // the deadline's handler may be all that holds us
    deadline_.cancel();
    if (stream_) stream_->close();
    std::exchange(done_, nullptr)(std::move(outcome));
  }

  event_loop& loop_;
  http_fetch_request request_;
  http_fetch_options options_;
  unique_function<void(result<http_answer>)> done_;
  timer deadline_;
  std::unique_ptr<stream> stream_;
  std::string text_;
  http::response_parser<http::string_body> parser_;
  std::array<char, 16'384> buffer_;
  std::string bytes_;
};

}  // namespace

result<http_url> parse_http_url(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return fail(errc::invalid_argument, fmt::format("'{}' is no URL of HTTP: {}", text, why));
  };
  http_url url;
  auto rest = text;
  if (rest.starts_with("https://")) {
    url.tls = true;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return bad("it begins with neither https:// nor http://");
  }
  const auto slash = rest.find_first_of("/?#");
  const auto authority = rest.substr(0, slash);
  auto target = slash == std::string_view::npos ? std::string_view() : rest.substr(slash);
  target = target.substr(0, target.find('#'));
  url.target = target.starts_with('/') ? std::string(target) : "/" + std::string(target);
  for (const char c : text)
    if (static_cast<unsigned char>(c) <= ' ' || c == 127)
      return fail(errc::invalid_argument, "a URL has a space or a control character");
  if (authority.find('@') != std::string_view::npos)
    return fail(errc::invalid_argument, "a URL must not hold a user name or a password");
  const bool has_port = !authority.ends_with(']') && authority.find(':') != std::string_view::npos;
  const auto at =
      parse_endpoint(has_port ? std::string(authority) : fmt::format("{}:{}", authority, url.tls ? 443 : 80));
  if (!at || at->host.empty()) return bad("its host or port cannot be read");
  url.at = *at;
  return url;
}

void http_fetch(event_loop& loop, http_fetch_request request, http_fetch_options options,
                unique_function<void(result<http_answer>)> done) {
  std::make_shared<fetch>(loop, std::move(request), std::move(options), std::move(done))->start();
}

}  // namespace penstock::io
