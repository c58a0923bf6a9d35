#include "libs/crm/newcrm/client.h"

#include <utility>

#include <fmt/format.h>

#include "libs/crm/api/answer.h"
#include "libs/crm/newcrm/wire.h"

namespace dealstream::crm::newcrm {
namespace {

// Where a refusal doesn't say when to come back.
constexpr auto kPause = absl::Seconds(1);

// Ok for a good answer with a JSON body.
Status StatusOfAnswer(std::string_view operation, const http::Response& response) {
  const BodyKind body = KindOf(response.body);
  const std::string message = AnswerText(operation, response.status, body);
  if (body != BodyKind::kHtml && response.status == 404) {
    // Without their JSON it's something between us and them that doesn't know the path.
    return body == BodyKind::kJson
               ? absl::NotFoundError(message)
               : WithReason(absl::UnavailableError(message), "unexpected_not_found");
  }
  return StatusOfHttp(message, response.status, body, RetryAfterOf(response.headers, kPause));
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
