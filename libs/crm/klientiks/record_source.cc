#include "libs/crm/klientiks/record_source.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/api/json.h"
#include "libs/crm/api/place.h"
#include "libs/crm/klientiks/client.h"
#include "libs/crm/klientiks/settings.h"
#include "libs/crm/klientiks/visit.h"
#include "libs/crm/klientiks/wire.h"

namespace dealstream::crm::klientiks {
namespace {

// A booking comes to two URLs within a second; a client's data seldom change within the minute.
constexpr auto kClientAge = absl::Seconds(30);
// What a request takes of a visit never changes.
constexpr auto kBookingAge = absl::Minutes(1);
constexpr auto kUsersAge = absl::Minutes(10);
// The widget makes a new visitor's client as it books: so long after the booking, a client that
// isn't there may only be late.
constexpr auto kClientIsLate = absl::Minutes(3);
// Ten thousand employees would be a loop of theirs.
constexpr int kMostUserPages = 100;

// Changes are asked for from so long before the last pass. Source: README.md#polling.
constexpr auto kOverlap = absl::Hours(1);
// Nobody has visits from before; bounds a load without beginning.
const absl::CivilDay kFirstDay(2010, 1, 1);
// Backfills of more days than this (30 years) are a mistake.
constexpr int64_t kMostDays = 11'000;
// A day on which rows move from page to page is begun anew so often.
constexpr int kMostRestarts = 3;
// More visits a day would be a loop of theirs.
constexpr int64_t kMostRowsOfADay = 10'000;

// An answer that is no JSON may have been cut on its way: it is asked for again, whereas one of the
// wrong shape would come again as it is. Where it was cut, what is left may be of a wrong shape.
Status OfAnswer(Status status, std::string_view body) {
  if (!absl::IsDataLoss(status)) {
    return status;
  }
  json::Document document;
  const Status whole = document.Read("answer", body, [](json::Node root) {
    return root.Object([](std::string_view, json::Node) { return absl::OkStatus(); });
  });
  if (ReasonOf(whole) != json::kMalformed) {
    return status;
  }
  return WithReason(absl::UnavailableError(status.message()), json::kMalformed);
}

// Whether the CRM won't give it, however often it is asked: it forbids it, knows no such call, or
// answers with something else.
bool IsWithheld(const Status& status) {
  const std::string reason = ReasonOf(status);
  return (absl::IsPermissionDenied(status) && reason != "host_not_allowed") ||
         absl::IsDataLoss(status) || reason == "refused" || reason == "unexpected_not_found";
}

std::string NoteKey(std::string_view what, std::string_view id) {
  return fmt::format("{}/{}", what, id);
}

// Rows of a page, from the answer's own limit, 0 where it has none: a CRM that gives no more than
// 50 at a time says so there, whatever it was asked for.
int64_t RowsOfFullPage(int64_t limit) {
  return limit > 0 ? std::min<int64_t>(limit, Client::kPageSize) : Client::kPageSize;
}

Status ReadNumberOrText(json::Node node, std::string_view& text) {
  return node.kind() == json::Node::Kind::kNumber   ? node.Number(text)
         : node.kind() == json::Node::Kind::kString ? node.String(text)
                                                    : absl::OkStatus();
}

Status ReadLimit(json::Node node, int64_t& limit) {
  std::string_view text;
  DEALSTREAM_RETURN_IF_ERROR(ReadNumberOrText(node, text));
  if (!absl::SimpleAtoi(ToAbsl(text), &limit)) {
    limit = 0;
  }
  return absl::OkStatus();
}

// ---- Users -----------------------------------------------------------------------------------

// Rows of all employees as one text: id, row, id, row ..., each ended by a zero byte, which no row
// can hold.
std::string_view FindRow(std::string_view rows, std::string_view id) {
  while (!rows.empty()) {
    const std::string_view row_id = rows.substr(0, rows.find('\0'));
    rows.remove_prefix(std::min(rows.size(), row_id.size() + 1));
    const std::string_view row = rows.substr(0, rows.find('\0'));
    rows.remove_prefix(std::min(rows.size(), row.size() + 1));
    if (row_id == id) {
      return row;
    }
  }
  return {};
}

// Of a row: what a deal takes, as it is written, for a directory is kept in mind.
Status ReadUserRow(json::Node row, std::string& id, std::string& kept) {
  if (row.kind() != json::Node::Kind::kObject) {
    return absl::OkStatus();
  }
  DEALSTREAM_RETURN_IF_ERROR(row.Object([&](std::string_view key, json::Node value) -> Status {
    if (key != "id" && key != "name" && key != "phone" && key != "email") {
      return absl::OkStatus();
    }
    std::string_view text;
    const bool is_text = value.kind() == json::Node::Kind::kString;
    if (is_text) {
      DEALSTREAM_RETURN_IF_ERROR(value.RawString(text));
    } else if (value.kind() == json::Node::Kind::kNumber) {
      DEALSTREAM_RETURN_IF_ERROR(value.Number(text));
    } else {
      return absl::OkStatus();
    }
    if (key == "id") {
      id = Trim(text);
    }
    const std::string_view quote = is_text ? "\"" : "";
    kept += fmt::format(R"({}"{}":{}{}{})", kept.empty() ? "" : ",", key, quote, text, quote);
    return absl::OkStatus();
  }));
  kept = fmt::format("{{{}}}", kept);
  return absl::OkStatus();
}

struct UserPage {
  int64_t rows = 0;
  int64_t limit = 0;
  // Of its first employee; one that was seen before: the CRM heeds no offset.
  std::string first_id;
  bool came_before = false;
  std::string_view error;
};

Status ReadUserPage(std::string_view body, UserPage& page, std::string& rows) {
  const auto read_row = [&](json::Node row) -> Status {
    ++page.rows;
    std::string id;
    std::string kept;
    DEALSTREAM_RETURN_IF_ERROR(ReadUserRow(row, id, kept));
    if (IsId(id) && page.first_id.empty()) {
      page.first_id = id;
      page.came_before = !FindRow(rows, id).empty();
    }
    if (IsId(id) && !page.came_before) {
      rows.append(id).append(1, '\0').append(kept).append(1, '\0');
    }
    return absl::OkStatus();
  };
  bool has_items = false;
  json::Document document;
  const Status status = document.Read("users", body, [&](json::Node root) {
    return root.Object([&](std::string_view key, json::Node value) -> Status {
      if (key == "error" && value.kind() == json::Node::Kind::kString) {
        return value.String(page.error);
      }
      if (key == "limit") {
        return ReadLimit(value, page.limit);
      }
      if (key != "items") {
        return absl::OkStatus();
      }
      has_items = true;
      switch (value.kind()) {
        case json::Node::Kind::kArray:
          return value.Array(read_row);
        case json::Node::Kind::kObject:
          return read_row(value);
        default:
          break;
      }
      std::string_view text;
      DEALSTREAM_RETURN_IF_ERROR(value.String(text));
      return text == kNoData ? absl::OkStatus()
                             : value.Wrong("another text", "\"No data\" or employees");
    });
  });
  DEALSTREAM_RETURN_IF_ERROR(OfAnswer(status, body));
  if (!page.error.empty()) {
    return StatusOfError("users", page.error);
  }
  return has_items ? absl::OkStatus()
                   : WithReason(absl::DataLossError("users: items: got nothing, want an array"),
                                json::kWrongShape);
}

// Those that the CRM gives: without the right to see employees, say, a deal has the id and no name.
Result<std::string> ReadUsers(Client& client) {
  std::string rows;
  int64_t offset = 0;
  for (int pages = 0; pages < kMostUserPages; ++pages) {
    const auto body = client.ListUsers(offset);
    UserPage page;
    const Status status = body.ok() ? ReadUserPage(*body, page, rows) : body.status();
    if (IsWithheld(status)) {
      break;
    }
    DEALSTREAM_RETURN_IF_ERROR(status);
    if (page.rows < RowsOfFullPage(page.limit) || page.came_before) {
      break;
    }
    offset += page.rows;
  }
  return rows;
}

// What is kept of the employee's row; empty where there is none to be seen.
Result<std::string> FindUser(std::string_view id, Client& client, Session& session) {
  constexpr std::string_view kUsers = "users";
  if (const std::string* noted = session.Noted(kUsers, kUsersAge)) {
    return std::string(FindRow(*noted, id));
  }
  DEALSTREAM_ASSIGN_OR_RETURN(std::string rows, ReadUsers(client));
  std::string row(FindRow(rows, id));
  session.Note(kUsers, std::move(rows));
  return row;
}

// ---- Visits ----------------------------------------------------------------------------------

// The body of the answer, when the client is in it; nothing where the CRM won't give clients and
// the visit can do without. NotFound where it isn't there, or not yet.
Result<std::string> ReadClientBody(std::string_view id,
                                   bool can_do_without,
                                   Client& client,
                                   Session& session) {
  const std::string key = NoteKey(kClientPart, id);
  if (const std::string* noted = session.Noted(key, kClientAge)) {
    return *noted;
  }
  const auto body = client.GetClient(id);
  const auto found =
      body.ok() ? ReadClient(*body, id) : Result<std::optional<Customer>>(body.status());
  const Status status = body.ok() ? OfAnswer(found.status(), *body) : body.status();
  if ((found.ok() && !found->has_value()) || ReasonOf(status) == "unexpected_not_found") {
    return absl::NotFoundError("client: there is none of this id");
  }
  if (can_do_without && IsWithheld(status)) {
    return std::string();
  }
  if (absl::IsPermissionDenied(status) && IsWithheld(status)) {
    // A request is made once: without its contact it would stay so.
    return WithReason(
        absl::FailedPreconditionError(fmt::format(
            "client: got \"{}\", want the right to see clients", ToStd(status.message()))),
        kObjectForbidden);
  }
  DEALSTREAM_RETURN_IF_ERROR(status);
  session.Note(key, *body);
  return *body;
}

Result<std::string> ReadVisitBody(const ObjectRef& ref, Client& client, Session& session) {
  const std::string key = NoteKey(kAppointmentPart, ref.external_id);
  if (ref.kind == kBooking) {
    if (const std::string* noted = session.Noted(key, kBookingAge)) {
      return *noted;
    }
  }
  return client.GetAppointment(ref.external_id);
}

// ---- Lists -----------------------------------------------------------------------------------

// Where a page begins:
// "<phase>,<since>,<offset>,<day>,<last day>,<began>[,<first id>,<last id>,<restarts>]". `days`:
// visits of `day` from `offset` on. `changed`, once the days are through: what has changed since,
// beginning behind the id `offset`.
struct PageToken {
  bool is_days = true;
  // Unix seconds; 0: the changes aren't asked for.
  int64_t since = 0;
  int64_t offset = 0;
  absl::CivilDay day;
  absl::CivilDay last_day;
  // When the pass began, Unix milliseconds: the next one's cursor.
  int64_t began = 0;
  // Of a day's page before this one: its first row, and its last, which this page has once more.
  // 0: none.
  int64_t first_id = 0;
  int64_t last_id = 0;
  int restarts = 0;

