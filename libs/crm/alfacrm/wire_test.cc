#include "libs/crm/alfacrm/wire.h"

#include <string>

#include "gtest/gtest.h"

namespace dealstream::crm::alfacrm {
namespace {

absl::TimeZone Zone(const char* name) {
  absl::TimeZone zone;
  EXPECT_TRUE(absl::LoadTimeZone(name, &zone));
  return zone;
}

// UTC; a date alone ends with a "d".
std::string Utc(std::string_view text, const char* zone = "Europe/Moscow") {
  const auto time = ParseWireTime(text, Zone(zone));
  if (!time.has_value()) {
    return "none";
  }
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time->time, absl::UTCTimeZone()) +
         (time->has_time ? "" : " d");
}

TEST(WireTimeTest, ReadsEveryFormThatWasSeen) {
  EXPECT_EQ(Utc("2025-09-29 18:05:44"), "2025-09-29T15:05:44Z");
  EXPECT_EQ(Utc("2025-09-29T18:05:44"), "2025-09-29T15:05:44Z");
  EXPECT_EQ(Utc("2025-09-29 18:05:44.123"), "2025-09-29T15:05:44Z");
  EXPECT_EQ(Utc("2025-09-29 18:05"), "2025-09-29T15:05:00Z");
  EXPECT_EQ(Utc("29.09.2025 18:05:44"), "2025-09-29T15:05:44Z");
  EXPECT_EQ(Utc("2025-09-29"), "2025-09-28T21:00:00Z d");
  EXPECT_EQ(Utc("29.09.2025"), "2025-09-28T21:00:00Z d");
  EXPECT_EQ(Utc(" 2025-09-29 "), "2025-09-28T21:00:00Z d");
  // An offset counts before the account's zone.
  EXPECT_EQ(Utc("2025-09-29 18:05:44Z"), "2025-09-29T18:05:44Z");
  EXPECT_EQ(Utc("2025-09-29T18:05:44+05:00"), "2025-09-29T13:05:44Z");
  EXPECT_EQ(Utc("2025-09-29T18:05:44.123+0500"), "2025-09-29T13:05:44Z");
  EXPECT_EQ(Utc("2025-09-29 18:05:44-03"), "2025-09-29T21:05:44Z");
}

TEST(WireTimeTest, IsTheAccountsWallTime) {
  EXPECT_EQ(Utc("2025-09-29 18:05:44", "Asia/Yerevan"), "2025-09-29T14:05:44Z");
  // Almaty went from UTC+6 to UTC+5 on 1 March 2024.
  EXPECT_EQ(Utc("2024-02-28 12:00:00", "Asia/Almaty"), "2024-02-28T06:00:00Z");
  EXPECT_EQ(Utc("2024-03-02 12:00:00", "Asia/Almaty"), "2024-03-02T07:00:00Z");
}

TEST(WireTimeTest, KnowsWhatIsNone) {
  for (const char* text : {"",
                           "0000-00-00",
                           "0000-00-00 00:00:00",
                           "2025-02-30",
                           "2025-13-01",
                           "2025-09-29 24:00:00",
                           "2025-09-29 18:60:00",
                           "2025-09-29 18:05:44+5",
                           "2025-09-29 18:05:44+99:00",
                           "2025-09-29 +03:00",
                           "2025-09-29Z",
                           "2025-09-29+03:00",
                           "2025-09-29 18:05:44.",
                           "2025-09-29 18",
                           "2025-09-29_18:05:44",
                           "20250929",
                           "завтра вечером",
                           "1759158344"}) {
    EXPECT_EQ(Utc(text), "none") << text;
  }
}

TEST(WireTimeTest, IsWrittenAsTheFiltersWantIt) {
  const absl::Time time = absl::FromUnixSeconds(1759158344);
  EXPECT_EQ(FormatDay(time, Zone("Europe/Moscow")), "29.09.2025");
  // The day of the account, not ours.
  EXPECT_EQ(FormatDay(absl::FromUnixSeconds(1759180000), Zone("Europe/Moscow")), "30.09.2025");
}

TEST(IdTest, IsAWholeNumber) {
  EXPECT_EQ(ParseId("0"), 0);
  EXPECT_EQ(ParseId("4101"), 4101);
  for (const char* text : {"", "-1", "+1", "01", "1.0", "1e3", " 1", "x", "1234567890123456789"}) {
    EXPECT_EQ(ParseId(text), std::nullopt) << text;
  }
}

TEST(ExternalIdTest, BearsItsKind) {
  EXPECT_EQ(LeadId(4101), "lead:4101");
  EXPECT_EQ(PayId(9001), "pay:9001");
  EXPECT_EQ(NumberOf(kLead, "lead:4101"), 4101);
  EXPECT_EQ(NumberOf(kPay, "pay:9001"), 9001);
  EXPECT_EQ(NumberOf(kPayer, "pay:9001"), 9001);
  for (const char* text :
       {"", "lead", "lead:", "lead:0", "lead:x", "pay:4101", "4101", "lead:4 "}) {
    EXPECT_EQ(NumberOf(kLead, text), std::nullopt) << text;
  }
}

std::string Amount(std::string_view text) {
  const auto amount = ParseAmount(text);
  if (!amount.ok()) {
    return "error";
  }
  return amount->has_value() ? (*amount)->ToText() : "none";
}

TEST(AmountTest, ReadsWhatPeopleAndProgramsWrite) {
  EXPECT_EQ(Amount("575.00"), "575");
  EXPECT_EQ(Amount("-125.50"), "-125.5");
  EXPECT_EQ(Amount("1 250,50"), "1250.5");
  EXPECT_EQ(Amount("1\u00a0250,50"), "1250.5");
  EXPECT_EQ(Amount("1e3"), "1000");
  EXPECT_EQ(Amount("10"), "10");
  EXPECT_EQ(Amount(""), "none");
  EXPECT_EQ(Amount(" "), "none");
  for (const char* text : {"x", "1,250.50", "1.2.3", "руб", "NaN", "1234567890123456789"}) {
    EXPECT_EQ(Amount(text), "error") << text;
  }
}

TEST(EscapeJsonTest, EscapesWhatEndsAString) {
  EXPECT_EQ(EscapeJson("a\"b\\c\nд"), "a\\\"b\\\\c\\u000aд");
}

}  // namespace
}  // namespace dealstream::crm::alfacrm
