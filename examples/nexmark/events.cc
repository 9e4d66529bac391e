// SPDX-License-Identifier: Apache-2.0
#include "events.h"

#include <utility>

namespace ps = penstock;

namespace nexmark {
namespace {

/// Puts what was read into the event; what the event had goes where the next record is read.
template <typename Kind>
void take(Kind& read, event& into) {
  if (Kind* old = std::get_if<Kind>(&into)) {
    std::swap(*old, read);
  } else {
    into = std::move(read);
  }
}

}  // namespace

ps::result<> event_format::decode(const ps::raw& record, event& into) const {
  if (auto read = json_.decode(record, read_); !read) return read;
  if (int{read_.bid.has_value()} + int{read_.auction.has_value()} + int{read_.person.has_value()} != 1)
    return ps::fail(ps::errc::user, "an event is one of a person, an auction and a bid");
  if (read_.bid) {
    take(*read_.bid, into);
  } else if (read_.auction) {
    take(*read_.auction, into);
  } else {
    take(*read_.person, into);
  }
  return {};
}

void event_format::encode(const event& e, std::string& out) const {
  constexpr const char* begin[] = {"{\"bid\":", "{\"auction\":", "{\"person\":"};
  out.append(begin[e.index()]);
  std::visit([&](const auto& one) { ps::as_json.encode(one, out); }, e);
  out.push_back('}');
}

}  // namespace nexmark
