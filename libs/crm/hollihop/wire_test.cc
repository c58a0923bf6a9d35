#include "libs/crm/hollihop/wire.h"

#include <string>

#include "gtest/gtest.h"

namespace dealstream::crm::hollihop {
namespace {

absl::TimeZone Zone(const char* name) {
  absl::TimeZone zone;
  EXPECT_TRUE(absl::LoadTimeZone(name, &zone)) << name;
  return zone;
}

std::string Utc(std::string_view text, const char* zone) {
  LocalTime time;
  return ParseLocalTime(text, time)
             ? absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", time.In(Zone(zone)), absl::UTCTimeZone())
             : "none";
}

// H1
TEST(LocalTimeTest, IsReadInTheZone) {
  EXPECT_EQ(Utc("2025-09-03T18:02:07", "Europe/Moscow"), "2025-09-03T15:02:07Z");
  EXPECT_EQ(Utc("2025-09-03T18:02:07", "Asia/Yekaterinburg"), "2025-09-03T13:02:07Z");
  EXPECT_EQ(Utc("2025-09-03", "Europe/Moscow"), "2025-09-02T21:00:00Z");
  EXPECT_EQ(Utc("2013-06-01T12:00:00", "Europe/Moscow"), "2013-06-01T08:00:00Z");
  EXPECT_EQ(Utc("2025-09-03T18:02:07.25", "Europe/Moscow"), "2025-09-03T15:02:07.25Z");
}

TEST(LocalTimeTest, ItsOwnOffsetCounts) {
  EXPECT_EQ(Utc("2025-09-03T18:02:07Z", "Europe/Moscow"), "2025-09-03T18:02:07Z");
  EXPECT_EQ(Utc("2025-09-03T18:02:07-03:30", "Europe/Moscow"), "2025-09-03T21:32:07Z");
  EXPECT_EQ(Utc("2025-09-03T18:02:07.5+05:00", "Europe/Moscow"), "2025-09-03T13:02:07.5Z");
}

TEST(LocalTimeTest, ChangesOfTheClocks) {
  EXPECT_EQ(Utc("2025-03-30T02:30:00", "Europe/Warsaw"), "2025-03-30T01:30:00Z");
  EXPECT_EQ(Utc("2025-10-26T02:30:00", "Europe/Warsaw"), "2025-10-26T00:30:00Z");
}

TEST(LocalTimeTest, AnythingElseIsNone) {
  for (const char* text : {"",
                           "2025",
                           "2025-09-3",
                           "2025-02-30",
                           "2025-09-03 18:02:07",
                           "2025-09-03T18:02",
                           "2025-09-03T24:00:00",
                           "2025-09-03T18:02:07.",
                           "2025-09-03T18:02:07.1234567890",
                           "2025-09-03T18:02:07z",
                           "2025-09-03T18:02:07+0300",
                           "2025-09-03T18:02:07+19:00",
                           "2025-09-03T18:02:07+03:60",
                           "2025-09-03T18:02:07 ",
                           "-025-09-03",
                           "03.09.2025"}) {
    LocalTime time;
    EXPECT_FALSE(ParseLocalTime(text, time)) << text;
  }
}

TEST(LocalTimeTest, VersionsKeepTheOrderOfTheServersClock) {
  LocalTime a;
  LocalTime b;
  ASSERT_TRUE(ParseLocalTime("1970-01-01T00:00:01.5", a));
  EXPECT_EQ(a.Version(), 1'500'000);
  ASSERT_TRUE(ParseLocalTime("2025-09-03T18:02:07", a));
  ASSERT_TRUE(ParseLocalTime("2025-09-03T18:02:08", b));
  EXPECT_EQ(b.Version() - a.Version(), 1'000'000);
  EXPECT_EQ(FormatLocalTime(a.civil), "2025-09-03T18:02:07");
}

TEST(IdTest, IsDigits) {
  EXPECT_TRUE(IsId("10241"));
  for (const char* text : {"", "-1", "1.0", "1 ", "x", "1234567890123456789"}) {
    EXPECT_FALSE(IsId(text)) << text;
  }
}

}  // namespace
}  // namespace dealstream::crm::hollihop
