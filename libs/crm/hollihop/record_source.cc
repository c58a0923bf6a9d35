#include "libs/crm/hollihop/record_source.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/api/json.h"
#include "libs/crm/api/place.h"
#include "libs/crm/hollihop/client.h"
#include "libs/crm/hollihop/settings.h"
#include "libs/crm/hollihop/wire.h"

namespace dealstream::crm::hollihop {
namespace {

using internal::LeadPage;
using internal::ListedLead;
using internal::Statuses;
using json::Node;

// A pass begins so long before the last one did: rows may be committed late, and whether
// lastUpdatedFrom is inclusive isn't known. Source: README.md#polling.
constexpr int kOverlapHours = 2;
// A page overlaps the one before by so many rows: that many may go away or move to the end of the
// list between two calls.
constexpr int64_t kOverlapRows = 100;
// The last ones of a page that are looked for in the next: half of them must be there, one after
// the other. One of them may be in a page by chance, where the order means nothing.
constexpr size_t kRememberedRows = 16;
// See PageToken::restarts.
constexpr int kMostRestarts = 3;
// No school has as many; a pass that comes here would never end.
constexpr int64_t kMostRows = 5'000'000;
// The CRM gives no more in one answer. Source: README.md#polling, three public clients.
constexpr size_t kMostRowsOfAnswer = 10'000;
// An entry of the dictionary goes with each lead that names it, and is an id and two short texts:
// all copies in a page are 40 MB at most.
constexpr size_t kLongestStatus = 4096;

// An answer that is no JSON may have been cut on its way: it is asked for again, whereas one of the
// wrong shape would come again as it is.
Status OfAnswer(Status status) {
  if (ReasonOf(status) != json::kMalformed) {
    return status;
  }
  return WithReason(absl::UnavailableError(status.message()), json::kMalformed);
}

// What is neither is left to the mapper to complain about: one lead that can't be mapped must not
// hold up the others.
void ReadTextOrNumber(Node node, std::string& text) {
  std::string_view found;
  if (node.kind() == Node::Kind::kString
          ? node.String(found).ok()
          : node.kind() == Node::Kind::kNumber && node.Number(found).ok()) {
    text = found;
  }
}

// An id as a number, or as a text of digits; empty when it can't be read.
std::string ReadId(Node node) {
  std::string id;
  ReadTextOrNumber(node, id);
  return IsId(id) ? id : std::string();
}

// FNV-1a, the same in any process; `hash` is that of what came before.
constexpr uint64_t kHashOfNothing = 0xcbf29ce484222325U;
uint64_t HashOf(std::string_view text, uint64_t hash) {
  for (char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  }
  return hash * 0x100000001b3U;
}

// The row as it is written. Of one that is neither object nor array, only that it is none.
Status ReadRow(Node row, ListedLead& lead, std::string_view& body) {
  if (row.kind() == Node::Kind::kArray) {
    return row.Raw(body);
  }
  if (row.kind() != Node::Kind::kObject) {
    body = "null";
    return absl::OkStatus();
  }
  std::string created;
  DEALSTREAM_RETURN_IF_ERROR(row.RawObject(body, [&](std::string_view key, Node value) -> Status {
    if (key == "Id") {
      lead.id = ReadId(value);
    } else if (key == "StatusId") {
      ReadTextOrNumber(value, lead.status_id);
    } else if (key == "Updated") {
      ReadTextOrNumber(value, lead.updated);
    } else if (key == "Created") {
      ReadTextOrNumber(value, created);
    }
    return absl::OkStatus();
  }));
  if (lead.updated.empty()) {
    lead.updated = std::move(created);
  }
  return absl::OkStatus();
}

// One odd row must not stop the listing for ever: it is listed under a name made of its content,
// and the mapper, which wants an id, buries it alone.
Status ReadLead(Node row, ListedLead& lead) {
  std::string_view body;
  DEALSTREAM_RETURN_IF_ERROR(ReadRow(row, lead, body));
  if (lead.id.empty()) {
    lead.id = fmt::format("odd-{:016x}", HashOf(body, kHashOfNothing));
  }
  lead.body = body;
  return absl::OkStatus();
}

// Reads {"<list>": [...], ...}: calls row(Node) for each element, other(key, Node) for the rest.
// What the CRM says under Error comes as its status. More rows than the CRM ever gives are not its
// answer, and not worth our memory.
template <typename Row, typename Other>
Status ReadAnswer(std::string_view operation,
                  std::string_view body,
                  std::string_view list,
                  Row&& row,
                  Other&& other) {
  std::string error;
  bool has_list = false;
  size_t rows = 0;
  const auto read_row = [&](Node node) -> Status {
    return ++rows <= kMostRowsOfAnswer
               ? row(node)
               : WithReason(
                     absl::DataLossError(fmt::format("{}: {}: got more than {} rows, want no more",
                                                     operation,
                                                     list,
                                                     kMostRowsOfAnswer)),
                     "too_many_rows");
  };
  json::Document document;
  Status status = document.Read(operation, body, [&](Node root) {
    return root.Object([&](std::string_view key, Node value) -> Status {
      if (key == list) {
        has_list = true;
        return value.Array(read_row);
      }
      if (key == "Error" || key == "error") {
        return value.StringTo([&error](std::string_view text) { error = text; });
      }
      return other(key, value);
    });
  });
  DEALSTREAM_RETURN_IF_ERROR(OfAnswer(std::move(status)));
  if (!error.empty()) {
    return StatusOfError(operation, 200, error);
  }
  return has_list ? absl::OkStatus()
                  : WithReason(absl::DataLossError(fmt::format(
                                   "{}: {}: got nothing, want an array", operation, list)),
                               json::kWrongShape);
}

int64_t VersionOf(const ListedLead& lead) {
  LocalTime updated;
  return ParseLocalTime(lead.updated, updated) ? updated.Version() : 0;
}

// The lead and what is known of its status.
std::vector<std::pair<std::string, std::string>> PartsOf(ListedLead&& lead,
                                                         const Statuses& statuses) {
  std::vector<std::pair<std::string, std::string>> parts;
  parts.emplace_back(kLeadPart, std::move(lead.body));
  if (auto status = statuses.find(lead.status_id); status != statuses.end()) {
    parts.emplace_back(kStatusPart, status->second);
  }
  return parts;
}

// Whether two pages are the same.
uint64_t HashOf(const LeadPage& page) {
  uint64_t hash = kHashOfNothing;
  for (const ListedLead& lead : page.leads) {
    hash = HashOf(lead.updated, HashOf(lead.id, hash));
  }
  return hash;
}

// Where a page begins and what is known of the pages before, as "<mark>,<skip>,<ids>,<restarts>,
// <hash>".
struct PageToken {
  // When the pass began: the next cursor. See MarkOf.
  std::string mark;
  int64_t skip = 0;
  // Of the last rows of the page before.
  std::vector<std::string> last_ids;
  // How often the pass began anew because rows may have been skipped. After kMostRestarts it fails.
  int restarts = 0;
  // Of the page before.
  uint64_t hash = 0;

