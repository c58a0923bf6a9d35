#include "libs/crm/moysklad/wire.h"

#include <string>

#include "gtest/gtest.h"

namespace dealstream::crm::moysklad {
namespace {

std::string Utc(std::string_view moscow) {
  absl::Time time;
  if (!ParseMoscowTime(moscow, time)) {
    return "none";
  }
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", time, absl::UTCTimeZone());
}

TEST(IdOfHrefTest, TakesTheLastSegment) {
  EXPECT_EQ(IdOfHref("https://api.moysklad.ru/api/remap/1.2/entity/customerorder/abc"), "abc");
  EXPECT_EQ(IdOfHref("https://host/entity/customerorder/abc?expand=a/b#c/d"), "abc");
  EXPECT_EQ(IdOfHref("abc"), "abc");
  EXPECT_EQ(IdOfHref("https://host/entity/"), "");
  EXPECT_EQ(IdOfHref(""), "");
}

TEST(IsUuidTest, WantsItsForm) {
  EXPECT_TRUE(IsUuid("5b120ed1-1aa0-11f1-0a82-49e000849b3d"));
  EXPECT_TRUE(IsUuid("5B120ED1-1AA0-11F1-0A82-49E000849B3D"));
  EXPECT_FALSE(IsUuid("5b120ed1-1aa0-11f1-0a82-49e000849b3"));
  EXPECT_FALSE(IsUuid("5b120ed1-1aa0-11f1-0a82-49e000849b3g"));
  EXPECT_FALSE(IsUuid("5b120ed1x1aa0-11f1-0a82-49e000849b3d"));
  EXPECT_FALSE(IsUuid("../../security/token/../../../123456"));
}

TEST(MoscowTimeTest, ReadsWallTimeWithAndWithoutFractions) {
  EXPECT_EQ(Utc("2026-03-02 15:31:47.915"), "2026-03-02T12:31:47.915Z");
  EXPECT_EQ(Utc("2026-03-02 00:00:00"), "2026-03-01T21:00:00Z");
  EXPECT_EQ(Utc("2024-02-29 23:59:59.1"), "2024-02-29T20:59:59.1Z");
}

TEST(MoscowTimeTest, KnowsTheZonesHistory) {
  EXPECT_EQ(Utc("2013-07-01 12:00:00"), "2013-07-01T08:00:00Z");  // UTC+4 all year.
  EXPECT_EQ(Utc("2010-01-15 12:00:00"), "2010-01-15T09:00:00Z");  // Winter, UTC+3.
  EXPECT_EQ(Utc("2010-07-15 12:00:00"), "2010-07-15T08:00:00Z");  // Summer, UTC+4.
  EXPECT_EQ(Utc("2014-10-26 00:30:00"), "2014-10-25T20:30:00Z");
  EXPECT_EQ(Utc("2014-10-26 02:00:00"), "2014-10-25T23:00:00Z");
}

TEST(MoscowTimeTest, RefusesOtherForms) {
  for (const char* text : {"",
                           "2026-03-02",
                           "2026-03-02T15:31:47",
                           "2026-03-02 15:31",
                           "2026-02-30 00:00:00",
                           "2026-13-01 00:00:00",
                           "2026-01-01 24:00:00",
                           "2026-01-01 00:60:00",
                           "2026-01-01 00:00:60",
                           "2026-03-02 15:31:47.",
                           "2026-03-02 15:31:47.9x",
                           "2026-03-02 15:31:47.1234567890",
                           "2026-03-02 15:31:47Z",
                           "-026-03-02 15:31:47",
                           "2026-03-02 15:31:4/"}) {
    EXPECT_EQ(Utc(text), "none") << text;
  }
}

TEST(MoscowTimeTest, WritesWhatItReads) {
  for (const char* text :
       {"2026-03-02 15:31:47.915", "2013-07-01 12:00:00.000", "1970-01-01 03:00:00.000"}) {
    absl::Time time;
    ASSERT_TRUE(ParseMoscowTime(text, time));
    EXPECT_EQ(FormatMoscowTime(time), text);
  }
  EXPECT_EQ(FormatMoscowTime(absl::UnixEpoch()), "1970-01-01 03:00:00.000");
}

}  // namespace
}  // namespace dealstream::crm::moysklad
