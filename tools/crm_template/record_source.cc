#include "libs/crm/newcrm/record_source.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/api/json.h"
#include "libs/crm/api/place.h"
#include "libs/crm/newcrm/client.h"
#include "libs/crm/newcrm/wire.h"

namespace dealstream::crm::newcrm {
namespace {

// A deal may be seen a little later than the time it bears.
constexpr auto kOverlap = absl::Minutes(1);

// An answer that is no JSON may have been cut on its way: it is asked for again, whereas one of the
// wrong shape would come again as it is.
Status OfAnswer(const Status& status) {
  if (ReasonOf(status) != json::kMalformed) {
    return status;
  }
  return WithReason(absl::UnavailableError(status.message()), json::kMalformed);
}

struct Row {
  std::string id;
  absl::Time updated;
};

// A deal, or a row of a list.
Status ReadRow(json::Node node, Row& row) {
  bool has_updated = false;
  DEALSTREAM_RETURN_IF_ERROR(node.Object([&](std::string_view key, json::Node value) -> Status {
    std::string_view text;
    if (key == "id") {
      DEALSTREAM_RETURN_IF_ERROR(value.String(text));
      row.id = text;
    } else if (key == "updated") {
      DEALSTREAM_RETURN_IF_ERROR(value.String(text));
      has_updated = ParseWireTime(text, row.updated);
      return has_updated ? absl::OkStatus() : value.Wrong("another text", "an RFC 3339 time");
    }
    return absl::OkStatus();
  }));
  return has_updated && IsId(row.id) ? absl::OkStatus()
                                     : node.Wrong("a deal without id or updated", "both");
}

struct Page {
  int64_t total = 0;
  std::vector<Row> rows;
};

Result<Page> ReadPage(std::string_view body) {
  Page page;
  bool has_rows = false;
  json::Document document;
  DEALSTREAM_RETURN_IF_ERROR(OfAnswer(document.Read("deals", body, [&](json::Node root) {
    return root.Object([&](std::string_view key, json::Node value) -> Status {
      if (key == "total") {
        return value.Int(page.total);
      }
      if (key != "deals") {
        return absl::OkStatus();
      }
      has_rows = true;
      return value.Array([&](json::Node row) { return ReadRow(row, page.rows.emplace_back()); });
    });
  })));
  if (!has_rows) {
    return WithReason(absl::DataLossError("deals: deals: got nothing, want an array"),
                      json::kWrongShape);
  }
  return page;
}

// "<ms since the epoch>,<id>,<total>" of the last row before.
struct PageToken {
  absl::Time since;
  std::string after;
  int64_t total = 0;

  std::string ToText() const {
    return fmt::format("{},{},{}", absl::ToUnixMillis(since), after, total);
  }
  static Result<PageToken> Parse(std::string_view text) {
    const size_t first = text.find(',');
    const size_t last = text.rfind(',');
    int64_t millis = 0;
    PageToken token;
    if (first == last || !absl::SimpleAtoi(ToAbsl(text.substr(0, first)), &millis) ||
        !absl::SimpleAtoi(ToAbsl(text.substr(last + 1)), &token.total) ||
        !IsId(text.substr(first + 1, last - first - 1))) {
      return BadPageToken(text);
    }
    token.since = absl::FromUnixMillis(millis);
    token.after = text.substr(first + 1, last - first - 1);
    return token;
  }
};

// Where a pass begins. A cursor is an instant.
Result<PageToken> FirstPage(const ListRequest& request) {
  PageToken token;
  token.since = std::max(request.from, absl::UnixEpoch());
  if (!request.cursor.empty()) {
    DEALSTREAM_ASSIGN_OR_RETURN(const absl::Time cursor, ParseCursor(request.cursor));
    token.since = cursor - kOverlap;
  }
  return token;
}

}  // namespace

Result<ReadObject> Source::Read(const ObjectRef& ref,
                                const google::protobuf::Any&,
                                Session& session) const {
  if (ref.kind != kDeal || !IsId(ref.external_id)) {
    return absl::InvalidArgumentError(fmt::format("read: got {} \"{}\", want a {} and its digits",
                                                  ref.kind,
                                                  ref.external_id.substr(0, 100),
                                                  kDeal));
  }
  ReadObject object;
  Result<std::string> body = Client(session).GetDeal(ref.external_id);
  if (absl::IsNotFound(body.status())) {
    object.gone = true;
    return object;
  }
  DEALSTREAM_RETURN_IF_ERROR(body.status());
  Row row;
  json::Document document;
  DEALSTREAM_RETURN_IF_ERROR(OfAnswer(
      document.Read("deal", *body, [&row](json::Node root) { return ReadRow(root, row); })));
  object.version = absl::ToUnixMicros(row.updated);
  object.parts.emplace_back(kDeal, *std::move(body));
  return object;
}

Result<ListPage> Source::List(const ListRequest& request,
                              Purpose,
                              const google::protobuf::Any&,
                              Session& session) const {
  DEALSTREAM_ASSIGN_OR_RETURN(
      const PageToken token,
      request.page_token.empty() ? FirstPage(request) : PageToken::Parse(request.page_token));
  DEALSTREAM_ASSIGN_OR_RETURN(const std::string body,
                              Client(session).ListDeals(token.since, token.after, request.to));
  DEALSTREAM_ASSIGN_OR_RETURN(const Page answer, ReadPage(body));
  ListPage page;
  page.total = request.page_token.empty() ? answer.total : token.total;
  PageToken next = token;
  next.total = page.total;
  for (const Row& row : answer.rows) {
    page.objects.push_back({{std::string(kDeal), row.id}, absl::ToUnixMicros(row.updated)});
    next.since = row.updated;
    next.after = row.id;
  }
  if (answer.rows.size() >= Client::kPageSize) {
    page.next_page_token = next.ToText();
  } else {
    // The cursor never goes back.
    const auto before = ParseCursor(request.cursor);
    page.cursor = CursorOf(before.ok() ? std::max(next.since, *before) : next.since);
  }
  return page;
}

}  // namespace dealstream::crm::newcrm
