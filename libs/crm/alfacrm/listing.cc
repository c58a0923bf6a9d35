#include "libs/crm/alfacrm/listing.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_split.h"
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "libs/base/ids.h"
#include "libs/base/strings.h"
#include "libs/crm/alfacrm/client.h"
#include "libs/crm/alfacrm/directories.h"
#include "libs/crm/alfacrm/json_values.h"
#include "libs/crm/alfacrm/log_notes.h"
#include "libs/crm/alfacrm/rows.h"
#include "libs/crm/alfacrm/wire.h"
#include "libs/crm/api/bad_value.h"
#include "libs/crm/api/place.h"
#include "libs/obs/log.h"

namespace dealstream::crm::alfacrm {
namespace {

// Rows may be committed late, and clocks differ a little.
constexpr auto kOverlap = absl::Minutes(5);
// Ids that tell whether two pages meet: some of them may be deleted meanwhile.
constexpr size_t kLastIds = 3;
// How often a step is begun anew because its rows move faster than they are read.
constexpr int64_t kMostRestarts = 3;

// How far each place has been read that was refused, by its key ("log/0", "rows/2"); all others
// have been read to the cursor's own time.
using Behind = std::map<std::string, absl::Time>;

struct Step {
  enum class Kind { kCustomers, kPays, kLog } kind;
  int64_t branch = 0;
  int64_t pay_type = 0;
  std::string_view entity;

  bool is_log() const { return kind == Kind::kLog; }
  std::string Key() const { return fmt::format("{}/{}", is_log() ? "log" : "rows", branch); }
};

std::vector<Step> StepsOf(const std::vector<int64_t>& branches, const Terms& terms) {
  std::vector<Step> steps;
  for (const int64_t branch : branches) {
    steps.push_back({Step::Kind::kCustomers, branch, 0, "customer"});
    // Types other than income may be hidden unless one asks for them. Source: README.md#fields.
    for (const int64_t type : terms.CountedTypes()) {
      steps.push_back({Step::Kind::kPays, branch, type, "pay"});
    }
  }
  // Whether the default scope's log is that of all branches isn't documented. Where there is one
  // branch only, it is. Source: README.md#branches.
  std::vector<int64_t> scopes = branches;
  if (terms.settings.branch() == 0) {
    scopes.insert(scopes.begin(), 0);
    scopes.resize(branches.size() == 1 ? 1 : scopes.size());
  }
  for (const int64_t scope : scopes) {
    steps.push_back({Step::Kind::kLog, scope, 0, "Customer"});
    steps.push_back({Step::Kind::kLog, scope, 0, "Pay"});
  }
  return steps;
}

// Of the settings that say what the steps and pages of a pass are.
std::string FingerprintOf(const Terms& terms) {
  return ToHex(Sha256(fmt::format("{} {} {}",
                                  terms.settings.branch(),
                                  terms.settings.page_size(),
                                  fmt::join(terms.CountedTypes(), " "))))
      .substr(0, 8);
}

std::string ToText(const Behind& behind) {
  std::vector<std::string> texts;
  texts.reserve(behind.size());
  for (const auto& [key, time] : behind) {
    texts.push_back(fmt::format("{}={}", key, absl::ToUnixMicros(time)));
  }
  return fmt::format("{}", fmt::join(texts, ","));
}

bool ParseBehind(std::string_view text, Behind& behind) {
  for (const absl::string_view one : absl::StrSplit(ToAbsl(text), ',', absl::SkipEmpty())) {
    const std::vector<std::string> parts = absl::StrSplit(one, '=');
    const auto micros = parts.size() == 2 ? ParseId(parts[1]) : std::nullopt;
    if (!micros.has_value() || parts[0].empty()) {
      return false;
    }
    behind[parts[0]] = absl::FromUnixMicros(*micros);
  }
  return true;
}

bool ParseIds(std::string_view text, std::vector<int64_t>& ids) {
  for (const absl::string_view part : absl::StrSplit(ToAbsl(text), '.', absl::SkipEmpty())) {
    const auto id = ParseId(ToStd(part));
    if (!id.has_value()) {
      return false;
    }
    ids.push_back(*id);
  }
  return true;
}

// Where a pass is, as text: its fields in this order, with semicolons between them.
struct PageToken {
  absl::Time began;
  int64_t step = 0;
  int64_t page = 0;
  // Of the step so far.
  int64_t rows = 0;
  std::vector<int64_t> branches;
  std::string fingerprint;
  // The last ones of the page before.
  std::vector<int64_t> last_ids;
  int64_t restarts = 0;
  // Whether cards or payments of any place could be read.
  bool answered = false;
  // What was refused in this pass.
  Behind behind;

