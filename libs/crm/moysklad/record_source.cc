#include "libs/crm/moysklad/record_source.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/api/json.h"
#include "libs/crm/api/place.h"
#include "libs/crm/moysklad/client.h"
#include "libs/crm/moysklad/wire.h"

namespace dealstream::crm::moysklad {
namespace {

// A row that was committed late has an earlier update time than rows already listed. How late is
// not documented; the sheet's advice is a minute. Source: README.md#polling.
constexpr auto kOverlap = absl::Minutes(1);
// A document has at most 1000 positions (README.md#limits); twice that many pages would be a loop
// of theirs.
constexpr int kMostPages = 20;
// A page overlaps the one before by so many rows of its instant: that many of them may have gone
// away.
constexpr int64_t kOverlapRows = 20;
// The last ones of a page that are looked for in the next.
constexpr size_t kRememberedRows = 3;
// See PageToken::restarts.
constexpr int kMostRestarts = 10;

// An answer that is no JSON may have been cut on its way: it is asked for again, whereas one of the
// wrong shape would come again as it is.
Status OfAnswer(Status status) {
  if (ReasonOf(status) != json::kMalformed) {
    return status;
  }
  return WithReason(absl::UnavailableError(status.message()), json::kMalformed);
}

Status ReadTime(json::Node node, absl::Time& time) {
  std::string_view text;
  DEALSTREAM_RETURN_IF_ERROR(node.String(text));
  return ParseMoscowTime(text, time)
             ? absl::OkStatus()
             : node.Wrong("another text", "a time as \"2026-03-02 15:31:47.915\"");
}

// `size` of a collection's meta.
Status ReadSize(json::Node meta, int64_t& size) {
  return meta.Object([&](std::string_view key, json::Node value) -> Status {
    return key == "size" ? value.Int(size) : absl::OkStatus();
  });
}

struct Collection {
  int64_t size = 0;
  int64_t rows = 0;
};

Status ReadCollection(json::Node node, Collection& collection) {
  return node.Object([&](std::string_view key, json::Node value) -> Status {
    if (key == "meta") {
      return ReadSize(value, collection.size);
    }
    if (key == "rows") {
      return value.Array([&](json::Node row) -> Status {
        ++collection.rows;
        return row.kind() == json::Node::Kind::kObject ? absl::OkStatus()
                                                       : row.Wrong("another value", "an object");
      });
    }
    return absl::OkStatus();
  });
}

struct Agent {
  std::string id;
  bool is_counterparty = false;
  int64_t contact_persons = 0;
};

Status ReadAgent(json::Node node, Agent& agent) {
  return node.Object([&](std::string_view key, json::Node value) -> Status {
    if (key == "meta") {
      return value.Object([&](std::string_view field, json::Node text) -> Status {
        std::string_view view;
        if (field == "type") {
          DEALSTREAM_RETURN_IF_ERROR(text.String(view));
          agent.is_counterparty = view == "counterparty";
        } else if (field == "href") {
          DEALSTREAM_RETURN_IF_ERROR(text.String(view));
          agent.id = IdOfHref(view);
        }
        return absl::OkStatus();
      });
    }
    if (key == "contactpersons") {
      Collection persons;
      DEALSTREAM_RETURN_IF_ERROR(ReadCollection(value, persons));
      agent.contact_persons = persons.size;
    }
    return absl::OkStatus();
  });
}

// Rows of a page of positions or contact persons.
Result<int64_t> CountRows(std::string_view what, std::string_view body) {
  Collection page;
  json::Document document;
  DEALSTREAM_RETURN_IF_ERROR(OfAnswer(
      document.Read(what, body, [&](json::Node root) { return ReadCollection(root, page); })));
  return page.rows;
}

// Adds the pages from `offset` on until `size` rows are there or a page is empty: rows may go away
// while we read; the change that took them will be read again for its own sake.
template <typename GetPage>
Status AddPages(std::string_view part,
                int64_t offset,
                int64_t size,
                const GetPage& get_page,
                ReadObject& object) {
  for (int pages = 0; offset < size; ++pages) {
    if (pages == kMostPages) {
      return WithReason(
          absl::OutOfRangeError(fmt::format(
              "{}: got {} rows, want no more than {} pages of them", part, size, kMostPages)),
          "too_many_rows");
    }
    DEALSTREAM_ASSIGN_OR_RETURN(std::string body, get_page(offset));
    DEALSTREAM_ASSIGN_OR_RETURN(const int64_t rows, CountRows(part, body));
    if (rows == 0) {
      break;
    }
    offset += rows;
    object.parts.emplace_back(part, std::move(body));
  }
  return absl::OkStatus();
}

// Where a page begins: "<ms of T>,<offset>,<id>/<id>/<id>,<restarts>,<total>".
struct PageToken {
  // Orders updated at this instant or later.
  absl::Time from;
  // Rows of that instant that were listed, less those that overlap.
  int64_t offset = 0;
  // The last rows of the page before. Rows only ever go away from an instant, so where one of these
  // is found, none before it can have been skipped. Empty: from offset 0 on nothing can be.
  std::vector<std::string> last_ids;
  // How often none was found, so that listing went back to the instant's beginning. In the end it
  // goes on all the same: a CRM that shuffles its rows must not keep us for ever.
  int restarts = 0;
  // Orders of the whole pass, as the first page said.
  int64_t total = 0;

