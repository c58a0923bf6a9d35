#include "services/webhook-ingest/key_order.h"

#include <gtest/gtest.h>

namespace dealstream::ingest {
namespace {

constexpr uint64_t kFirst = 101;
constexpr uint64_t kSecond = 102;

class KeyOrderTest : public testing::Test {
 protected:
  KeyOrder order_{absl::Milliseconds(300)};
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
};

TEST_F(KeyOrderTest, LetsEverythingPassWhileNothingFails) {
  EXPECT_TRUE(order_.MayPass("k", kFirst, now_));
  EXPECT_TRUE(order_.OnStored("k", order_.NextTicket(), kFirst, now_));
  EXPECT_EQ(order_.size(), 0U);
}

TEST_F(KeyOrderTest, LaterRecordsWaitForTheRetryOfARefusedOne) {
  const uint64_t refused = order_.NextTicket();
  order_.OnFailed("k", refused, kFirst, true, now_);
  EXPECT_FALSE(order_.MayPass("k", kSecond, now_));
  EXPECT_TRUE(order_.MayPass("other", kSecond, now_));
  EXPECT_TRUE(order_.MayPass("k", kFirst, now_));
  EXPECT_TRUE(order_.OnStored("k", order_.NextTicket(), kFirst, now_));
  EXPECT_TRUE(order_.MayPass("k", kSecond, now_));
}

TEST_F(KeyOrderTest, NobodyWaitsLongerThanTheHold) {
  order_.OnFailed("k", order_.NextTicket(), kFirst, true, now_);
  now_ += absl::Milliseconds(299);
  order_.OnFailed("k", order_.NextTicket(), 103, true, now_);
  EXPECT_FALSE(order_.MayPass("k", kSecond, now_));
  now_ += absl::Milliseconds(1);
  EXPECT_TRUE(order_.MayPass("k", kSecond, now_));
}

TEST_F(KeyOrderTest, NobodyWaitsForARecordRefusedTwice) {
  order_.OnFailed("k", order_.NextTicket(), kFirst, true, now_);
  order_.OnFailed("k", order_.NextTicket(), kFirst, true, now_);
  EXPECT_TRUE(order_.MayPass("k", kSecond, now_));
  order_.OnFailed("k", order_.NextTicket(), kFirst, true, now_);
  EXPECT_TRUE(order_.MayPass("k", kSecond, now_));
}

TEST_F(KeyOrderTest, WhatWasUnderWayBehindAFailureIsNotTakenAsAccepted) {
  const uint64_t before = order_.NextTicket();
  const uint64_t failed = order_.NextTicket();
  const uint64_t behind = order_.NextTicket();
  order_.OnFailed("k", failed, kFirst, false, now_);
  const uint64_t after = order_.NextTicket();
  EXPECT_TRUE(order_.MayPass("k", kSecond, now_));
  EXPECT_TRUE(order_.OnStored("k", before, kSecond, now_));
  EXPECT_FALSE(order_.OnStored("k", behind, kSecond, now_));
  EXPECT_TRUE(order_.OnStored("k", after, kSecond, now_));
  EXPECT_TRUE(order_.OnStored("other", behind, kSecond, now_));
}

TEST_F(KeyOrderTest, ForgetsInTime) {
  order_.OnFailed("k", order_.NextTicket(), kFirst, true, now_);
  EXPECT_EQ(order_.size(), 1U);
  now_ += absl::Minutes(1);
  EXPECT_TRUE(order_.OnStored("other", order_.NextTicket(), kSecond, now_));
  EXPECT_EQ(order_.size(), 0U);
}

}  // namespace
}  // namespace dealstream::ingest