  std::string ToText() const {
    return fmt::format("{},{},{},{},{:x}", mark, skip, fmt::join(last_ids, "/"), restarts, hash);
  }

  static Result<PageToken> Parse(std::string_view text) {
    const std::vector<std::string> parts = absl::StrSplit(ToAbsl(text), ',');
    PageToken token;
    LocalTime mark;
    if (parts.size() != 5 || !ParseLocalTime(parts[0], mark) ||
        !absl::SimpleAtoi(parts[1], &token.skip) || token.skip < 0 ||
        !absl::SimpleAtoi(parts[3], &token.restarts) || token.restarts < 0 ||
        !absl::SimpleHexAtoi(parts[4], &token.hash)) {
      return BadPageToken(text);
    }
    token.mark = parts[0];
    token.last_ids = absl::StrSplit(parts[2], '/', absl::SkipEmpty());
    return token;
  }
};

// The server's local time from which on to list; empty: from the beginning.
Result<std::string> UpdatedFrom(const ListRequest& request, const absl::TimeZone& zone) {
  if (request.cursor.empty()) {
    return request.from == absl::InfinitePast()
               ? std::string()
               : FormatLocalTime(
                     absl::ToCivilSecond(std::max(request.from, absl::UnixEpoch()), zone));
  }
  LocalTime cursor;
  if (!ParseLocalTime(request.cursor, cursor)) {
    return absl::InvalidArgumentError(
        fmt::format("cursor: got \"{}\", want a time as \"2025-09-04T03:00:11\"",
                    request.cursor.substr(0, 100)));
  }
  return FormatLocalTime(cursor.civil - kOverlapHours * 3600);
}

// The server's time when the pass began, from its first page; but not later than ours in the
// school's zone. From a time that lies ahead, the next pass would leave out what changes until
// then, whereas from an earlier one it only lists more.
Result<std::string> MarkOf(const LeadPage& page,
                           const ListRequest& request,
                           const absl::TimeZone& zone,
                           absl::Time now) {
  LocalTime time;
  std::string mark = page.now;
  if (!mark.empty() && !ParseLocalTime(mark, time)) {
    return WithReason(absl::DataLossError("list_leads: Now: got another text, want a time as "
                                          "\"2025-09-04T03:00:11\""),
                      json::kWrongShape);
  }
  if (mark.empty()) {
    // Both sources of public code have seen Now; without it, any time that its clock has passed
    // does.
    mark = request.cursor;
    for (const ListedLead& lead : page.leads) {
      if (lead.updated > mark && ParseLocalTime(lead.updated, time)) {
        mark = lead.updated;
      }
    }
  }
  if (mark.empty()) {
    // No zone is further behind UTC.
    return FormatLocalTime(absl::ToCivilSecond(now - absl::Hours(12), absl::UTCTimeZone()));
  }
  const absl::CivilSecond ours = absl::ToCivilSecond(now, zone);
  return ParseLocalTime(mark, time) && time.civil <= ours ? mark : FormatLocalTime(ours);
}

// True when rows may lie between the page before and this one.
bool MayHaveSkipped(const PageToken& token, const LeadPage& page) {
  size_t found = 0;
  auto wanted = token.last_ids.begin();
  for (const ListedLead& lead : page.leads) {
    const auto at = std::find(wanted, token.last_ids.end(), lead.id);
    if (at != token.last_ids.end()) {
      ++found;
      wanted = at + 1;
    }
  }
  return token.skip > 0 && (found == 0 || 2 * found < token.last_ids.size());
}

// Where to go on; empty when this was the last page.
Result<std::string> NextPage(const PageToken& token, const LeadPage& page) {
  PageToken next;
  next.mark = token.mark;
  next.restarts = token.restarts;
  if (MayHaveSkipped(token, page)) {
    if (++next.restarts > kMostRestarts) {
      return WithReason(
          absl::DataLossError(fmt::format("list_leads: got pages that don't meet in {} passes, "
                                          "want leads in an order that stays",
                                          next.restarts)),
          "unstable_order");
    }
    return next.ToText();
  }
  const auto rows = static_cast<int64_t>(page.leads.size());
  if (rows < Source::kPageSize) {
    return std::string();
  }
  next.hash = HashOf(page);
  if (token.skip > 0 && next.hash == token.hash) {
    return WithReason(absl::DataLossError(fmt::format(
                          "list_leads: got the same {} leads twice, want those after the first {}",
                          rows,
                          token.skip)),
                      "repeating_page");
  }
  next.skip = token.skip + rows - kOverlapRows;
  if (next.skip > kMostRows) {
    return WithReason(absl::DataLossError(fmt::format(
                          "list_leads: got more than {} leads, want an end", kMostRows)),
                      "endless_list");
  }
  for (size_t i = page.leads.size() - kRememberedRows; i < page.leads.size(); ++i) {
    next.last_ids.push_back(page.leads[i].id);
  }
  return next.ToText();
}

bool HasStatus(const LeadPage& page) {
  return std::any_of(page.leads.begin(), page.leads.end(), [](const ListedLead& lead) {
    return !lead.status_id.empty();
  });
}

Result<Statuses> GetStatuses(Client& client) {
  DEALSTREAM_ASSIGN_OR_RETURN(const std::string body, client.GetLeadStatuses());
  return internal::ReadStatuses(body);
}

// Changed at or after the end of the range.
bool IsBeyond(const ListedLead& lead, absl::Time to, const absl::TimeZone& zone) {
  LocalTime updated;
  return to != absl::InfiniteFuture() && ParseLocalTime(lead.updated, updated) &&
         updated.In(zone) >= to;
}

}  // namespace

namespace internal {

Result<LeadPage> ReadLeadPage(std::string_view operation, std::string_view body) {
  LeadPage page;
  DEALSTREAM_RETURN_IF_ERROR(ReadAnswer(
      operation,
      body,
      "Leads",
      [&page](Node row) { return ReadLead(row, page.leads.emplace_back()); },
      [&page](std::string_view key, Node value) -> Status {
        return key == "Now" ? value.StringTo([&](std::string_view now) { page.now = now; })
                            : absl::OkStatus();
      }));
  return page;
}

Result<Statuses> ReadStatuses(std::string_view body) {
  Statuses statuses;
  DEALSTREAM_RETURN_IF_ERROR(ReadAnswer(
      "get_lead_statuses",
      body,
      "Statuses",
      [&statuses](Node row) -> Status {
        // An entry that no lead can name, or that is too long to go with each lead, is left out: a
        // lead tells the name of its status itself.
        if (row.kind() != Node::Kind::kObject) {
          return absl::OkStatus();
        }
        std::string id;
        std::string_view entry;
        DEALSTREAM_RETURN_IF_ERROR(
            row.RawObject(entry, [&id](std::string_view key, Node value) -> Status {
              if (key == "Id") {
                id = ReadId(value);
              }
              return absl::OkStatus();
            }));
        if (!id.empty() && entry.size() <= kLongestStatus) {
          statuses.emplace(std::move(id), entry);
        }
        return absl::OkStatus();
      },
      [](std::string_view, Node) { return absl::OkStatus(); }));
  return statuses;
}

}  // namespace internal

Result<ReadObject> Source::Read(const ObjectRef& ref,
                                const google::protobuf::Any&,
                                Session& session) const {
  if (ref.kind != kLead || !IsId(ref.external_id)) {
    return absl::InvalidArgumentError(fmt::format("read: got {} \"{}\", want a {} and its number",
                                                  ref.kind,
                                                  ref.external_id.substr(0, 100),
                                                  kLead));
  }
  Client client(session);
  DEALSTREAM_ASSIGN_OR_RETURN(const std::string body, client.GetLead(ref.external_id));
  DEALSTREAM_ASSIGN_OR_RETURN(LeadPage page, internal::ReadLeadPage("get_lead", body));
  ReadObject object;
  if (page.leads.empty()) {
    object.gone = true;
    return object;
  }
  auto lead = std::find_if(page.leads.begin(), page.leads.end(), [&ref](const ListedLead& one) {
    return one.id == ref.external_id;
  });
  if (lead == page.leads.end()) {
    return WithReason(
        absl::DataLossError(fmt::format("get_lead: got {} leads of other ids, want that of {}",
                                        page.leads.size(),
                                        ref.external_id)),
        json::kWrongShape);
  }
  Statuses statuses;
  if (!lead->status_id.empty()) {
    DEALSTREAM_ASSIGN_OR_RETURN(statuses, GetStatuses(client));
  }
  object.version = VersionOf(*lead);
  object.parts = PartsOf(std::move(*lead), statuses);
  return object;
}

Result<ListPage> Source::List(const ListRequest& request,
                              Purpose,
                              const google::protobuf::Any& packed,
                              Session& session) const {
  DEALSTREAM_ASSIGN_OR_RETURN(const Settings* settings, SettingsInForce(packed));
  PageToken token;
  if (!request.page_token.empty()) {
    DEALSTREAM_ASSIGN_OR_RETURN(token, PageToken::Parse(request.page_token));
  }
  Client::Range range;
  DEALSTREAM_ASSIGN_OR_RETURN(range.updated_from, UpdatedFrom(request, settings->zone));
  range.skip = token.skip;
  range.take = kPageSize;
  Client client(session);
  DEALSTREAM_ASSIGN_OR_RETURN(const std::string body, client.ListLeads(range));
  DEALSTREAM_ASSIGN_OR_RETURN(LeadPage answer, internal::ReadLeadPage("list_leads", body));
  if (token.mark.empty()) {
    DEALSTREAM_ASSIGN_OR_RETURN(token.mark, MarkOf(answer, request, settings->zone, session.Now()));
  }
  ListPage page;
  DEALSTREAM_ASSIGN_OR_RETURN(page.next_page_token, NextPage(token, answer));
  if (page.next_page_token.empty()) {
    page.cursor = token.mark;
  }
  Statuses statuses;
  if (HasStatus(answer)) {
    DEALSTREAM_ASSIGN_OR_RETURN(statuses, GetStatuses(client));
  }
  for (ListedLead& lead : answer.leads) {
    if (IsBeyond(lead, request.to, settings->zone)) {
      continue;
    }
    ListedObject& object = page.objects.emplace_back();
    object.ref = {std::string(kLead), lead.id};
    object.version = VersionOf(lead);
    object.parts = PartsOf(std::move(lead), statuses);
  }
  return page;
}

}  // namespace dealstream::crm::hollihop
