#include "libs/crm/sim/rate_meter.h"

#include <gtest/gtest.h>

namespace dealstream::crm::simkit {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'767'225'600);

TEST(RateMeterTest, LetsSoManyThroughWithinAnyWindow) {
  RateMeter meter;
  const auto take = [&meter](double second) {
    return meter.Take(2, absl::Seconds(1), kStart + absl::Seconds(second));
  };
  EXPECT_TRUE(take(0));
  EXPECT_TRUE(take(0.9));
  EXPECT_FALSE(take(0.95));
  // The first has left the window, the second hasn't.
  EXPECT_TRUE(take(1.0));
  EXPECT_FALSE(take(1.1));
  EXPECT_TRUE(take(1.9));
}

TEST(RateMeterTest, SaysHowLongToWait) {
  RateMeter meter;
  EXPECT_EQ(meter.Wait(1, absl::Seconds(1), kStart), absl::ZeroDuration());
  EXPECT_TRUE(meter.Take(1, absl::Seconds(1), kStart));
  EXPECT_EQ(meter.Wait(1, absl::Seconds(1), kStart + absl::Milliseconds(300)),
            absl::Milliseconds(700));
  EXPECT_EQ(meter.Wait(1, absl::Seconds(1), kStart + absl::Seconds(5)), absl::ZeroDuration());
}

TEST(RateMeterTest, ALimitOfNothingRefusesAll) {
  RateMeter meter;
  EXPECT_FALSE(meter.Take(0, absl::Seconds(1), kStart));
}

}  // namespace
}  // namespace dealstream::crm::simkit
