#include "libs/crm/api/answer.h"

#include "gtest/gtest.h"

#include "libs/base/strings.h"

namespace dealstream::crm {
namespace {

using Code = absl::StatusCode;

Status Of(int status, BodyKind body) { return StatusOfHttp("op", status, body, absl::Seconds(7)); }

absl::Duration Pause(const char* retry_after) {
  return RetryAfterOf({{"retry-after", retry_after}}, absl::Seconds(7));
}

TEST(AnswerTest, KindIsThatOfTheFirstByte) {
  EXPECT_EQ(KindOf(" \n{"), BodyKind::kJson);
  EXPECT_EQ(KindOf("[]"), BodyKind::kJson);
  EXPECT_EQ(KindOf("\r\n<html>"), BodyKind::kHtml);
  EXPECT_EQ(KindOf(" \t"), BodyKind::kEmpty);
  EXPECT_EQ(KindOf("gateway"), BodyKind::kOther);
}

TEST(AnswerTest, TextSaysWhatCameAndWhatWasWanted) {
  EXPECT_EQ(AnswerText("get_x", 500, BodyKind::kJson), "get_x: got status 500, want 200 with JSON");
  EXPECT_EQ(AnswerText("get_x", 404, BodyKind::kHtml),
            "get_x: got status 404 with HTML, want 200 with JSON");
  EXPECT_EQ(AnswerText("get_x", 200, BodyKind::kEmpty),
            "get_x: got status 200 with no body, want 200 with JSON");
}

TEST(AnswerTest, GoodAnswersHaveJson) {
  EXPECT_TRUE(Of(200, BodyKind::kJson).ok());
  EXPECT_TRUE(Of(299, BodyKind::kJson).ok());
  EXPECT_EQ(Of(200, BodyKind::kHtml).code(), Code::kUnavailable);
  EXPECT_EQ(ReasonOf(Of(200, BodyKind::kHtml)), "html_answer");
  EXPECT_EQ(Of(204, BodyKind::kEmpty).code(), Code::kUnavailable);
  EXPECT_EQ(ReasonOf(Of(204, BodyKind::kEmpty)), "no_json_answer");
}

TEST(AnswerTest, RefusalsMeanWhatHttpSays) {
  for (const BodyKind body : {BodyKind::kJson, BodyKind::kEmpty, BodyKind::kOther}) {
    EXPECT_EQ(Of(302, body).code(), Code::kUnavailable);
    EXPECT_EQ(Of(401, body).code(), Code::kUnauthenticated);
    EXPECT_EQ(Of(402, body).code(), Code::kPermissionDenied);
    EXPECT_EQ(Of(403, body).code(), Code::kPermissionDenied);
    EXPECT_EQ(Of(408, body).code(), Code::kUnavailable);
    EXPECT_EQ(Of(422, body).code(), Code::kInvalidArgument);
    EXPECT_EQ(ReasonOf(Of(422, body)), "refused");
    EXPECT_EQ(Of(429, body).code(), Code::kResourceExhausted);
    EXPECT_EQ(Of(503, body).code(), Code::kUnavailable);
  }
  EXPECT_EQ(ToStd(Of(503, BodyKind::kJson).message()), "op");
}

TEST(AnswerTest, PagesForPeopleAreNoRefusal) {
  EXPECT_EQ(Of(401, BodyKind::kHtml).code(), Code::kUnauthenticated);
  EXPECT_EQ(Of(429, BodyKind::kHtml).code(), Code::kResourceExhausted);
  for (const int status : {302, 400, 403, 404, 503}) {
    EXPECT_EQ(Of(status, BodyKind::kHtml).code(), Code::kUnavailable) << status;
    EXPECT_EQ(ReasonOf(Of(status, BodyKind::kHtml)), "html_answer") << status;
  }
}

TEST(AnswerTest, TooFastSaysWhenToComeBack) {
  EXPECT_EQ(ReasonOf(Of(429, BodyKind::kJson)), "rate_limited");
  EXPECT_EQ(RetryAfter(Of(429, BodyKind::kJson)), absl::Seconds(7));
  EXPECT_EQ(Pause("12"), absl::Seconds(12));
  for (const char* text : {"", "0", "-3", "soon", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT"}) {
    EXPECT_EQ(Pause(text), absl::Seconds(7)) << text;
  }
  EXPECT_EQ(RetryAfterOf({}, absl::Seconds(7)), absl::Seconds(7));
  EXPECT_EQ(Pause("86400"), kLongestPause);
  EXPECT_EQ(Pause("99999999999999999999"), kLongestPause);
}

}  // namespace
}  // namespace dealstream::crm
