#include "libs/crm/megaplan/wire.h"

#include <string>

#include "gtest/gtest.h"

namespace dealstream::crm::megaplan {
namespace {

std::string Utc(std::string_view text) {
  absl::Time time;
  return ParseDateTime(text, time)
             ? absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", time, absl::UTCTimeZone())
             : "no time";
}

TEST(ParseDateTimeTest, ReadsAnyOffset) {
  EXPECT_EQ(Utc("2025-10-03T06:03:56+00:00"), "2025-10-03T06:03:56Z");
  EXPECT_EQ(Utc("2025-10-03T06:03:56+03:00"), "2025-10-03T03:03:56Z");
  EXPECT_EQ(Utc("2025-10-03T06:03:56-09:30"), "2025-10-03T15:33:56Z");
  EXPECT_EQ(Utc("2025-10-03T06:03:56Z"), "2025-10-03T06:03:56Z");
  EXPECT_EQ(Utc("2025-10-03T06:03:56.25Z"), "2025-10-03T06:03:56.25Z");
  EXPECT_EQ(Utc("0001-01-01T00:00:00Z"), "1-01-01T00:00:00Z");
}

TEST(ParseDateTimeTest, RefusesWhatIsNoTime) {
  for (const char* text : {"",
                           "2025-10-03",
                           "2025-10-03T06:03:56",
                           "2025-10-03 06:03:56",
                           "2025-02-30T06:03:56Z",
                           "2025-13-03T06:03:56Z",
                           " 2025-10-03T06:03:56Z",
                           "2025-10-03T06:03:56Z ",
                           "infinite-future",
                           "292277026596-01-01T00:00:00Z",
                           "10000-01-01T00:00:00Z",
                           "0000-12-31T00:00:00Z",
                           "now"}) {
    EXPECT_EQ(Utc(text), "no time") << text;
  }
}

TEST(IsIdTest, DigitsOnly) {
  EXPECT_TRUE(IsId("10420"));
  EXPECT_TRUE(IsId("18446744073709551615"));
  for (const char* text : {"", "-1", "1.5", "1e3", "10 420", "1/2", "184467440737095516150"}) {
    EXPECT_FALSE(IsId(text)) << text;
  }
}

TEST(PlainTextTest, TagsAndEntitiesGo) {
  EXPECT_EQ(PlainText("plain"), "plain");
  EXPECT_EQ(PlainText("  plain \n"), "plain");
  EXPECT_EQ(PlainText("<p>a</p><p>b<br>c<br/>d</p>"), "a\nb\nc\nd");
  EXPECT_EQ(PlainText("<ul><li>a</li><li>b</li></ul>"), "a\nb");
  EXPECT_EQ(PlainText("<b>a</b><i class=\"x\">b</i><!-- c -->d"), "abd");
  EXPECT_EQ(PlainText("&lt;b&gt; &amp; &laquo;x&raquo;&nbsp;&quot;y&quot;"), "<b> & «x» \"y\"");
  EXPECT_EQ(PlainText("&#1071;&#x44f;&#8470;&#128640;"), "Яя№\U0001F680");
}

TEST(PlainTextTest, WhatIsNoMarkupStays) {
  for (const char* text : {"a < b",
                           "a <3 b",
                           "a <b",
                           "R&D",
                           "&;",
                           "&unknown;",
                           "&#;",
                           "&#x;",
                           "&#xd800;",
                           "&#1114112;",
                           "&#0;",
                           "&#99999999999;"}) {
    EXPECT_EQ(PlainText(text), text);
  }
}

// A custom field is as large as who fills it wants. Were each "<" looked at to the end of the text,
// this would take hours.
TEST(PlainTextTest, IsLinear) {
  std::string open;
  for (int i = 0; i < 8'000'000; ++i) {
    open += "<a";
  }
  EXPECT_EQ(PlainText(open), open);
  EXPECT_EQ(PlainText("<b>x</b>" + open), "x" + open);
  EXPECT_EQ(PlainText(open + ">x"), "x");
}

}  // namespace
}  // namespace dealstream::crm::megaplan
