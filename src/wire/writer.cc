// SPDX-License-Identifier: Apache-2.0
#include "wire/writer.h"

#include <fmt/format.h>

namespace penstock::wire {

void writer::absent(std::string_view field) {
  fail(fmt::format("this version has no field {}, but a value was given", field));
}

void writer::not_nullable(std::string_view field) {
  fail(fmt::format("the field {} is null, which this version does not allow", field));
}

void writer::cut_back(std::size_t start) {
  out_->resize(start);
  while (!splices_.empty() && splices_.back().position > start) {
    spliced_bytes_ -= splices_.back().size;
    splices_.pop_back();
  }
}

result<> writer::finish(std::string_view what, std::size_t start) {
  if (ok()) return {};
  cut_back(start);
  return penstock::fail(errc::unsupported,
                        fmt::format("cannot encode {}: {}", what, std::exchange(why_, {})));
}

result<> frame_writer::end() const {
  const std::uint64_t size =
      out_.position() - start_ - sizeof(std::int32_t) + (out_.spliced_bytes() - spliced_);
  if (size > 0x7fffffff)
    return abandon(error(errc::exhausted, fmt::format("a frame of {} bytes is too long", size)));
  base::store_be(out_.out_->data() + start_, static_cast<std::int32_t>(size));
  return {};
}

result<> frame_writer::abandon(error why) const {
  out_.cut_back(start_);
  return penstock::fail(std::move(why));
}

}  // namespace penstock::wire
