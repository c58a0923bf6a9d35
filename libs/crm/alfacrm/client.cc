#include "libs/crm/alfacrm/client.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "libs/crm/api/answer.h"

namespace dealstream::crm::alfacrm {
namespace {

// For a refusal that doesn't say when to come back. Source: README.md#limits, seen.
constexpr auto kPause = absl::Seconds(1);

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
  const std::string message = AnswerText(operation, response.status, body);
  if (body != BodyKind::kHtml && response.status == 404) {
    // No such entity or action; an unknown id is an empty page. Source: README.md#errors.
    return WithReason(absl::FailedPreconditionError(message), "unknown_path");
  }
  if (body != BodyKind::kHtml && response.status == 405) {
    // We always post: our bug.
    return absl::InternalError(message);
  }
  return StatusOfHttp(message, response.status, body, RetryAfterOf(response.headers, kPause));
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