  std::string ToText() const {
    return fmt::format("{};{};{};{};{};{};{};{};{};{}",
                       absl::ToUnixMicros(began),
                       step,
                       page,
                       rows,
                       fmt::join(branches, "."),
                       fingerprint,
                       fmt::join(last_ids, "."),
                       restarts,
                       answered ? 1 : 0,
                       alfacrm::ToText(behind));
  }

  static Result<PageToken> Parse(std::string_view text) {
    PageToken token;
    const std::vector<std::string> parts = absl::StrSplit(ToAbsl(text), ';');
    bool good = parts.size() == 10;
    const auto number = [&](size_t part) {
      const auto parsed = good ? ParseId(parts[part]) : std::nullopt;
      good = good && parsed.has_value();
      return parsed.value_or(0);
    };
    token.began = absl::FromUnixMicros(number(0));
    token.step = number(1);
    token.page = number(2);
    token.rows = number(3);
    token.restarts = number(7);
    token.answered = number(8) == 1;
    good = good && token.page <= 1'000'000 && ParseIds(parts[4], token.branches) &&
           !token.branches.empty() && ParseIds(parts[6], token.last_ids) &&
           ParseBehind(parts[9], token.behind);
    if (!good) {
      return BadPageToken(text);
    }
    token.fingerprint = parts[5];
    return token;
  }
};

// A cursor is an instant, and behind a blank what is behind it.
std::string CursorOf(absl::Time time, const Behind& behind) {
  const std::string text = crm::CursorOf(time);
  return behind.empty() ? text : fmt::format("{} {}", text, ToText(behind));
}

Status ParseCursor(std::string_view text, absl::Time& time, Behind& behind) {
  const size_t blank = std::min(text.find(' '), text.size());
  DEALSTREAM_ASSIGN_OR_RETURN(time, crm::ParseCursor(text.substr(0, blank)));
  return ParseBehind(text.substr(std::min(blank + 1, text.size())), behind)
             ? absl::OkStatus()
             : BadValue("cursor", text, "an RFC 3339 time and what is behind it");
}

// ---- Rows -------------------------------------------------------------------------------------

// What a listing needs of a row of any entity.
struct Row {
  // 0: it can't be read.
  int64_t id = 0;
  std::optional<WireTime> updated;
  // Of a payment; 0 where it isn't named. Of a log's row: before and after.
  int64_t customer = 0;
  int64_t customer_before = 0;
  // Of a log's row: what it is about, and when that changed.
  std::string entity;
  int64_t entity_id = 0;
  std::optional<WireTime> at;
  // Something of it that is needed is of another shape.
  bool odd = false;
};

// What is odd in one row mustn't stop the others.
Status Leniently(Status status, bool& odd) {
  if (ReasonOf(status) != json::kWrongShape) {
    return status;
  }
  odd = true;
  return absl::OkStatus();
}

Status ReadTime(json::Node node, const absl::TimeZone& zone, std::optional<WireTime>& time) {
  std::string_view text;
  DEALSTREAM_RETURN_IF_ERROR(ReadText(node, text));
  time = ParseWireTime(text, zone);
  return absl::OkStatus();
}

Status ReadCustomerOf(json::Node map, json::Document& nested, int64_t& id) {
  return ReadMap(map, nested, [&id](std::string_view key, json::Node value) -> Status {
    return key == "customer_id" ? ReadId(value, id) : absl::OkStatus();
  });
}

Status ReadField(const Step& step,
                 const absl::TimeZone& zone,
                 std::string_view key,
                 json::Node value,
                 json::Document& nested,
                 Row& row) {
  if (key == "id") {
    return ReadId(value, row.id);
  }
  if (!step.is_log()) {
    if (key == "customer_id" && step.kind == Step::Kind::kPays) {
      return ReadId(value, row.customer);
    }
    return key == "updated_at" ? ReadTime(value, zone, row.updated) : absl::OkStatus();
  }
  if (key == "entity") {
    return value.StringTo([&row](std::string_view text) { row.entity = text; });
  }
  if (key == "entity_id") {
    return ReadId(value, row.entity_id);
  }
  if (key == "date_time") {
    return ReadTime(value, zone, row.at);
  }
  // The maps of cards hold nothing that is needed here.
  if (step.entity == "Pay" && key == "fields_old") {
    return ReadCustomerOf(value, nested, row.customer_before);
  }
  return step.entity == "Pay" && key == "fields_new" ? ReadCustomerOf(value, nested, row.customer)
                                                     : absl::OkStatus();
}

struct Page {
  PageHead head;
  std::vector<Row> rows;
};

Result<Page> ReadRows(const Step& step, std::string_view body, const absl::TimeZone& zone) {
  Page page;
  json::Document document;
  json::Document nested;
  const std::string what = step.is_log() ? "log" : fmt::format("{}s", step.entity);
  DEALSTREAM_RETURN_IF_ERROR(OfAnswer(document.Read(what, body, [&](json::Node root) {
    return ReadPage(root, page.head, [&](json::Node node) -> Status {
      Row& row = page.rows.emplace_back();
      return Leniently(node.Object([&](std::string_view key, json::Node value) -> Status {
        return Leniently(ReadField(step, zone, key, value, nested, row), row.odd);
      }),
                       row.odd);
    });
  })));
  DEALSTREAM_RETURN_IF_ERROR(CheckPage(what, page.head));
  const auto named = [&step](const Row& row) {
    return step.is_log() ? !row.entity.empty() && row.entity_id > 0 : row.id > 0;
  };
  const auto unnamed =
      page.rows.end() - std::stable_partition(page.rows.begin(), page.rows.end(), named);
  if (unnamed == 0) {
    return page;
  }
  if (unnamed == page.rows.end() - page.rows.begin()) {
    return WithReason(
        absl::DataLossError(fmt::format(
            "{}: items: got {} rows and no id that can be read, want ids", what, unnamed)),
        json::kWrongShape);
  }
  obs::Warn("listed_rows_without_id",
            "rows of a page have no id that can be read: they are passed over",
            {{"crm", "alfacrm"}, {"entity", step.entity}, {"rows", unnamed}});
  page.rows.resize(page.rows.size() - static_cast<size_t>(unnamed));
  return page;
}

// ---- Pages ------------------------------------------------------------------------------------

class Listing {
 public:
  Listing(const ListRequest& request, const Terms& terms, Session& session)
      : terms_(terms), session_(session), is_sweep_(!request.cursor.empty()), to_(request.to) {}

