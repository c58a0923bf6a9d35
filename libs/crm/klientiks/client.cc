#include "libs/crm/klientiks/client.h"

#include <utility>

#include <fmt/format.h>

#include "libs/crm/api/answer.h"
#include "libs/crm/klientiks/visit.h"
#include "libs/crm/klientiks/wire.h"

namespace dealstream::crm::klientiks {
namespace {

// First of the waits that public clients keep (2, 4, 8, 16 s); the limiter spreads what follows.
// That they send Retry-After was seen nowhere.
constexpr auto kPause = absl::Seconds(2);

// What its owner is to look after.
std::string_view HintOf(int status) {
  switch (status) {
    case 401:
      return ": check account_id, user_id and access_token";
    case 402:
      return ": the tariff has no API, PRO+ or APIdd is needed";
    case 403:
      return ": check access_token, and that the tariff (PRO+ or APIdd) has the API";
    default:
      return "";
  }
}

bool IsRefused(const Status& status) {
  return absl::IsUnauthenticated(status) ||
         (absl::IsPermissionDenied(status) && ReasonOf(status) != "host_not_allowed");
}

// Whether an answer to the second form of a call tells more than the refusal of the first.
bool SaysMore(const Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return true;
    default:
      return false;
  }
}

}  // namespace

Status StatusOfAnswer(std::string_view operation, const http::Response& response) {
  const BodyKind body = KindOf(WithoutPhpNotices(response.body));
  std::string message = AnswerText(operation, response.status, body);
  if (body != BodyKind::kHtml && response.status == 404) {
    // A visit that isn't comes as "No data". To take this for a deletion would be worse than to
    // ask again.
    return WithReason(absl::UnavailableError(message), "unexpected_not_found");
  }
  if (body != BodyKind::kHtml || response.status == 401) {
    message += HintOf(response.status);
  }
  return StatusOfHttp(message, response.status, body, RetryAfterOf(response.headers, kPause));
}

Result<std::string> Client::GetOnce(std::string_view operation,
                                    std::string path,
                                    const Query& query) {
  Session::Call call;
  call.operation = operation;
  call.path = std::move(path);
  call.query = query;
  call.headers = {{"Accept", "application/json"}};
  call.timeout = absl::Seconds(20);
  DEALSTREAM_ASSIGN_OR_RETURN(http::Response response, session_.Send(call));
  const Status status = StatusOfAnswer(operation, response);
  const std::string_view json = WithoutPhpNotices(response.body);
  // Refusals may come with 200 or any 4xx.
  if ((status.ok() || ReasonOf(status) == "refused") && DeniesAccess(json)) {
    return StatusOfError(operation, kAccessDenied);
  }
  DEALSTREAM_RETURN_IF_ERROR(status);
  if (json.size() == response.body.size()) {
    return std::move(response.body);
  }
  return std::string(json);
}

// The host puts the account, the user and the token in for the names in braces.
Result<std::string> Client::Get(std::string_view operation,
                                std::string_view action,
                                std::string_view rest,
                                Query query) {
  const std::string account = fmt::format("/{}/a/{{account_id}}/u/{{user_id}}", action);
  const std::string with_token = fmt::format("{}/t/{{access_token}}{}", account, rest);
  if (token_place_ == v1::TOKEN_PLACE_PATH) {
    return GetOnce(operation, with_token, query);
  }
  auto answer = GetOnce(operation, fmt::format("{}{}", account, rest), query);
  if (!IsRefused(answer.status())) {
    return answer;
  }
  // Older installations look for the token in the path only. Source: README.md#transport, inferred.
  auto second = GetOnce(operation, with_token, query);
  return SaysMore(second.status()) ? std::move(second) : std::move(answer);
}

Result<std::string> Client::GetAppointment(std::string_view id) {
  return Get("get_appointment", "getAppointment", fmt::format("/id/{}", id));
}

Result<std::string> Client::GetClient(std::string_view id) {
  return Get("get_client", "list", fmt::format("/m/Clients/id/{}", id));
}

Result<std::string> Client::ListUsers(int64_t offset) {
  return Get("list_users",
             "list",
             "/m/Users/",
             {{"offset", fmt::format("{}", offset)}, {"limit", fmt::format("{}", kPageSize)}});
}

Result<std::string> Client::ListDay(absl::CivilDay day, int64_t offset) {
  return Get("list_day",
             "list",
             "/m/Appointments/",
             {{"date", FormatDay(day)},
              {"offset", fmt::format("{}", offset)},
              {"limit", fmt::format("{}", kPageSize)}});
}

Result<std::string> Client::ListChanged(int64_t since_unix_seconds) {
  return Get("list_changed",
             "roistatExportAcl",
             "/ik/orders/rvwk/status,statuses/",
             {{"date", fmt::format("{}", since_unix_seconds)}});
}

}  // namespace dealstream::crm::klientiks
