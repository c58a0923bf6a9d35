#include "libs/obs/health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dealstream::obs {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class HealthTest : public testing::Test {
 protected:
  FakeClock clock_{absl::FromUnixSeconds(1'700'000'000)};
  Health health_{clock_};
};

TEST_F(HealthTest, LiveWhileLoopsMove) {
  Health::Heartbeat& loop = health_.AddLoop("consumer");
  EXPECT_TRUE(health_.Live().ok);
  clock_.Advance(absl::Seconds(31));
  EXPECT_FALSE(health_.Live().ok);
  EXPECT_THAT(health_.Live().text, HasSubstr("consumer: has not moved for 31 s"));
  loop.Beat();
  EXPECT_TRUE(health_.Live().ok);
}

TEST_F(HealthTest, ReadyNeedsEveryCondition) {
  health_.SetReady("kafka", false, "no broker answers");
  health_.SetReady("store", true);
  EXPECT_FALSE(health_.Ready().ok);
  EXPECT_EQ(health_.Ready().text, "kafka: not ready: no broker answers\nstore: ready\n");
  EXPECT_THAT(health_.Conditions(), ElementsAre(Pair("kafka", false), Pair("store", true)));
  health_.SetReady("kafka", true);
  EXPECT_TRUE(health_.Ready().ok);
}

TEST_F(HealthTest, DrainingIsNeverReady) {
  health_.SetReady("kafka", true);
  health_.StartDraining();
  EXPECT_FALSE(health_.Ready().ok);
  EXPECT_THAT(health_.Ready().text, HasSubstr("draining"));
  EXPECT_TRUE(health_.Live().ok);
}

}  // namespace
}  // namespace dealstream::obs
