#include "services/webhook-ingest/key_order.h"

#include <gtest/gtest.h>

namespace dealstream::ingest {
namespace {

constexpr OrderKey kKey{"crm.notice.one", "k"};
constexpr OrderKey kOther{"crm.notice.one", "other"};
constexpr OrderKey kOtherTopic{"crm.notice.two", "k"};
constexpr uint64_t kFirst = 101;
constexpr uint64_t kSecond = 102;

class KeyOrderTest : public testing::Test {
 protected:
  KeyOrder order_{absl::Milliseconds(300)};
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
};

TEST_F(KeyOrderTest, LetsEverythingPassWhileNothingFails) {
  EXPECT_TRUE(order_.MayPass(kKey, kFirst, now_));
  EXPECT_TRUE(order_.OnStored(kKey, order_.NextTicket(), kFirst, now_));
  EXPECT_EQ(order_.size(), 0U);
}

TEST_F(KeyOrderTest, LaterRecordsWaitForTheRetryOfARefusedOne) {
  const uint64_t refused = order_.NextTicket();
  order_.OnFailed(kKey, refused, kFirst, true, now_);
  EXPECT_FALSE(order_.MayPass(kKey, kSecond, now_));
  EXPECT_TRUE(order_.MayPass(kOther, kSecond, now_));
  EXPECT_TRUE(order_.MayPass(kOtherTopic, kSecond, now_));
  EXPECT_TRUE(order_.MayPass(kKey, kFirst, now_));
  EXPECT_TRUE(order_.OnStored(kKey, order_.NextTicket(), kFirst, now_));
  EXPECT_TRUE(order_.MayPass(kKey, kSecond, now_));
}

TEST_F(KeyOrderTest, NobodyWaitsLongerThanTheHold) {
  order_.OnFailed(kKey, order_.NextTicket(), kFirst, true, now_);
  now_ += absl::Milliseconds(299);
  order_.OnFailed(kKey, order_.NextTicket(), 103, true, now_);
  EXPECT_FALSE(order_.MayPass(kKey, kSecond, now_));
  now_ += absl::Milliseconds(1);
  EXPECT_TRUE(order_.MayPass(kKey, kSecond, now_));
}

TEST_F(KeyOrderTest, NobodyWaitsForARecordRefusedTwice) {
  order_.OnFailed(kKey, order_.NextTicket(), kFirst, true, now_);
  order_.OnFailed(kKey, order_.NextTicket(), kFirst, true, now_);
  EXPECT_TRUE(order_.MayPass(kKey, kSecond, now_));
  order_.OnFailed(kKey, order_.NextTicket(), kFirst, true, now_);
  EXPECT_TRUE(order_.MayPass(kKey, kSecond, now_));
}

TEST_F(KeyOrderTest, WhatWasUnderWayBehindAFailureIsNotTakenAsAccepted) {
  const uint64_t before = order_.NextTicket();
  const uint64_t failed = order_.NextTicket();
  const uint64_t behind = order_.NextTicket();
  order_.OnFailed(kKey, failed, kFirst, false, now_);
  const uint64_t after = order_.NextTicket();
  EXPECT_TRUE(order_.MayPass(kKey, kSecond, now_));
  EXPECT_TRUE(order_.OnStored(kKey, before, kSecond, now_));
  EXPECT_FALSE(order_.OnStored(kKey, behind, kSecond, now_));
  EXPECT_TRUE(order_.OnStored(kKey, after, kSecond, now_));
  EXPECT_TRUE(order_.OnStored(kOther, behind, kSecond, now_));
}

// The first failure's record was another thread's: its producer is slower.
TEST_F(KeyOrderTest, ALaterFailureEndsNoEarlierOne) {
  const uint64_t failed = order_.NextTicket();
  const uint64_t slow = order_.NextTicket();
  order_.OnFailed(kKey, failed, kFirst, false, now_);
  order_.OnFailed(kKey, order_.NextTicket(), kFirst, false, now_);
  EXPECT_FALSE(order_.OnStored(kKey, slow, kSecond, now_));
  EXPECT_TRUE(order_.OnStored(kKey, order_.NextTicket(), kSecond, now_));
}

TEST_F(KeyOrderTest, ForgetsInTime) {
  order_.OnFailed(kKey, order_.NextTicket(), kFirst, true, now_);
  EXPECT_EQ(order_.size(), 1U);
  now_ += absl::Minutes(1);
  EXPECT_TRUE(order_.OnStored(kOther, order_.NextTicket(), kSecond, now_));
  EXPECT_EQ(order_.size(), 0U);
}

}  // namespace
}  // namespace dealstream::ingest