  std::string ToText() const {
    std::string text = fmt::format("{},{},{},{},{},{}",
                                   is_days ? "days" : "changed",
                                   since,
                                   offset,
                                   FormatDay(day),
                                   FormatDay(last_day),
                                   began);
    if (first_id != 0 || restarts != 0) {
      text += fmt::format(",{},{},{}", first_id, last_id, restarts);
    }
    return text;
  }

  static Result<PageToken> Parse(std::string_view text) {
    const std::vector<std::string> parts = absl::StrSplit(ToAbsl(text), ',');
    PageToken token;
    if ((parts.size() != 6 && parts.size() != 9) || (parts[0] != "days" && parts[0] != "changed") ||
        !absl::SimpleAtoi(parts[1], &token.since) || !absl::SimpleAtoi(parts[2], &token.offset) ||
        token.offset < 0 || !ParseDay(parts[3], token.day) || !ParseDay(parts[4], token.last_day) ||
        token.last_day - token.day > kMostDays || !absl::SimpleAtoi(parts[5], &token.began) ||
        (parts.size() == 9 && (!absl::SimpleAtoi(parts[6], &token.first_id) ||
                               !absl::SimpleAtoi(parts[7], &token.last_id) ||
                               !absl::SimpleAtoi(parts[8], &token.restarts)))) {
      return BadPageToken(text);
    }
    token.is_days = parts[0] == "days";
    return token;
  }

