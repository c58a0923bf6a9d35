#include "libs/crm/alfacrm/client.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/numbers.h"
#include <fmt/format.h>

#include "libs/base/strings.h"

namespace dealstream::crm::alfacrm {
namespace {

// For a refusal that doesn't say when to come back. Source: README.md#limits, seen.
constexpr auto kDefaultPause = absl::Seconds(1);
// No refusal is longer; a larger number is a mistake of theirs or of something between us.
constexpr auto kLongestPause = absl::Minutes(10);

enum class BodyKind { kJson, kHtml, kEmpty, kOther };

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

std::string_view NameOf(BodyKind kind) {
  switch (kind) {
    case BodyKind::kJson:
      return "JSON";
    case BodyKind::kHtml:
      return "HTML";
    case BodyKind::kEmpty:
      return "no body";
    case BodyKind::kOther:
      return "a body that is no JSON";
  }
  return "a body";
}

absl::Duration PauseOf(const http::Response& response) {
  int64_t seconds = 0;
  const std::string_view header = http::FindHeader(response.headers, "retry-after");
  if (!absl::SimpleAtoi(ToAbsl(header), &seconds) || seconds <= 0) {
    return kDefaultPause;
  }
  return std::min(absl::Seconds(seconds), kLongestPause);
}

// Texts of the CRM are not repeated: they may quote what was sent.
Status Refusal(const std::string& message, const http::Response& response, BodyKind body) {
  // A page for people is not the API's word: a proxy or a guard against attacks wrote it.
  if (body == BodyKind::kHtml && response.status != 401 && response.status != 429) {
    return WithReason(absl::UnavailableError(message), "html_answer");
  }
  switch (response.status) {
    case 401:
      return absl::UnauthenticatedError(message);
    case 403:
      return absl::PermissionDeniedError(message);
    case 404:
      // No such entity or action; an unknown id is an empty page. Source: README.md#errors.
      return WithReason(absl::FailedPreconditionError(message), "unknown_path");
    case 405:
      // We always post: our bug.
      return absl::InternalError(message);
    case 408:
      return absl::UnavailableError(message);
    case 429:
      return WithRetryAfter(WithReason(absl::ResourceExhaustedError(message), "rate_limited"),
                            PauseOf(response));
    default:
      break;
  }
  if (response.status >= 400 && response.status < 500) {
    return WithReason(absl::InvalidArgumentError(message), "refused");
  }
  return absl::UnavailableError(message);
}

// Of a closed set, for metrics.
std::string_view OperationOf(std::string_view entity) {
  static constexpr auto kOperations = std::to_array<std::pair<std::string_view, std::string_view>>({
      {"customer", "customer_index"},
      {"pay", "pay_index"},
      {"log", "log_index"},
      {"branch", "branch_index"},
  });
  const auto* found = std::find_if(kOperations.begin(),
                                   kOperations.end(),
                                   [entity](const auto& one) { return one.first == entity; });
  return found == kOperations.end() ? "directory_index" : found->second;
}

}  // namespace

Status StatusOfAnswer(std::string_view operation, const http::Response& response) {
  const BodyKind body = KindOf(response.body);
  const bool good = response.status >= 200 && response.status < 300;
  std::string message = fmt::format("{}: got status {}", operation, response.status);
  if (body != BodyKind::kJson) {
    message += fmt::format(" with {}", NameOf(body));
  }
  message += ", want 200 with JSON";
  if (!good) {
    return Refusal(message, response, body);
  }
  if (body == BodyKind::kHtml) {
    return WithReason(absl::UnavailableError(message), "html_answer");
  }
  if (body != BodyKind::kJson) {
    return WithReason(absl::UnavailableError(message), "no_json_answer");
  }
  return absl::OkStatus();
}

Result<std::string> Client::Index(std::string_view entity,
                                  int64_t branch,
                                  std::string_view filter) {
  Session::Call call;
  call.operation = OperationOf(entity);
  // Reads, too. Source: README.md#transport, official.
  call.method = "POST";
  call.path = fmt::format("/v2api/{}/{}/index", branch, entity);
  call.headers = {{"Content-Type", "application/json"}, {"Accept", "application/json"}};
  call.body = fmt::format("{{{}}}", filter);
  call.timeout = absl::Seconds(20);
  DEALSTREAM_ASSIGN_OR_RETURN(http::Response response, session_.Send(call));
  DEALSTREAM_RETURN_IF_ERROR(StatusOfAnswer(call.operation, response));
  return std::move(response.body);
}

}  // namespace dealstream::crm::alfacrm
