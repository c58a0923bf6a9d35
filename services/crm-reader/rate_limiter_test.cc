#include "services/crm-reader/rate_limiter.h"

#include <vector>

#include <gtest/gtest.h>

namespace dealstream::reader {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

crm::RateLimit TenIn3Seconds() {
  crm::RateLimit limit;
  limit.units = 45;
  limit.interval = absl::Seconds(3);
  limit.unit_price = 3;
  limit.reader_share = 2.0 / 3;
  return limit;
}

TEST(RateLimiterTest, NeverMoreThanTheLimitInAnyStretch) {
  RateLimiter limiter;
  limiter.Configure(TenIn3Seconds());
  std::vector<absl::Time> calls;
  absl::Time now = kStart;
  absl::Time end = kStart + absl::Seconds(60);
  while (now < end) {
    absl::Duration wait = limiter.Take(1, now);
    if (wait <= absl::ZeroDuration()) {
      calls.push_back(now);
      now += absl::Milliseconds(7);
    } else {
      now += wait;
    }
  }
  for (size_t i = 10; i < calls.size(); ++i) {
    EXPECT_GE(calls[i] - calls[i - 10], absl::Seconds(3));
  }
  EXPECT_GT(calls.size(), 170u) << "and nearly all of it is used";
}

TEST(RateLimiterTest, WaitTellsWhatTakeWouldDo) {
  RateLimiter limiter;
  limiter.Configure(TenIn3Seconds());
  EXPECT_EQ(limiter.Wait(10, kStart), absl::ZeroDuration());
  EXPECT_EQ(limiter.Take(10, kStart), absl::ZeroDuration());
  absl::Duration wait = limiter.Wait(1, kStart);
  EXPECT_GT(wait, absl::Seconds(3));
  EXPECT_EQ(limiter.Take(1, kStart + wait), absl::ZeroDuration());
}

TEST(RateLimiterTest, ManySpendingsAreKeptInLittleMemoryAndTheLimitHolds) {
  crm::RateLimit limit;
  limit.units = 6000;
  limit.interval = absl::Seconds(60);
  limit.reader_share = 1;
  RateLimiter limiter;
  limiter.Configure(limit);
  int taken = 0;
  for (absl::Time now = kStart; now < kStart + absl::Seconds(240); now += absl::Milliseconds(3)) {
    taken += limiter.Take(1, now) == absl::ZeroDuration() ? 1 : 0;
  }
  EXPECT_LE(taken, 4 * 6000);
  EXPECT_GE(taken, 3 * 6000);
}

TEST(RateLimiterTest, PauseHoldsEverybody) {
  RateLimiter limiter;
  limiter.Configure(TenIn3Seconds());
  limiter.PauseUntil(kStart + absl::Seconds(7));
  EXPECT_EQ(limiter.Take(1, kStart), absl::Seconds(7));
  EXPECT_EQ(limiter.Take(1, kStart + absl::Seconds(7)), absl::ZeroDuration());
}

TEST(RateLimiterTest, CallDearerThanTheLimitPassesAlone) {
  RateLimiter limiter;
  limiter.Configure(TenIn3Seconds());
  EXPECT_EQ(limiter.Take(100, kStart), absl::ZeroDuration());
  EXPECT_GT(limiter.Take(1, kStart + absl::Seconds(1)), absl::ZeroDuration());
}

TEST(RateLimiterTest, ALoweredLimitCountsWhatWasSpent) {
  RateLimiter limiter;
  limiter.Configure(TenIn3Seconds());
  EXPECT_EQ(limiter.Take(8, kStart), absl::ZeroDuration());
  crm::RateLimit lower = TenIn3Seconds();
  lower.units = 15;
  limiter.Configure(lower);
  EXPECT_GT(limiter.Take(1, kStart + absl::Seconds(1)), absl::ZeroDuration());
}

}  // namespace
}  // namespace dealstream::reader