  void BeginDay(absl::CivilDay which) {
    day = which;
    offset = first_id = last_id = 0;
    restarts = 0;
  }
};

Result<PageToken> FirstPage(const ListRequest& request,
                            const absl::TimeZone& zone,
                            absl::Time now) {
  PageToken token;
  token.began = absl::ToUnixMillis(now);
  const absl::CivilDay today = absl::ToCivilDay(now, zone);
  if (!request.cursor.empty()) {
    DEALSTREAM_ASSIGN_OR_RETURN(const absl::Time cursor, ParseCursor(request.cursor));
    token.since = absl::ToUnixSeconds(cursor - kOverlap);
    token.day = today - 1;
    token.last_day = today + 1;
    return token;
  }
  const absl::Time first = absl::FromCivil(kFirstDay, zone);
  const absl::Time from = std::max(request.from, first);
  // What has changed since includes all that came after a range that has passed.
  token.since = request.to < now ? 0 : absl::ToUnixSeconds(from);
  token.day = std::min(absl::ToCivilDay(from, zone), today - 1);
  token.last_day =
      request.to < now ? std::max(absl::ToCivilDay(request.to, zone), token.day) : today + 1;
  return token;
}

// The list of changes is inferred: where the CRM won't give it, what the days say must do.
bool HasNoChanges(const Status& status) {
  return IsWithheld(status) || ReasonOf(status) == "error_answer";
}

class Lister {
 public:
  Lister(PageToken token, Client& client, const absl::TimeZone& zone, absl::Time now)
      : token_(token), client_(client), zone_(zone), now_(now) {}