  std::string ToText() const {
    return fmt::format("{},{},{},{},{}",
                       absl::ToUnixMillis(from),
                       offset,
                       fmt::join(last_ids, "/"),
                       restarts,
                       total);
  }

  static Result<PageToken> Parse(std::string_view text) {
    const std::vector<std::string> parts = absl::StrSplit(ToAbsl(text), ',');
    PageToken token;
    int64_t millis = 0;
    if (parts.size() != 5 || !absl::SimpleAtoi(parts[0], &millis) ||
        !absl::SimpleAtoi(parts[1], &token.offset) || token.offset < 0 ||
        !absl::SimpleAtoi(parts[3], &token.restarts) || !absl::SimpleAtoi(parts[4], &token.total)) {
      return BadPageToken(text);
    }
    token.from = absl::FromUnixMillis(millis);
    token.last_ids = absl::StrSplit(parts[2], '/', absl::SkipEmpty());
    return token;
  }
};

// `cursor`: of the last full pass, where there was one; not in the future.
PageToken FirstPage(const ListRequest& request, absl::Time cursor) {
  PageToken token;
  token.from = request.cursor.empty() ? request.from : cursor - kOverlap;
  // Filters know no earlier time. Source: README.md#polling, official.
  token.from = std::max(token.from, absl::UnixEpoch());
  return token;
}

// Where to go on behind a full page.
PageToken NextPage(const PageToken& token, const std::vector<internal::ListedOrder>& orders) {
  PageToken next;
  next.from = orders.back().updated;
  next.total = token.total;
  int64_t same_instant = std::count_if(orders.begin(), orders.end(), [&next](const auto& order) {
    return order.updated == next.from;
  });
  if (next.from == token.from) {
    same_instant += token.offset;
    next.restarts = token.restarts;
  }
  next.offset = std::max<int64_t>(same_instant - kOverlapRows, 0);
  if (next.offset > 0) {
    for (auto order = orders.rbegin();
         order != orders.rend() && next.last_ids.size() < kRememberedRows;
         ++order) {
      if (!order->id.empty()) {
        next.last_ids.insert(next.last_ids.begin(), order->id);
      }
    }
  }
  return next;
}

// True when rows may lie between the page before and this one.
bool MayHaveSkipped(const PageToken& token, const std::vector<internal::ListedOrder>& orders) {
  return token.offset > 0 && !token.last_ids.empty() && token.restarts < kMostRestarts &&
         std::none_of(orders.begin(), orders.end(), [&token](const auto& order) {
           return std::find(token.last_ids.begin(), token.last_ids.end(), order.id) !=
                  token.last_ids.end();
         });
}

// What isn't as it should be is left out.
Status ReadRow(json::Node row, internal::ListedOrder& order) {
  if (row.kind() != json::Node::Kind::kObject) {
    return absl::OkStatus();
  }
  return row.Object([&](std::string_view field, json::Node node) -> Status {
    if ((field != "id" && field != "updated") || node.kind() != json::Node::Kind::kString) {
      return absl::OkStatus();
    }
    std::string_view text;
    DEALSTREAM_RETURN_IF_ERROR(node.String(text));
    if (field == "updated") {
      order.has_time = ParseMoscowTime(text, order.updated);
    } else if (IsUuid(text)) {
      order.id = text;
    }
    return absl::OkStatus();
  });
}

}  // namespace

namespace internal {

Result<OrderSummary> ReadOrder(std::string_view body) {
  OrderSummary summary;
  Agent agent;
  bool has_updated = false;
  absl::Time updated;
  json::Document document;
  Status status = document.Read("order", body, [&](json::Node root) {
    return root.Object([&](std::string_view key, json::Node value) -> Status {
      if (key == "updated") {
        has_updated = true;
        return ReadTime(value, updated);
      }
      if (key == "positions") {
        Collection positions;
        DEALSTREAM_RETURN_IF_ERROR(ReadCollection(value, positions));
        summary.positions = positions.size;
        summary.positions_given = positions.rows;
        return absl::OkStatus();
      }
      return key == "agent" ? ReadAgent(value, agent) : absl::OkStatus();
    });
  });
  DEALSTREAM_RETURN_IF_ERROR(OfAnswer(std::move(status)));
  if (!has_updated) {
    return WithReason(absl::DataLossError("order: updated: got nothing, want a time"),
                      json::kWrongShape);
  }
  summary.version = absl::ToUnixMicros(updated);
  if (agent.is_counterparty && agent.contact_persons > 0 && IsUuid(agent.id)) {
    summary.counterparty_id = agent.id;
    summary.contact_persons = agent.contact_persons;
  }
  return summary;
}

Result<OrderPage> ReadOrderPage(std::string_view body, absl::Time from) {
  OrderPage page;
  bool has_order = false;
  json::Document document;
  Status status = document.Read("orders", body, [&](json::Node root) {
    return root.Object([&](std::string_view key, json::Node value) -> Status {
      if (key == "meta") {
        return ReadSize(value, page.size);
      }
      if (key != "rows") {
        return absl::OkStatus();
      }
      return value.Array([&](json::Node row) -> Status {
        ListedOrder order;
        order.updated = page.orders.empty() ? from : page.orders.back().updated;
        DEALSTREAM_RETURN_IF_ERROR(ReadRow(row, order));
        has_order = has_order || !order.id.empty();
        page.orders.push_back(std::move(order));
        return absl::OkStatus();
      });
    });
  });
  DEALSTREAM_RETURN_IF_ERROR(OfAnswer(std::move(status)));
  if (!page.orders.empty() && !has_order) {
    return WithReason(absl::DataLossError("orders: rows: got none with an id, want some"),
                      json::kWrongShape);
  }
  return page;
}

}  // namespace internal

Result<ReadObject> Source::Read(const ObjectRef& ref,
                                const google::protobuf::Any&,
                                Session& session) const {
  if (ref.kind != kOrder || !IsUuid(ref.external_id)) {
    return absl::InvalidArgumentError(fmt::format("read: got {} \"{}\", want a {} and its UUID",
                                                  ref.kind,
                                                  ref.external_id.substr(0, 100),
                                                  kOrder));
  }
  Client client(session);
  Result<std::string> order = client.GetOrder(ref.external_id);
  if (absl::IsNotFound(order.status())) {
    ReadObject gone;
    gone.gone = true;
    return gone;
  }
  DEALSTREAM_RETURN_IF_ERROR(order.status());
  DEALSTREAM_ASSIGN_OR_RETURN(const internal::OrderSummary summary, internal::ReadOrder(*order));

  ReadObject object;
  object.version = summary.version;
  object.parts.emplace_back(kOrderPart, *std::move(order));
  // An order deleted between two calls: its pages are not found either, and it is read again for
  // its deletion. The same holds for a counterparty.
  Status status = AddPages(
      kPositionsPart,
      summary.positions_given,
      summary.positions,
      [&](int64_t offset) { return client.GetPositions(ref.external_id, offset); },
      object);
  if (absl::IsNotFound(status)) {
    return WithReason(absl::UnavailableError(status.message()), "changed_while_reading");
  }
  DEALSTREAM_RETURN_IF_ERROR(status);
  if (!summary.counterparty_id.empty()) {
    status = AddPages(
        kContactPersonsPart,
        0,
        summary.contact_persons,
        [&](int64_t offset) { return client.GetContactPersons(summary.counterparty_id, offset); },
        object);
    // A counterparty that went away, or whose contact persons one may not view, leaves an order
    // with what it holds of it.
    const bool hidden = absl::IsPermissionDenied(status) && ReasonOf(status) != "host_not_allowed";
    if (!absl::IsNotFound(status) && !hidden) {
      DEALSTREAM_RETURN_IF_ERROR(status);
    }
  }
  return object;
}

Result<ListPage> Source::List(const ListRequest& request,
                              Purpose,
                              const google::protobuf::Any&,
                              Session& session) const {
  const absl::Time now = session.Now();
  absl::Time cursor = absl::InfinitePast();
  if (!request.cursor.empty()) {
    DEALSTREAM_ASSIGN_OR_RETURN(cursor, ParseCursor(request.cursor));
    // A pass that begins at a time to come would list nothing until then.
    cursor = std::min(cursor, now);
  }
  PageToken token = FirstPage(request, cursor);
  if (!request.page_token.empty()) {
    DEALSTREAM_ASSIGN_OR_RETURN(token, PageToken::Parse(request.page_token));
  }
  Client client(session);
  DEALSTREAM_ASSIGN_OR_RETURN(
      const std::string body,
      client.ListOrders({.from = token.from, .to = request.to, .offset = token.offset}));
  DEALSTREAM_ASSIGN_OR_RETURN(const internal::OrderPage answer,
                              internal::ReadOrderPage(body, token.from));

  ListPage page;
  page.total = request.page_token.empty() ? answer.size : token.total;
  absl::Time last = token.from;
  for (const internal::ListedOrder& order : answer.orders) {
    if (!order.id.empty()) {
      // Without a time it may have changed just now; its reading says what is wrong with it.
      page.objects.push_back({{std::string(kOrder), order.id},
                              absl::ToUnixMicros(order.has_time ? order.updated : now)});
    }
    // One order dated in the future must not keep the next passes from all others.
    last = order.updated <= now ? std::max(last, order.updated) : last;
  }
  if (MayHaveSkipped(token, answer.orders)) {
    PageToken again;
    again.from = token.from;
    again.restarts = token.restarts + 1;
    again.total = token.total;
    page.next_page_token = again.ToText();
    return page;
  }
  if (static_cast<int64_t>(answer.orders.size()) >= Client::kPageSize) {
    PageToken next = NextPage(token, answer.orders);
    next.total = page.total;
    page.next_page_token = next.ToText();
    return page;
  }
  // The last page. The cursor never goes back, though the order it came from may be gone.
  page.cursor = CursorOf(std::max(std::min(last, now), cursor));
  return page;
}

}  // namespace dealstream::crm::moysklad
