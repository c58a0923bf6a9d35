#include "libs/base/status.h"

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include <fmt/format.h>

#include "libs/base/strings.h"

namespace dealstream {
namespace {

constexpr absl::string_view kReasonUrl = "dealstream/reason";
constexpr absl::string_view kRetryAfterUrl = "dealstream/retry-after-ms";

}  // namespace

Disposition DispositionOf(const Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
    case absl::StatusCode::kAlreadyExists:
      return Disposition::kDone;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAborted:
      return Disposition::kRetry;
    case absl::StatusCode::kResourceExhausted:
      return Disposition::kSlowDown;
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kFailedPrecondition:
      return Disposition::kPark;
    case absl::StatusCode::kNotFound:
      return Disposition::kGone;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnimplemented:
      return Disposition::kDeadLetter;
    case absl::StatusCode::kCancelled:
      return Disposition::kStop;
    default:
      return Disposition::kBug;
  }
}

std::string ReasonOf(const Status& status) {
  if (auto reason = status.GetPayload(kReasonUrl)) {
    return std::string(*reason);
  }
  return absl::AsciiStrToLower(absl::StatusCodeToString(status.code()));
}

Status WithReason(Status status, std::string_view reason) {
  status.SetPayload(kReasonUrl, absl::Cord(ToAbsl(reason)));
  return status;
}

std::optional<absl::Duration> RetryAfter(const Status& status) {
  auto payload = status.GetPayload(kRetryAfterUrl);
  int64_t milliseconds = 0;
  if (!payload || !absl::SimpleAtoi(std::string(*payload), &milliseconds)) {
    return std::nullopt;
  }
  return absl::Milliseconds(milliseconds);
}

Status WithRetryAfter(Status status, absl::Duration delay) {
  status.SetPayload(kRetryAfterUrl, absl::Cord(absl::StrCat(absl::ToInt64Milliseconds(delay))));
  return status;
}

Status Annotate(const Status& status, std::string_view where) {
  if (status.ok()) {
    return status;
  }
  Status annotated(status.code(), fmt::format("{}: {}", where, ToStd(status.message())));
  status.ForEachPayload([&annotated](absl::string_view url, const absl::Cord& value) {
    annotated.SetPayload(url, value);
  });
  return annotated;
}

}  // namespace dealstream
