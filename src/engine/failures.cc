// SPDX-License-Identifier: Apache-2.0
// What happens when user code throws, or a record cannot be decoded (S20).
#include <penstock/detail/op.h>

#include <exception>
#include <string>

namespace penstock::detail {
namespace {

std::string where(const std::string& name, const char* step, const record_origin& origin) {
  std::string s = name + " (" + step + ")";
  if (origin.from != nullptr) {
    if (!origin.from->topic.empty()) s += ", topic " + origin.from->topic;
    s += ", partition " + std::to_string(origin.from->partition);
    s += ", offset " + std::to_string(origin.offset);
  }
  return s;
}

/// The exception in flight, as a sentence.
std::string what_was_thrown() {
  try {
    throw;
  } catch (const decode_failure& e) {
    return e.cause.message();
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an exception that is no std::exception";
  }
}

}  // namespace

bool op::record_failed(const char* step, const record_origin& origin) {
  if (policy_ == error_policy::skip_and_count) {
    op_counters::add(counters_.skipped, 1);
    return true;
  }
  if (policy_ == error_policy::dead_letter) {
    op_counters::add(counters_.skipped, 1);
    services_->dead_letter(origin, name_, step, what_was_thrown(), epoch_);
    return !services_->failed();
  }
  services_->fail(error(errc::user, where(name_, step, origin) + ": " + what_was_thrown()));
  return false;
}

}  // namespace penstock::detail
