#include "libs/crm/newcrm/client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/newcrm/wire.h"

namespace dealstream::crm::newcrm {
namespace {

// Where a refusal doesn't say when to come back.
constexpr auto kPause = absl::Seconds(1);
constexpr auto kLongestPause = absl::Minutes(10);

bool LooksLikeJson(std::string_view body) {
  const size_t first = body.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && (body[first] == '{' || body[first] == '[');
}

absl::Duration PauseOf(const http::Response& response) {
  int64_t seconds = 0;
  const bool said =
      absl::SimpleAtoi(ToAbsl(http::FindHeader(response.headers, "retry-after")), &seconds) &&
      seconds > 0;
  return said ? std::min(absl::Seconds(seconds), kLongestPause) : kPause;
}

// Ok for a good answer with a JSON body. The CRM's own words aren't quoted: they may quote us.
Status StatusOfAnswer(std::string_view operation, const http::Response& response) {
  const bool json = LooksLikeJson(response.body);
  const std::string message = fmt::format("{}: got status {}{}, want 200 with JSON",
                                          operation,
                                          response.status,
                                          json ? "" : " with a body that is no JSON");
  switch (response.status) {
    case 401:
      return absl::UnauthenticatedError(message);
    case 402:
    case 403:
      return absl::PermissionDeniedError(message);
    case 404:
      // Without their JSON it's something between us and them that doesn't know the path.
      return json ? absl::NotFoundError(message)
                  : WithReason(absl::UnavailableError(message), "unexpected_not_found");
    case 429:
      return WithRetryAfter(WithReason(absl::ResourceExhaustedError(message), "rate_limited"),
                            PauseOf(response));
    default:
      break;
  }
  if (response.status >= 400 && response.status < 500 && json) {
    return WithReason(absl::InvalidArgumentError(message), "refused");
  }
  const bool good = response.status >= 200 && response.status < 300 && json;
  return good ? absl::OkStatus() : absl::UnavailableError(message);
}

}  // namespace

Result<std::string> Client::Get(std::string_view operation,
                                std::string path,
                                std::vector<std::pair<std::string, std::string>> query) {
  Session::Call call;
  call.operation = operation;
  call.path = std::move(path);
  call.query = std::move(query);
  call.headers = {{"Accept", "application/json"}};
  DEALSTREAM_ASSIGN_OR_RETURN(http::Response response, session_.Send(call));
  DEALSTREAM_RETURN_IF_ERROR(StatusOfAnswer(operation, response));
  return std::move(response.body);
}

Result<std::string> Client::GetDeal(std::string_view id) {
  return Get("get_deal", fmt::format("/deals/{}", id), {});
}

Result<std::string> Client::ListDeals(absl::Time since, std::string_view after, absl::Time until) {
  std::vector<std::pair<std::string, std::string>> query = {
      {"since", WireTime(since)}, {"limit", fmt::format("{}", kPageSize)}};
  if (!after.empty()) {
    query.emplace_back("after", after);
  }
  if (until != absl::InfiniteFuture()) {
    query.emplace_back("until", WireTime(until));
  }
  return Get("list_deals", "/deals", std::move(query));
}

}  // namespace dealstream::crm::newcrm
