#include "libs/crm/api/place.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "libs/base/strings.h"

namespace dealstream::crm {
namespace {

TEST(PlaceTest, CursorsAreInstants) {
  const absl::Time time = absl::FromUnixMillis(1'772'000'000'250);
  EXPECT_EQ(CursorOf(time), "2026-02-25T06:13:20.250Z");
  EXPECT_EQ(ParseCursor(CursorOf(time)).value(), time);
  EXPECT_EQ(ParseCursor("2026-02-25T09:13:20.25+03:00").value(), time);
  for (const char* text : {"", "yesterday", "2026-02-25", "2026-02-30T00:00:00Z"}) {
    EXPECT_EQ(ParseCursor(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_EQ(ToStd(ParseCursor("soon").status().message()),
            "cursor: got \"soon\", want an RFC 3339 time");
}

TEST(PlaceTest, BadPageTokensAreShown) {
  EXPECT_EQ(ToStd(BadPageToken("x").message()),
            "page token: got \"x\", want one that an earlier page gave");
}

}  // namespace
}  // namespace dealstream::crm
