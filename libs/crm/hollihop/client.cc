#include "libs/crm/hollihop/client.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/api/answer.h"
#include "libs/crm/api/json.h"
#include "libs/crm/hollihop/text.h"

namespace dealstream::crm::hollihop {
namespace {

// How long to rest when the limit is exceeded: its window has 30 s, and an account that goes on
// calling may be blocked. Source: README.md#limits.
constexpr auto kPause = absl::Seconds(8);

// Of the limit's text. Source: README.md#limits, three public clients.
constexpr std::string_view kLimitText = "limit is exceeded";
// Texts of refusals of the key are not published: words that they would hardly do without. Source:
// README.md#errors, inferred.
constexpr auto kKeyTexts = std::to_array<std::string_view>({"authkey",
                                                            "api key",
                                                            "apikey",
                                                            "access denied",
                                                            "access is denied",
                                                            "forbidden",
                                                            "unauthorized",
                                                            "доступ запрещ",
                                                            "нет доступа",
                                                            "неверный ключ",
                                                            "ключ api"});

// `Error` of a refusal; empty when there is none to be found.
std::string ErrorText(std::string_view body) {
  std::string text;
  if (KindOf(body) != BodyKind::kJson) {
    return text;
  }
  json::Document document;
  Status status = document.Read("error", body, [&text](json::Node root) {
    return root.Object([&text](std::string_view key, json::Node value) -> Status {
      const bool is_error = key == "Error" || key == "error";
      return is_error ? value.StringTo([&text](std::string_view found) { text = found; })
                      : absl::OkStatus();
    });
  });
  // A refusal that can't be read is still a refusal.
  return status.ok() ? text : std::string();
}

Status WrongAddress(std::string_view message) {
  return WithReason(absl::FailedPreconditionError(ToAbsl(message)), "wrong_address");
}

// A good answer that is a page for people, or one that leads elsewhere. A guard against attacks
// refuses (403), and a server in trouble says so (5xx).
bool IsAnotherSite(const http::Response& response) {
  const bool is_redirect = response.status >= 300 && response.status < 400;
  return is_redirect || (IsGood(response.status) && KindOf(response.body) == BodyKind::kHtml);
}

}  // namespace

Status StatusOfError(std::string_view operation, int http_status, std::string_view text) {
  const std::string folded = Folded(text);
  const auto says = [&folded](std::string_view words) {
    return folded.find(words) != std::string::npos;
  };
  const std::string got = fmt::format("{}: got status {} with an Error", operation, http_status);
  if (says(kLimitText)) {
    return TooFast(got + " of the limit of requests, want data", kPause);
  }
  if (std::any_of(kKeyTexts.begin(), kKeyTexts.end(), says)) {
    return absl::PermissionDeniedError(got + " that refuses the key, want data");
  }
  return WithReason(
      absl::InvalidArgumentError(fmt::format("{} of {} bytes, want data", got, folded.size())),
      "refused");
}

Status StatusOfAnswer(std::string_view operation, const http::Response& response) {
  const BodyKind body = KindOf(response.body);
  const std::string message = AnswerText(operation, response.status, body);
  if (!IsGood(response.status)) {
    // The limit's text counts, whatever status comes with it.
    const std::string text = ErrorText(response.body);
    const Status error = StatusOfError(operation, response.status, text);
    if (absl::IsResourceExhausted(error)) {
      return error;
    }
  }
  if (response.status == 404) {
    // There is no such school, or it is parked (which comes as HTML), or the path is wrong: its
    // owner must act. No lead is missing: those that aren't there are left out of a list.
    return WrongAddress(message);
  }
  return StatusOfHttp(message, response.status, body, RetryAfterOf(response.headers, kPause));
}

Result<std::string> Client::Get(std::string_view operation,
                                std::string path,
                                std::vector<std::pair<std::string, std::string>> query,
                                bool begins_pass) {
  Session::Call call;
  call.operation = operation;
  call.path = std::move(path);
  call.query = std::move(query);
  call.headers = {{"Accept", "application/json"}, {"Accept-Encoding", "gzip"}};
  call.timeout = absl::Seconds(30);
  DEALSTREAM_ASSIGN_OR_RETURN(http::Response response, session_.Send(call));
  Status status = StatusOfAnswer(operation, response);
  if (begins_pass && IsAnotherSite(response)) {
    status = WrongAddress(ToStd(status.message()));
  }
  DEALSTREAM_RETURN_IF_ERROR(status);
  return std::move(response.body);
}

Result<std::string> Client::GetLead(std::string_view id) {
  return Get("get_lead", "/GetLeads", {{"id", std::string(id)}});
}

Result<std::string> Client::GetLeadStatuses() {
  return Get("get_lead_statuses", "/GetLeadStatuses", {});
}

Result<std::string> Client::ListLeads(const Range& range) {
  std::vector<std::pair<std::string, std::string>> query;
  if (!range.updated_from.empty()) {
    query.emplace_back("lastUpdatedFrom", range.updated_from);
  }
  query.emplace_back("skip", fmt::format("{}", range.skip));
  query.emplace_back("take", fmt::format("{}", range.take));
  return Get("list_leads", "/GetLeads", std::move(query), /*begins_pass=*/range.skip == 0);
}

}  // namespace dealstream::crm::hollihop
