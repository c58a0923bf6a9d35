#include "libs/crm/megaplan/client.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "absl/strings/ascii.h"
#include <fmt/format.h>

#include "libs/crm/api/answer.h"
#include "libs/crm/api/json.h"
#include "libs/crm/megaplan/wire.h"

namespace dealstream::crm::megaplan {
namespace {

// What public clients wait when a refusal doesn't say how long. Source: README.md#limits, seen.
constexpr auto kPause = absl::Seconds(60);

// The API's own status, where there is one.
std::optional<int> MetaStatus(const Value& root) {
  const Value status = root["meta"]["status"];
  int code = 0;
  const std::string_view text = status.text();
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), code);
  if (status.kind() != Value::Kind::kNumber || error != std::errc() ||
      end != text.data() + text.size()) {
    return std::nullopt;
  }
  return code;
}

// The field that the first error is about, where it is a plain name: the one part of an error that
// quotes nothing of what was sent.
std::string FieldOfError(const Value& root) {
  const Value field = root["meta"]["errors"].First()["field"];
  const std::string_view text = field.text();
  const bool plain =
      field.kind() == Value::Kind::kString && text.size() <= 64 &&
      std::all_of(text.begin(), text.end(), [](char c) {
        return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.';
      });
  return plain && !text.empty() ? fmt::format(", field {}", text) : std::string();
}

// `root`: none where the answer is no JSON.
Status Refusal(int status, std::string message, const Value& root, const http::Headers& headers) {
  message += FieldOfError(root);
  if (status == 403) {
    return WithReason(absl::PermissionDeniedError(message), kObjectForbidden);
  }
  if (status == 404) {
    // Only the API's own words are a deletion: a gateway on the way knows no deals.
    return root["meta"].IsObject()
               ? absl::NotFoundError(message)
               : WithReason(absl::UnavailableError(message), "unexpected_not_found");
  }
  return StatusOfHttp(message, status, BodyKind::kJson, RetryAfterOf(headers, kPause));
}

// An answer that is no JSON may have been cut on its way: it is asked for again, whereas one of the
// wrong shape would come again as it is.
Status OfAnswer(const Status& status) {
  if (ReasonOf(status) != json::kMalformed) {
    return status;
  }
  return WithReason(absl::UnavailableError(status.message()), json::kMalformed);
}

}  // namespace

std::string_view PathOf(std::string_view content_type) {
  if (content_type == kEmployeeType) {
    return "/employee/";
  }
  if (content_type == kHumanType) {
    return "/contractorHuman/";
  }
  if (content_type == kCompanyType) {
    return "/contractorCompany/";
  }
  return content_type == kProgramType ? "/program/" : std::string_view();
}

Status StatusOfAnswer(std::string_view operation, const http::Response& response) {
  const BodyKind body = KindOf(response.body);
  std::string message = AnswerText(operation, response.status, body);
  if (IsGood(response.status) || body == BodyKind::kHtml) {
    return StatusOfHttp(message, response.status, body, RetryAfterOf(response.headers, kPause));
  }
  Answers answers;
  // A refusal that can't be read is still a refusal.
  const Result<Value> root =
      body == BodyKind::kJson ? answers.Add(operation, response.body) : Result<Value>(Value());
  return Refusal(
      response.status, std::move(message), root.ok() ? *root : Value(), response.headers);
}

Status StatusOfMeta(std::string_view operation, const Value& root, const http::Headers& headers) {
  const std::optional<int> status = MetaStatus(root);
  if (!status.has_value() || IsGood(*status)) {
    return absl::OkStatus();
  }
  return Refusal(
      *status,
      fmt::format("{}: got status 200 with meta.status {}, want 200", operation, *status),
      root,
      headers);
}

Result<Client::Answer> Client::Get(std::string_view operation,
                                   std::string_view part,
                                   std::string path,
                                   std::string query) {
  Session::Call call;
  call.operation = operation;
  call.path = std::move(path);
  if (!query.empty()) {
    // One JSON object is the whole query string. Source: README.md#transport, official.
    call.query.emplace_back("", std::move(query));
  }
  call.headers = {{"Accept", "application/json"}};
  call.timeout = absl::Seconds(20);
  DEALSTREAM_ASSIGN_OR_RETURN(http::Response response, session_.Send(call));
  DEALSTREAM_RETURN_IF_ERROR(StatusOfAnswer(operation, response));
  const Result<Value> root = answers_.Add(part, response.body);
  DEALSTREAM_RETURN_IF_ERROR(OfAnswer(root.status()));
  DEALSTREAM_RETURN_IF_ERROR(StatusOfMeta(operation, *root, response.headers));
  // Source: README.md#polling, inferred.
  const Value has_more = (*root)["meta"]["pagination"]["hasMoreNext"];
  return Answer{std::move(response.body),
                (*root)["data"],
                has_more.kind() == Value::Kind::kBool && has_more.text() == "true"};
}

Result<Client::Answer> Client::GetDeal(std::string_view id) {
  return Get("get_deal", kDealPart, fmt::format("/deal/{}", id), "");
}

Result<Client::Answer> Client::GetEntity(std::string_view type, std::string_view id) {
  return Get("get_entity", kEntityPart, fmt::format("{}{}", PathOf(type), id), "");
}

Result<Client::Answer> Client::ListDeals(std::string_view after) {
  std::string page_after;
  if (!after.empty()) {
    page_after = fmt::format(R"(,"pageAfter":{{"contentType":"{}","id":"{}"}})", kDealType, after);
  }
  return Get("list_deals",
             "deals",
             "/deal",
             fmt::format(R"({{"limit":{},"sortBy":[{{"contentType":"SortField","fieldName":)"
                         R"("timeUpdated","desc":true}}],"fields":["timeCreated","timeUpdated"],)"
                         R"("onlyRequestedFields":true{}}})",
                         kPageSize,
                         page_after));
}

}  // namespace dealstream::crm::megaplan
