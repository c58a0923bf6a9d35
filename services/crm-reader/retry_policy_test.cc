#include "services/crm-reader/retry_policy.h"

#include <gtest/gtest.h>

namespace dealstream::reader {
namespace {

TEST(RetryPolicyTest, DelaysGrowWithFailures) {
  absl::Duration before;
  for (int attempt = 1; attempt <= 5; ++attempt) {
    EXPECT_GT(RetryPolicy::AfterFailure(attempt), before);
    before = RetryPolicy::AfterFailure(attempt);
  }
  EXPECT_EQ(RetryPolicy::AfterFailure(100), absl::Hours(1));
}

TEST(RetryPolicyTest, DelaysFitAWait) {
  EXPECT_EQ(RetryPolicy::AtLeast(absl::ZeroDuration()), absl::Seconds(5));
  EXPECT_EQ(RetryPolicy::AtLeast(absl::Seconds(6)), absl::Seconds(30));
  EXPECT_EQ(RetryPolicy::AtLeast(absl::Hours(5)), absl::Hours(1));
}

TEST(RetryPolicyTest, EachDelayHasItsTopic) {
  EXPECT_EQ(RetryPolicy::Topic("acme", absl::Seconds(5)), "crm.retry.acme.5s");
  EXPECT_EQ(RetryPolicy::Topic("acme", absl::Minutes(10)), "crm.retry.acme.10m");
  EXPECT_EQ(RetryPolicy::Topic("acme", absl::Hours(1)), "crm.retry.acme.1h");
}

}  // namespace
}  // namespace dealstream::reader
