#include "libs/base/status.h"

#include "gtest/gtest.h"

namespace dealstream {
namespace {

TEST(DispositionTest, EveryCodeHasOne) {
  const std::pair<absl::StatusCode, Disposition> expected[] = {
      {absl::StatusCode::kOk, Disposition::kDone},
      {absl::StatusCode::kCancelled, Disposition::kStop},
      {absl::StatusCode::kUnknown, Disposition::kBug},
      {absl::StatusCode::kInvalidArgument, Disposition::kDeadLetter},
      {absl::StatusCode::kDeadlineExceeded, Disposition::kRetry},
      {absl::StatusCode::kNotFound, Disposition::kGone},
      {absl::StatusCode::kAlreadyExists, Disposition::kDone},
      {absl::StatusCode::kPermissionDenied, Disposition::kPark},
      {absl::StatusCode::kResourceExhausted, Disposition::kSlowDown},
      {absl::StatusCode::kFailedPrecondition, Disposition::kPark},
      {absl::StatusCode::kAborted, Disposition::kRetry},
      {absl::StatusCode::kOutOfRange, Disposition::kDeadLetter},
      {absl::StatusCode::kUnimplemented, Disposition::kDeadLetter},
      {absl::StatusCode::kInternal, Disposition::kBug},
      {absl::StatusCode::kUnavailable, Disposition::kRetry},
      {absl::StatusCode::kDataLoss, Disposition::kDeadLetter},
      {absl::StatusCode::kUnauthenticated, Disposition::kPark},
  };
  for (const auto& [code, disposition] : expected) {
    EXPECT_EQ(DispositionOf(Status(code, "x")), disposition) << absl::StatusCodeToString(code);
  }
}

TEST(StatusTest, AnnotateKeepsReasonAndDelay) {
  const Status status =
      Annotate(WithRetryAfter(WithReason(absl::ResourceExhaustedError("slow down"), "rate_limited"),
                              absl::Milliseconds(1740)),
               "get order");
  EXPECT_EQ(status.message(), "get order: slow down");
  EXPECT_EQ(ReasonOf(status), "rate_limited");
  EXPECT_EQ(RetryAfter(status), absl::Milliseconds(1740));
}

TEST(StatusTest, ReasonFallsBackToTheCode) {
  EXPECT_EQ(ReasonOf(absl::InvalidArgumentError("x")), "invalid_argument");
  EXPECT_EQ(RetryAfter(absl::InvalidArgumentError("x")), std::nullopt);
}

}  // namespace
}  // namespace dealstream