  Status SetFrom(const ListRequest& request) {
    from_ = request.from;
    if (is_sweep_) {
      DEALSTREAM_RETURN_IF_ERROR(ParseCursor(request.cursor, from_, behind_));
    }
    from_ = std::max(from_, absl::UnixEpoch());
    return absl::OkStatus();
  }

  Result<PageToken> FirstToken();
  Result<ListPage> PageAt(const PageToken& token);

 private:
  struct Seen {
    int64_t page = 0;
    int64_t rows = 0;
    int64_t total = 0;
    std::vector<int64_t> ids;
  };

  // Up to where a step's place has been read.
  absl::Time PositionOf(const Step& step) const {
    const auto found = behind_.find(step.Key());
    return found == behind_.end() ? from_ : found->second;
  }
  absl::Time FromOf(const Step& step) const {
    return is_sweep_ ? PositionOf(step) - kOverlap : PositionOf(step);
  }
  std::string FilterOf(const Step& step, int64_t page) const;
  // Asks for a page and lists what it holds. Nothing: it is refused.
  Result<std::optional<Seen>> Ask(const Step& step, int64_t page);
  void Take(const Step& step, const Row& row);
  void TakeLog(const Step& step, const Row& row);
  void Add(std::string_view kind, std::string external_id, int64_t version);
  // The token behind a page that was read, or after a step that was refused.
  Result<PageToken> Next(const Step& step, const PageToken& token);

