#include "libs/crm/moysklad/client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/api/answer.h"
#include "libs/crm/api/json.h"
#include "libs/crm/moysklad/wire.h"

namespace dealstream::crm::moysklad {
namespace {

// Codes of the CRM's errors. Source: README.md#errors.
constexpr int64_t kUnknownPath = 1002;
constexpr int64_t kObjectNotFound = 1021;
constexpr int64_t kTooManyParallel = 1073;

// The limit's own interval, for a refusal that doesn't say when to come back.
constexpr auto kLimitInterval = absl::Seconds(3);

Status ReadError(json::Node node, int64_t& code) {
  return node.Object([&](std::string_view key, json::Node value) -> Status {
    if (key == "code" && code == 0) {
      return value.Int(code);
    }
    // Their text isn't read: it may quote what was sent.
    return absl::OkStatus();
  });
}

Status ReadErrors(json::Node node, int64_t& code) {
  return node.Object([&](std::string_view key, json::Node value) -> Status {
    if (key != "errors") {
      return absl::OkStatus();
    }
    return value.Array([&](json::Node error) { return ReadError(error, code); });
  });
}

// The first code of {"errors":[{"code":...}]}, or of an array of such; 0 when there is none to be
// found.
int64_t ErrorCode(std::string_view body) {
  if (KindOf(body) != BodyKind::kJson) {
    return 0;
  }
  int64_t code = 0;
  json::Document document;
  Status status = document.Read("errors", body, [&code](json::Node root) {
    if (root.kind() == json::Node::Kind::kArray) {
      return root.Array([&code](json::Node node) { return ReadErrors(node, code); });
    }
    return ReadErrors(root, code);
  });
  // A refusal that can't be read is still a refusal.
  return status.ok() ? code : 0;
}

absl::Duration PauseOf(const http::Headers& headers) {
  // Milliseconds, unlike the standard header, which isn't sent. Source: README.md#limits, official.
  for (std::string_view name : {"x-lognex-retry-after", "x-lognex-reset"}) {
    int64_t milliseconds = 0;
    if (absl::SimpleAtoi(ToAbsl(http::FindHeader(headers, name)), &milliseconds) &&
        milliseconds > 0) {
      return std::min(absl::Milliseconds(milliseconds), kLongestPause);
    }
  }
  return kLimitInterval;
}

Status NotThere(const std::string& message, int64_t code, BodyKind body) {
  if (code == kObjectNotFound || body == BodyKind::kEmpty) {
    return absl::NotFoundError(message);
  }
  if (code == kUnknownPath) {
    return WithReason(absl::FailedPreconditionError(message), "unknown_path");
  }
  // Not the API's own words: something between us and it. To take it for a deletion would be worse
  // than to ask again.
  return WithReason(absl::UnavailableError(message), "unexpected_not_found");
}

}  // namespace

Status StatusOfAnswer(std::string_view operation, const http::Response& response) {
  const BodyKind body = KindOf(response.body);
  std::string message = AnswerText(operation, response.status, body);
  const int64_t code = IsGood(response.status) ? 0 : ErrorCode(response.body);
  if (code != 0) {
    message += fmt::format(", code {}", code);
  }
  if (body != BodyKind::kHtml) {
    switch (response.status) {
      case 404:
        return NotThere(message, code, body);
      case 410:
        return WithReason(absl::FailedPreconditionError(message), "api_version_gone");
      case 415:
        // We always ask for gzip: what stands between us and them took it away, or it's our bug.
        return absl::InternalError(message);
      default:
        break;
    }
  }
  Status status = StatusOfHttp(message, response.status, body, PauseOf(response.headers));
  return absl::IsResourceExhausted(status) && code == kTooManyParallel
             ? WithReason(std::move(status), "too_many_parallel")
             : status;
}

Result<std::string> Client::Get(std::string_view operation,
                                std::string path,
                                std::vector<std::pair<std::string, std::string>> query) {
  Session::Call call;
  call.operation = operation;
  call.path = std::move(path);
  call.query = std::move(query);
  // Without gzip the answer is 415. Source: README.md#transport, official.
  call.headers = {{"Accept", "application/json;charset=utf-8"}, {"Accept-Encoding", "gzip"}};
  call.timeout = absl::Seconds(20);
  DEALSTREAM_ASSIGN_OR_RETURN(http::Response response, session_.Send(call));
  DEALSTREAM_RETURN_IF_ERROR(StatusOfAnswer(operation, response));
  return std::move(response.body);
}

Result<std::string> Client::GetOrder(std::string_view id) {
  return Get("get_order",
             fmt::format("/entity/{}/{}", kOrder, id),
             {{"expand",
               "agent,owner,state,store,organization,project,contract,salesChannel,"
               "rate.currency,positions.assortment"}});
}

Result<std::string> Client::GetPositions(std::string_view order_id, int64_t offset) {
  return Get("get_positions",
             fmt::format("/entity/{}/{}/positions", kOrder, order_id),
             {{"expand", "assortment"},
              {"limit", fmt::format("{}", kPageSize)},
              {"offset", fmt::format("{}", offset)}});
}

Result<std::string> Client::GetContactPersons(std::string_view counterparty_id, int64_t offset) {
  return Get("get_contact_persons",
             fmt::format("/entity/counterparty/{}/contactpersons", counterparty_id),
             {{"limit", fmt::format("{}", kContactPersonsPageSize)},
              {"offset", fmt::format("{}", offset)}});
}

Result<std::string> Client::ListOrders(const Range& range) {
  // Both values of isDeleted: without them the bin is left out.
  std::string filter = fmt::format("updated>={}", FormatMoscowTime(range.from));
  if (range.to != absl::InfiniteFuture()) {
    filter += fmt::format(";updated<{}", FormatMoscowTime(range.to));
  }
  filter += ";isDeleted=true;isDeleted=false";
  return Get("list_orders",
             fmt::format("/entity/{}", kOrder),
             {{"filter", std::move(filter)},
              {"order", "updated,asc;id,asc"},
              {"limit", fmt::format("{}", kPageSize)},
              {"offset", fmt::format("{}", range.offset)}});
}

}  // namespace dealstream::crm::moysklad
