#include "services/crm-reader/circuit_breaker.h"

#include <gtest/gtest.h>

namespace dealstream::reader {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

TEST(CircuitBreakerTest, OpensAfterFailuresInARow) {
  CircuitBreaker breaker({.failures = 3});
  breaker.Failed(kStart);
  breaker.Failed(kStart);
  breaker.Succeeded();
  breaker.Failed(kStart);
  breaker.Failed(kStart);
  EXPECT_EQ(breaker.OpenFor(kStart), absl::ZeroDuration());
  breaker.Failed(kStart);
  EXPECT_EQ(breaker.OpenFor(kStart), absl::Seconds(5));
  EXPECT_TRUE(breaker.tripped());
}

TEST(CircuitBreakerTest, FailedTrialOpensItForTwiceAsLong) {
  CircuitBreaker breaker({.failures = 1, .longest_open = absl::Seconds(12)});
  breaker.Failed(kStart);
  absl::Time now = kStart + absl::Seconds(5);
  EXPECT_EQ(breaker.OpenFor(now), absl::ZeroDuration()) << "half open";
  EXPECT_TRUE(breaker.tripped());
  breaker.Failed(now);
  EXPECT_EQ(breaker.OpenFor(now), absl::Seconds(10));
  now += absl::Seconds(10);
  breaker.Failed(now);
  EXPECT_EQ(breaker.OpenFor(now), absl::Seconds(12)) << "but not for ever longer";
}

TEST(CircuitBreakerTest, GoodTrialClosesIt) {
  CircuitBreaker breaker({.failures = 2});
  breaker.Failed(kStart);
  breaker.Failed(kStart);
  breaker.Succeeded();
  EXPECT_FALSE(breaker.tripped());
  breaker.Failed(kStart);
  EXPECT_EQ(breaker.OpenFor(kStart), absl::ZeroDuration()) << "counts from the start again";
}

}  // namespace
}  // namespace dealstream::reader
