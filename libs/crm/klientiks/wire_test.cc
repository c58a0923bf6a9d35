#include "libs/crm/klientiks/wire.h"

#include <set>
#include <string>

#include "gtest/gtest.h"

namespace dealstream::crm::klientiks {
namespace {

absl::TimeZone Zone(const char* name) {
  absl::TimeZone zone;
  EXPECT_TRUE(absl::LoadTimeZone(name, &zone));
  return zone;
}

std::string Utc(std::string_view text, const char* zone = "Europe/Moscow") {
  absl::Time time;
  return ParseTime(text, Zone(zone), time)
             ? absl::FormatTime("%Y-%m-%dT%H:%M:%E*S", time, absl::UTCTimeZone())
             : "no time";
}

TEST(WireTest, TimesAreOfTheZone) {
  EXPECT_EQ(Utc("2025-09-01 20:27:51.644588"), "2025-09-01T17:27:51.644588");
  EXPECT_EQ(Utc("2025-09-01 20:27:51"), "2025-09-01T17:27:51");
  // Moscow was four hours ahead then.
  EXPECT_EQ(Utc("2012-09-01 20:27:51"), "2012-09-01T16:27:51");
  EXPECT_EQ(Utc("2025-09-01 20:27:51.5", "Asia/Vladivostok"), "2025-09-01T10:27:51.5");
  // Skipped in Berlin: the moment of the change.
  EXPECT_EQ(Utc("2026-03-29 02:30:00", "Europe/Berlin"), "2026-03-29T01:00:00");
}

TEST(WireTest, OtherTextsAreNoTimes) {
  for (const char* text : {"",
                           "2025-09-01",
                           "2025-09-01T20:27:51",
                           "2025-02-30 00:00:00",
                           "2025-09-01 24:00:00",
                           "2025-09-01 20:27:51.",
                           "2025-09-01 20:27:51.1234567890",
                           "2025-09-01 20:27:51+03:00",
                           "0000-00-00 00:00:00",
                           "01.09.2025 20:27:51"}) {
    EXPECT_EQ(Utc(text), "no time") << text;
  }
  EXPECT_TRUE(IsNoTime(""));
  EXPECT_TRUE(IsNoTime("0000-00-00 00:00:00"));
  EXPECT_FALSE(IsNoTime("2025-09-01 00:00:00"));
}

TEST(WireTest, DaysAreWrittenAndRead) {
  absl::CivilDay day;
  ASSERT_TRUE(ParseDay("2025-09-05", day));
  EXPECT_EQ(FormatDay(day), "2025-09-05");
  EXPECT_EQ(FormatDay(day + 30), "2025-10-05");
  for (const char* text :
       {"", "2025-9-5", "2025-02-29", "0000-01-01", "2025/09/05", "2025-00-05"}) {
    EXPECT_FALSE(ParseDay(text, day)) << text;
  }
}

std::string Money(std::string_view text) {
  domain::Decimal money;
  return ParseMoney(text, money) ? money.ToText() : "no number";
}

TEST(WireTest, MoneyHasPointOrCommaAndSpaces) {
  EXPECT_EQ(Money("2500"), "2500");
  EXPECT_EQ(Money(" 990.50 "), "990.5");
  EXPECT_EQ(Money("990,50"), "990.5");
  EXPECT_EQ(Money("12\u00a0345 678,90"), "12345678.9");
  EXPECT_EQ(Money("12\u202f345"), "12345");
  EXPECT_EQ(Money("-15"), "-15");
  for (const char* text : {"", " ", "2500 руб.", "1,2,3", "abc", "\u00a0"}) {
    EXPECT_EQ(Money(text), "no number") << text;
  }
  EXPECT_EQ(Money(std::string(65, '1')), "no number");
}

TEST(WireTest, HundredthsAreRoundedHalfToEven) {
  const auto rounded = [](std::string_view text) {
    return RoundToHundredths(*domain::Decimal::Parse(text)).ToText();
  };
  EXPECT_EQ(rounded("5.025"), "5.02");
  EXPECT_EQ(rounded("5.035"), "5.04");
  EXPECT_EQ(rounded("5.0250001"), "5.03");
  EXPECT_EQ(rounded("-5.035"), "-5.04");
  EXPECT_EQ(rounded("1800"), "1800");
}

TEST(WireTest, IdsAreNumbers) {
  EXPECT_TRUE(IsId("5833264"));
  EXPECT_TRUE(IsId("999999999999999999"));
  for (const char* text : {"", "0", "01", "1a", "-1", "1.0", "9999999999999999999"}) {
    EXPECT_FALSE(IsId(text)) << text;
  }
}

TEST(WireTest, SpacesOfAllKindsAreTrimmed) {
  EXPECT_EQ(Trim(" \t\u00a0x y\u202f\r\n"), "x y");
  EXPECT_EQ(Trim("\u00a0 \u00a0"), "");
}

// K2: eight statuses; what each means.
TEST(WireTest, StatusesHaveAKind) {
  EXPECT_EQ(FindStatus("finished")->kind, deal::v1::STAGE_KIND_WON);
  for (const char* lost : {"cancelled", "cancelled_by_sms", "missed"}) {
    EXPECT_EQ(FindStatus(lost)->kind, deal::v1::STAGE_KIND_LOST) << lost;
  }
  for (const char* open : {"scheduled", "sms_confirmation_sent", "confirmed", "in_progress"}) {
    EXPECT_EQ(FindStatus(open)->kind, deal::v1::STAGE_KIND_OPEN) << open;
  }
  EXPECT_EQ(FindStatus("done"), nullptr);
}

TEST(WireTest, PhpNoticesAreLeftOut) {
  EXPECT_EQ(WithoutPhpNotices("<br />\n<b>Notice</b>: {x} in y<br />\n{\"items\":1}"),
            "{\"items\":1}");
  EXPECT_EQ(WithoutPhpNotices("\nWarning: x\n\nNotice: y\n{\"items\":1}"), "{\"items\":1}");
  // What is no notice stays as it is.
  for (const char* text :
       {"", "{\"a\":1}", " {\"a\":1}", "<html>{\"a\":1}", "Notice: nothing follows", "<br />"}) {
    EXPECT_EQ(WithoutPhpNotices(text), text);
  }
}

}  // namespace
}  // namespace dealstream::crm::klientiks