  Result<ListPage> Run() && {
    DEALSTREAM_RETURN_IF_ERROR(token_.is_days ? ListDay() : ListChanged());
    if (page_.cursor.empty()) {
      page_.next_page_token = token_.ToText();
    }
    return std::move(page_);
  }

 private:
  Status ListDay() {
    DEALSTREAM_ASSIGN_OR_RETURN(const std::string body, client_.ListDay(token_.day, token_.offset));
    DEALSTREAM_ASSIGN_OR_RETURN(const internal::VisitPage answer,
                                internal::ReadVisitPage(body, zone_));
    for (const internal::ListedVisit& visit : answer.visits) {
      if (visit.has_client) {
        Add(visit);
      }
    }
    if (token_.first_id != 0 && answer.FirstId() == token_.first_id) {
      return PageCameAgain();
    }
    if (token_.last_id != 0 && !answer.Has(token_.last_id)) {
      return RowsHaveMoved();
    }
    if (!answer.IsFull()) {
      EndDay();
      return absl::OkStatus();
    }
    // The next page begins with this one's last row: were it asked for behind it, a row that came
    // to stand before it meanwhile would be skipped.
    const bool has_overlap = answer.last_row > 0;
    token_.offset += has_overlap ? answer.last_row : answer.rows;
    token_.first_id = answer.FirstId();
    token_.last_id = has_overlap ? answer.visits.back().id : 0;
    return token_.offset <= kMostRowsOfADay ? absl::OkStatus() : Unstable("no end of it");
  }

  // The CRM counts in whole pages, or looks at no offset at all.
  Status PageCameAgain() {
    if (token_.last_id == 0) {
      EndDay();
      return absl::OkStatus();
    }
    token_.last_id = 0;
    ++token_.offset;
    return absl::OkStatus();
  }

  Status RowsHaveMoved() {
    if (token_.restarts == kMostRestarts) {
      return Unstable("rows that move from page to page");
    }
    const int restarts = token_.restarts + 1;
    token_.BeginDay(token_.day);
    token_.restarts = restarts;
    return absl::OkStatus();
  }

  Status Unstable(std::string_view got) const {
    return WithReason(absl::DataLossError(fmt::format(
                          "appointments: {}: got {}, want pages", FormatDay(token_.day), got)),
                      "unstable_order");
  }

  void EndDay() {
    token_.BeginDay(token_.day + 1);
    if (token_.day <= token_.last_day) {
      return;
    }
    if (token_.since == 0) {
      EndPass();
    } else {
      token_.is_days = false;
    }
  }

  Status ListChanged() {
    const auto answer = AskForChanges();
    if (HasNoChanges(answer.status())) {
      EndPass();
      return absl::OkStatus();
    }
    DEALSTREAM_RETURN_IF_ERROR(answer.status());
    // The answer is whole; a page gives a part of it. The next part is taken from another answer,
    // in which others may have changed: by ids it goes on where this one ended.
    std::map<int64_t, const internal::ListedVisit*> by_id;
    for (const internal::ListedVisit& visit : answer->visits) {
      by_id[visit.id] = &visit;
    }
    int64_t left = Client::kPageSize;
    for (auto next = by_id.upper_bound(token_.offset); next != by_id.end(); ++next) {
      if (left-- == 0) {
        return absl::OkStatus();
      }
      Add(*next->second);
      token_.offset = next->first;
    }
    EndPass();
    return absl::OkStatus();
  }