  const Terms& terms_;
  Session& session_;
  const bool is_sweep_;
  absl::Time from_;
  Behind behind_;
  const absl::Time to_;
  ListPage page_;
  absl::flat_hash_map<ObjectRef, size_t> places_;
};

std::string Listing::FilterOf(const Step& step, int64_t page) const {
  const std::string day = FormatDay(FromOf(step), terms_.zone);
  const std::string paging =
      fmt::format(R"("page":{},"pageSize":{})", page, terms_.settings.page_size());
  switch (step.kind) {
    case Step::Kind::kCustomers:
      return fmt::format(R"("is_study":2,"removed":1,"updated_at_from":"{}",{})", day, paging);
    case Step::Kind::kPays:
      return fmt::format(
          R"("pay_type_id":{},"updated_at_from":"{}",{})", step.pay_type, day, paging);
    case Step::Kind::kLog:
      break;
  }
  return fmt::format(R"("entity":"{}","date_from":"{}",{})", step.entity, day, paging);
}

void Listing::Add(std::string_view kind, std::string external_id, int64_t version) {
  ObjectRef ref{std::string(kind), std::move(external_id)};
  const auto [place, is_new] = places_.try_emplace(ref, page_.objects.size());
  if (is_new) {
    page_.objects.push_back({std::move(ref), version});
  } else {
    ListedObject& known = page_.objects[place->second];
    known.version = std::max(known.version, version);
  }
}

void Listing::Take(const Step& step, const Row& row) {
  const bool says_when = row.updated.has_value() && row.updated->has_time;
  // A row that says when it changed counts when it did so in the range; one that doesn't is listed
  // by the first pass and by backfills, and left to the log after. An odd one is listed, so that
  // its reading says what is wrong with it.
  const bool listed = says_when ? FromOf(step) <= row.updated->time && row.updated->time < to_
                                : !is_sweep_ || row.odd;
  if (!listed) {
    return;
  }
  const int64_t version = says_when ? absl::ToUnixMicros(row.updated->time) : kUnknownVersion;
  if (step.kind == Step::Kind::kCustomers) {
    Add(kLead, LeadId(row.id), version);
    return;
  }
  if (row.customer > 0) {
    Add(kPay, PayId(row.id), version);
    // Its sum may have changed.
    Add(kLead, LeadId(row.customer), version);
  } else if (row.odd) {
    Add(kPay, PayId(row.id), version);
  }
}

void Listing::TakeLog(const Step& step, const Row& row) {
  if (row.entity != step.entity || !row.at.has_value() || row.at->time < FromOf(step) ||
      row.at->time >= to_) {
    return;
  }
  const int64_t version = absl::ToUnixMicros(row.at->time);
  if (step.entity == "Customer") {
    Add(kLead, LeadId(row.entity_id), version);
    return;
  }
  Add(kPay, PayId(row.entity_id), version);
  for (const int64_t customer : {row.customer_before, row.customer}) {
    if (customer > 0) {
      Add(kLead, LeadId(customer), version);
    }
  }
  if (row.odd && row.customer_before <= 0 && row.customer <= 0) {
    Add(kPayer, PayId(row.entity_id), version);
  }
}

Result<std::optional<Listing::Seen>> Listing::Ask(const Step& step, int64_t page) {
  if (step.is_log() && IsLogClosed(session_, step.branch)) {
    return std::nullopt;
  }
  Client client(session_);
  auto body = client.Index(step.is_log() ? "log" : step.entity, step.branch, FilterOf(step, page));
  if (IsForbidden(body.status())) {
    if (step.is_log()) {
      NoteLog(session_, step.branch, false);
      return std::nullopt;
    }
    // One branch among others says nothing of the credential.
    if (step.branch != 0 && terms_.settings.branch() == 0) {
      return std::nullopt;
    }
  }
  DEALSTREAM_RETURN_IF_ERROR(body.status());
  if (step.is_log()) {
    NoteLog(session_, step.branch, true);
  }
  DEALSTREAM_ASSIGN_OR_RETURN(const Page read, ReadRows(step, *body, terms_.zone));
  Seen seen{read.head.page, read.head.rows, read.head.total, {}};
  seen.ids.reserve(read.rows.size());
  for (const Row& row : read.rows) {
    // Rows of a log may have no number of their own.
    seen.ids.push_back(row.id > 0 ? row.id : row.entity_id);
    if (step.is_log()) {
      TakeLog(step, row);
    } else {
      Take(step, row);
    }
  }
  return seen;
}

Result<PageToken> Listing::Next(const Step& step, const PageToken& token) {
  PageToken next = token;
  const auto end_step = [&next] {
    ++next.step;
    next.page = 0;
    next.rows = 0;
    next.last_ids.clear();
    next.restarts = 0;
  };
  DEALSTREAM_ASSIGN_OR_RETURN(const std::optional<Seen> seen, Ask(step, token.page));
  // Rows move while they are read: when one of the page before is deleted, the first of this page
  // slides into that one. So that one is read again; what it holds now is listed, too.
  std::optional<Seen> before;
  if (seen.has_value() && token.page > 0) {
    DEALSTREAM_ASSIGN_OR_RETURN(before, Ask(step, token.page - 1));
  }
  if (!seen.has_value() || (token.page > 0 && !before.has_value())) {
    obs::Warn("listing_refused",
              "a branch or log may not be read: it is passed over until it may",
              {{"crm", "alfacrm"}, {"place", step.Key()}, {"entity", step.entity}});
    next.behind[step.Key()] = PositionOf(step);
    end_step();
    return next;
  }
  next.answered = token.answered || !step.is_log();
  const auto holds = [](const std::vector<int64_t>& ids, int64_t id) {
    return std::find(ids.begin(), ids.end(), id) != ids.end();
  };
  const bool meets =
      token.page == 0 || std::any_of(token.last_ids.begin(), token.last_ids.end(), [&](int64_t id) {
        return holds(seen->ids, id) || holds(before->ids, id);
      });
  if (!meets) {
    // More than a page has moved.
    if (token.restarts >= kMostRestarts) {
      return WithReason(
          absl::DataLossError(fmt::format(
              "{}: page {}: got pages that don't meet, {} times, want rows in a lasting order",
              step.Key(),
              token.page,
              token.restarts + 1)),
          "unstable_order");
    }
    next.page = 0;
    next.rows = 0;
    next.last_ids.clear();
    ++next.restarts;
    return next;
  }
  next.rows += seen->rows;
  // A page past the end repeats the last one. Source: README.md#paging, seen.
  if (seen->rows == 0 || seen->page < token.page || next.rows >= seen->total) {
    end_step();
    return next;
  }
  ++next.page;
  next.last_ids.assign(
      seen->ids.end() - static_cast<std::ptrdiff_t>(std::min(seen->ids.size(), kLastIds)),
      seen->ids.end());
  return next;
}

Result<PageToken> Listing::FirstToken() {
  PageToken first;
  first.began = session_.Now();
  first.fingerprint = FingerprintOf(terms_);
  if (terms_.settings.branch() > 0) {
    first.branches = {terms_.settings.branch()};
    return first;
  }
  auto branches = Directories(session_, 0).Branches(kNamesKeptFor);
  if (branches.ok()) {
    first.branches = *std::move(branches);
  } else if (absl::IsFailedPrecondition(branches.status())) {
    first.branches = {0};
  } else {
    return branches.status();
  }
  return first;
}

Result<ListPage> Listing::PageAt(const PageToken& token) {
  const std::vector<Step> steps = StepsOf(token.branches, terms_);
  const auto count = static_cast<int64_t>(steps.size());
  if (token.step >= count) {
    return absl::InvalidArgumentError(
        fmt::format("page token: got step {}, want one of {}", token.step, count));
  }
  DEALSTREAM_ASSIGN_OR_RETURN(const PageToken next,
                              Next(steps[static_cast<size_t>(token.step)], token));
  if (next.step < count) {
    page_.next_page_token = next.ToText();
    return std::move(page_);
  }
  if (!next.answered) {
    return absl::PermissionDeniedError("customers: every branch is refused, want one to be open");
  }
  page_.cursor = CursorOf(next.began, next.behind);
  return std::move(page_);
}

}  // namespace

Result<ListPage> ListChanges(const ListRequest& request, const Terms& terms, Session& session) {
  Listing listing(request, terms, session);
  DEALSTREAM_RETURN_IF_ERROR(listing.SetFrom(request));
  if (!request.page_token.empty()) {
    DEALSTREAM_ASSIGN_OR_RETURN(const PageToken token, PageToken::Parse(request.page_token));
    if (token.fingerprint == FingerprintOf(terms)) {
      return listing.PageAt(token);
    }
    // The settings have changed meanwhile, its steps are others: it begins anew.
  }
  DEALSTREAM_ASSIGN_OR_RETURN(const PageToken first, listing.FirstToken());
  return listing.PageAt(first);
}

}  // namespace dealstream::crm::alfacrm
