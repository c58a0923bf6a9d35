#include "libs/crm/api/answer.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include <fmt/format.h>

#include "libs/base/strings.h"

namespace dealstream::crm {

BodyKind KindOf(std::string_view body) {
  const size_t first = body.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) {
    return BodyKind::kEmpty;
  }
  switch (body[first]) {
    case '{':
    case '[':
      return BodyKind::kJson;
    case '<':
      return BodyKind::kHtml;
    default:
      return BodyKind::kOther;
  }
}

std::string AnswerText(std::string_view operation, int status, BodyKind body) {
  std::string_view found;
  switch (body) {
    case BodyKind::kJson:
      break;
    case BodyKind::kHtml:
      found = " with HTML";
      break;
    case BodyKind::kEmpty:
      found = " with no body";
      break;
    case BodyKind::kOther:
      found = " with a body that is no JSON";
      break;
  }
  return fmt::format("{}: got status {}{}, want 200 with JSON", operation, status, found);
}

Status StatusOfHttp(std::string_view message, int status, BodyKind body, absl::Duration pause) {
  const absl::string_view text = ToAbsl(message);
  if (IsGood(status) && body == BodyKind::kJson) {
    return absl::OkStatus();
  }
  if (status == 401) {
    return absl::UnauthenticatedError(text);
  }
  if (status == 429) {
    return TooFast(message, pause);
  }
  if (body == BodyKind::kHtml) {
    return WithReason(absl::UnavailableError(text), "html_answer");
  }
  if (IsGood(status)) {
    return WithReason(absl::UnavailableError(text), "no_json_answer");
  }
  if (status == 402 || status == 403) {
    return absl::PermissionDeniedError(text);
  }
  if (status >= 400 && status < 500 && status != 408) {
    return WithReason(absl::InvalidArgumentError(text), "refused");
  }
  return absl::UnavailableError(text);
}

Status TooFast(std::string_view message, absl::Duration pause) {
  return WithRetryAfter(WithReason(absl::ResourceExhaustedError(ToAbsl(message)), "rate_limited"),
                        pause);
}

absl::Duration RetryAfterOf(const http::Headers& headers, absl::Duration otherwise) {
  const std::string_view text = http::FindHeader(headers, "retry-after");
  int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error == std::errc::result_out_of_range) {
    return kLongestPause;
  }
  if (error != std::errc() || end != text.data() + text.size() || seconds <= 0) {
    return otherwise;
  }
  return std::min(absl::Seconds(seconds), kLongestPause);
}

}  // namespace dealstream::crm