  Result<internal::VisitPage> AskForChanges() {
    DEALSTREAM_ASSIGN_OR_RETURN(const std::string body, client_.ListChanged(token_.since));
    return internal::ReadVisitPage(body, zone_);
  }

  void EndPass() { page_.cursor = CursorOf(absl::FromUnixMillis(token_.began)); }

  void Add(const internal::ListedVisit& visit) {
    // Without a change time it must be read to know.
    page_.objects.push_back({{std::string(kAppointment), fmt::format("{}", visit.id)},
                             absl::ToUnixMicros(visit.changed.value_or(now_))});
  }

  PageToken token_;
  Client& client_;
  const absl::TimeZone& zone_;
  const absl::Time now_;
  ListPage page_;
};

}  // namespace

namespace internal {
namespace {

// An id, change times, and whether there is a client. A row without an id names nothing that could
// be read: it is passed over, lest it end every pass.
Status ReadRow(json::Node row, const absl::TimeZone& zone, VisitPage& page) {
  ++page.rows;
  if (row.kind() != json::Node::Kind::kObject) {
    return absl::OkStatus();
  }
  std::string_view id;
  std::string_view client_id;
  std::optional<absl::Time> created;
  std::optional<absl::Time> modified;
  const auto read_time = [&](json::Node node, std::optional<absl::Time>& out) -> Status {
    std::string_view text;
    absl::Time time;
    DEALSTREAM_RETURN_IF_ERROR(ReadNumberOrText(node, text));
    // A time of another form: the visit must be read to know.
    if (ParseTime(Trim(text), zone, time)) {
      out = time;
    }
    return absl::OkStatus();
  };
  DEALSTREAM_RETURN_IF_ERROR(row.Object([&](std::string_view key, json::Node value) -> Status {
    if (key == "id") {
      return ReadNumberOrText(value, id);
    }
    if (key == "client_id") {
      return ReadNumberOrText(value, client_id);
    }
    if (key == "created") {
      return read_time(value, created);
    }
    return key == "modified" ? read_time(value, modified) : absl::OkStatus();
  }));
  ListedVisit visit;
  if (!IsId(Trim(id)) || !absl::SimpleAtoi(ToAbsl(Trim(id)), &visit.id)) {
    return absl::OkStatus();
  }
  visit.has_client = IsId(Trim(client_id));
  visit.changed = modified.has_value() ? modified : created;
  page.visits.push_back(visit);
  page.last_row = page.rows - 1;
  return absl::OkStatus();
}

}  // namespace

bool VisitPage::IsFull() const { return rows >= RowsOfFullPage(limit); }

bool VisitPage::Has(int64_t id) const {
  return std::any_of(
      visits.begin(), visits.end(), [id](const ListedVisit& visit) { return visit.id == id; });
}

Result<VisitPage> ReadVisitPage(std::string_view body, const absl::TimeZone& zone) {
  VisitPage page;
  std::string_view error;
  bool has_items = false;
  const auto read_items = [&](json::Node items) -> Status {
    has_items = true;
    if (items.kind() == json::Node::Kind::kArray) {
      return items.Array([&](json::Node row) { return ReadRow(row, zone, page); });
    }
    if (items.kind() == json::Node::Kind::kObject) {
      return ReadRow(items, zone, page);
    }
    std::string_view text;
    DEALSTREAM_RETURN_IF_ERROR(items.String(text));
    return text == kNoData ? absl::OkStatus()
                           : items.Wrong("another text", "\"No data\" or visits");
  };
  json::Document document;
  const Status status = document.Read("appointments", body, [&](json::Node root) {
    return root.Object([&](std::string_view key, json::Node value) -> Status {
      // What `ik/orders` of the call asks for; `items` where it isn't heeded.
      if (key == "items" || key == "orders") {
        return read_items(value);
      }
      if (key == "error" && value.kind() == json::Node::Kind::kString) {
        return value.String(error);
      }
      return key == "limit" ? ReadLimit(value, page.limit) : absl::OkStatus();
    });
  });
  DEALSTREAM_RETURN_IF_ERROR(OfAnswer(status, body));
  if (!error.empty()) {
    return StatusOfError("appointments", error);
  }
  if (!has_items) {
    return WithReason(absl::DataLossError("appointments: items: got nothing, want visits"),
                      json::kWrongShape);
  }
  if (page.rows > 0 && page.visits.empty()) {
    return WithReason(absl::DataLossError("appointments: items: got rows of which none has an id "
                                          "of 1 to 18 digits, want visits"),
                      json::kWrongShape);
  }
  return page;
}

}  // namespace internal

Result<ReadObject> Source::Read(const ObjectRef& ref,
                                const google::protobuf::Any& packed,
                                Session& session) const {
  const bool is_deal = ref.kind == kAppointment;
  if ((!is_deal && ref.kind != kBooking) || !IsId(ref.external_id)) {
    return absl::InvalidArgumentError(
        fmt::format("read: got {} \"{}\", want an {} or a {} and its id of 1 to 18 digits",
                    ref.kind,
                    ref.external_id.substr(0, 100),
                    kAppointment,
                    kBooking));
  }
  DEALSTREAM_ASSIGN_OR_RETURN(const SettingsView* settings, SettingsInForce(packed));
  Client client(session, settings->settings.token_place());
  DEALSTREAM_ASSIGN_OR_RETURN(std::string body, ReadVisitBody(ref, client, session));
  const auto read = ReadVisit(body, settings->zone, Detail::kSummary);
  DEALSTREAM_RETURN_IF_ERROR(OfAnswer(read.status(), body));
  ReadObject object;
  if (!read->found) {
    object.gone = true;
    // A webhook may come before the visit can be read.
    object.perhaps_not_yet = true;
    return object;
  }
  const Visit& visit = read->visit;
  if (visit.id != ref.external_id) {
    return WithReason(absl::DataLossError(fmt::format(
                          "appointment: id: got {}, want {}", visit.id, ref.external_id)),
                      json::kWrongShape);
  }
  if (!visit.ChangedAt().has_value()) {
    return WithReason(absl::DataLossError("appointment: modified: got nothing, want a time"),
                      json::kWrongShape);
  }
  object.version = absl::ToUnixMicros(*visit.ChangedAt());
  const absl::Time created = visit.created.value_or(*visit.ChangedAt());
  // The views into `body` are used up before it goes.
  const bool has_client = visit.client.has_value() && !visit.client->phone.empty();
  const std::string client_id(has_client ? std::string_view() : visit.client_id);
  std::string user_id;
  if (is_deal && !visit.client_id.empty()) {
    const auto person = ResponsibleOf(visit, settings->settings.responsible_is_author());
    if (person.has_value() && person->name.empty()) {
      user_id = person->id;
    }
  }
  if (is_deal) {
    session.Note(NoteKey(kAppointmentPart, ref.external_id), body);
  }
  object.parts.emplace_back(kAppointmentPart, std::move(body));
  if (!client_id.empty()) {
    auto found = ReadClientBody(client_id, /*can_do_without=*/is_deal, client, session);
    if (absl::IsNotFound(found.status())) {
      // A deal is told again with its visit's next change; a request is made once.
      object.perhaps_not_yet = !is_deal && session.Now() - created < kClientIsLate;
      found = std::string();
    }
    DEALSTREAM_RETURN_IF_ERROR(found.status());
    if (!found->empty()) {
      object.parts.emplace_back(kClientPart, *std::move(found));
    }
  }
  if (!user_id.empty()) {
    DEALSTREAM_ASSIGN_OR_RETURN(std::string row, FindUser(user_id, client, session));
    if (!row.empty()) {
      object.parts.emplace_back(kUserPart, std::move(row));
    }
  }
  return object;
}

Result<ListPage> Source::List(const ListRequest& request,
                              Purpose purpose,
                              const google::protobuf::Any& packed,
                              Session& session) const {
  if (!Lists(purpose)) {
    return absl::UnimplementedError("list: bookings can't be told from other visits");
  }
  DEALSTREAM_ASSIGN_OR_RETURN(const SettingsView* settings, SettingsInForce(packed));
  PageToken token;
  if (request.page_token.empty()) {
    DEALSTREAM_ASSIGN_OR_RETURN(token, FirstPage(request, settings->zone, session.Now()));
  } else {
    DEALSTREAM_ASSIGN_OR_RETURN(token, PageToken::Parse(request.page_token));
  }
  Client client(session, settings->settings.token_place());
  return Lister(token, client, settings->zone, session.Now()).Run();
}

}  // namespace dealstream::crm::klientiks
