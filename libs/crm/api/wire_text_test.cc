#include "libs/crm/api/wire_text.h"

#include <string>

#include "gtest/gtest.h"

namespace dealstream::crm {
namespace {

TEST(WireTextTest, NumbersAreDigitsAlone) {
  EXPECT_TRUE(IsNumber("0", 3));
  EXPECT_TRUE(IsNumber("007", 3));
  for (const char* text : {"", "1234", "-1", "+1", "1.", " 1", "1a", "١"}) {
    EXPECT_FALSE(IsNumber(text, 3)) << text;
  }
}

TEST(WireTextTest, DigitsAreAllThere) {
  EXPECT_EQ(Digits("ab0123", 2, 4), 123);
  EXPECT_EQ(Digits("999999999", 0, 9), 999'999'999);
  EXPECT_EQ(Digits("ab0123", 1, 2), -1);
  EXPECT_EQ(Digits("ab0123", 4, 3), -1);
  EXPECT_EQ(Digits("-123", 0, 4), -1);
}

TEST(WireTextTest, DaysAreOfTheCalendar) {
  absl::CivilDay day;
  EXPECT_TRUE(MakeDay(2024, 2, 29, day));
  EXPECT_EQ(day, absl::CivilDay(2024, 2, 29));
  EXPECT_TRUE(MakeDay(1, 1, 1, day));
  EXPECT_TRUE(MakeDay(9999, 12, 31, day));
  EXPECT_FALSE(MakeDay(2026, 2, 29, day));
  EXPECT_FALSE(MakeDay(2026, 13, 1, day));
  EXPECT_FALSE(MakeDay(2026, 0, 1, day));
  EXPECT_FALSE(MakeDay(2026, 1, -1, day));
  EXPECT_FALSE(MakeDay(0, 1, 1, day));
  EXPECT_FALSE(MakeDay(10000, 1, 1, day));
  EXPECT_EQ(day, absl::CivilDay(9999, 12, 31));
}

TEST(WireTextTest, TakesFromTheFront) {
  std::string_view text = "2026-03-02 15:31:47.915+03:00";
  absl::CivilSecond second;
  EXPECT_TRUE(TakeSecond(text, ' ', second));
  EXPECT_EQ(second, absl::CivilSecond(2026, 3, 2, 15, 31, 47));
  int64_t nanos = 0;
  EXPECT_TRUE(TakeFraction(text, nanos));
  EXPECT_EQ(nanos, 915'000'000);
  EXPECT_TRUE(TakeFraction(text, nanos)) << "there is none";
  EXPECT_EQ(text, "+03:00");
  text = "2026-03-02T";
  absl::CivilDay day;
  EXPECT_TRUE(TakeDay(text, day));
  EXPECT_EQ(day, absl::CivilDay(2026, 3, 2));
  EXPECT_EQ(text, "T");
}

TEST(WireTextTest, LeavesWhatItDoesNotTake) {
  for (const std::string_view given : {"",
                                       "2026-03-02",
                                       "2026-03-02T15:31:47",
                                       "2026-03-02 15:31",
                                       "2026-03-02 15:31:4",
                                       "2026-02-30 00:00:00",
                                       "0000-00-00 00:00:00",
                                       "2026-01-01 24:00:00",
                                       "2026-01-01 00:60:00",
                                       "2026-01-01 00:00:60",
                                       "-026-03-02 15:31:47",
                                       "2026-03-02 15:31:4/",
                                       "2026/03/02 15:31:47"}) {
    std::string_view text = given;
    absl::CivilSecond second;
    EXPECT_FALSE(TakeSecond(text, ' ', second)) << given;
    EXPECT_EQ(text, given);
  }
  for (const std::string_view given : {".", ".x", ".1234567890"}) {
    std::string_view text = given;
    int64_t nanos = 0;
    EXPECT_FALSE(TakeFraction(text, nanos)) << given;
    EXPECT_EQ(text, given);
  }
}

}  // namespace
}  // namespace dealstream::crm
