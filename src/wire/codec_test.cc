// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "wire/api.h"
#include "wire/messages/fetch.h"

namespace penstock::wire {
namespace {

TEST(Codec, RoundTrip) {
  fetch_request request;
  request.topics.push_back({.topic = "departures"});
  std::string bytes;
  writer out(bytes);
  ASSERT_TRUE(request.encode(out, 11));
  reader in(bytes);
  fetch_request again;
  ASSERT_TRUE(again.decode(in, 11));
  EXPECT_EQ(again, request);
}

}  // namespace
}  // namespace penstock::wire
