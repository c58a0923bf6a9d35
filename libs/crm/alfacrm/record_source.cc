#include "libs/crm/alfacrm/record_source.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "libs/base/strings.h"
#include "libs/crm/alfacrm/client.h"
#include "libs/crm/alfacrm/directories.h"
#include "libs/crm/alfacrm/history.h"
#include "libs/crm/alfacrm/rows.h"
#include "libs/crm/alfacrm/settings.h"
#include "libs/crm/alfacrm/wire.h"

namespace dealstream::crm::alfacrm {
namespace {

// Rows may be committed late, and clocks differ a little.
constexpr auto kOverlap = absl::Minutes(5);
// Pages of one customer's payments or log; more would be a loop of theirs.
constexpr int kMostPages = 50;
// Payments without a time of their own on the day of a change; each costs a call.
constexpr size_t kMostPayLogs = 10;
// How long it isn't tried again to read a log that is forbidden.
constexpr auto kNoLogFor = absl::Minutes(30);
constexpr std::string_view kScopeNote = "scope";
constexpr std::string_view kNoLogNote = "no_log";
// For rows that don't say when they changed: read once.
constexpr int64_t kUnknownVersion = 1;

std::string IdFilter(int64_t id) { return fmt::format(R"("id":{},"page":0)", id); }

// Leads and clients, the archive included. Without these, some kinds are hidden. Source:
// README.md#fields, seen.
std::string CustomerFilter(int64_t id) {
  return fmt::format(R"("id":{},"is_study":2,"removed":1,"page":0)", id);
}

bool IsForbidden(const Status& status) {
  return (absl::IsPermissionDenied(status) && ReasonOf(status) != "host_not_allowed") ||
         ReasonOf(status) == "unknown_path";
}

// One conversation on one object.
class Reading {
 public:
  Reading(const Terms& terms, Session& session)
      : terms_(terms),
        session_(session),
        client_(session),
        directories_(session, terms.settings.branch()) {}

  Result<ReadObject> Lead(int64_t customer_id);
  Result<ReadObject> Pay(int64_t pay_id);
  Result<ReadObject> Payer(int64_t pay_id);

 private:
  template <typename Row>
  struct Found {
    std::string body;
    Row row;
    int64_t scope = 0;
  };

  // The row of that id, wherever it is; absent: nowhere.
  template <typename Row, typename ReadPage>
  Result<std::optional<Found<Row>>> Find(std::string_view entity,
                                         int64_t id,
                                         const std::string& filter,
                                         const ReadPage& read_page);
  Result<std::optional<Found<CustomerRow>>> FindCustomer(int64_t id) {
    return Find<CustomerRow>("customer", id, CustomerFilter(id), ReadCustomers);
  }
  Result<std::optional<Found<PayRow>>> FindPay(int64_t id) {
    return Find<PayRow>("pay", id, IdFilter(id), ReadPays);
  }
  // Bodies of all pages, and their rows.
  Status ReadPaysOf(int64_t customer_id,
                    int64_t scope,
                    std::vector<std::string>& bodies,
                    std::vector<PayRow>& rows);
  // Of an entity's log; nothing where it is forbidden.
  Result<std::vector<LogRow>> ReadLog(std::string_view entity, int64_t id, int64_t scope);
  // Adds when payments were entered that may be on either side of a change.
  Status AddPayTimes(const std::vector<PayRow>& pays, int64_t scope, History& history);
  void WantNames(const CustomerRow& customer);
  static int64_t VersionOf(const CustomerRow& customer, const History& history);

  const Terms& terms_;
  Session& session_;
  Client client_;
  Directories directories_;
};

ReadObject Gone() {
  ReadObject object;
  object.gone = true;
  return object;
}

// Nowhere to be found: an id that isn't there, and a row that isn't readable yet, are the same
// empty page. In a chosen branch it most likely is another branch's.
ReadObject NotFound(const Terms& terms) {
  ReadObject object = Gone();
  object.perhaps_not_yet = terms.settings.branch() == 0;
  return object;
}

template <typename Row, typename ReadPage>
Result<std::optional<Reading::Found<Row>>> Reading::Find(std::string_view entity,
                                                         int64_t id,
                                                         const std::string& filter,
                                                         const ReadPage& read_page) {
  const auto look = [&](int64_t scope) -> Result<std::optional<Found<Row>>> {
    Found<Row> found;
    found.scope = scope;
    DEALSTREAM_ASSIGN_OR_RETURN(found.body, client_.Index(entity, scope, filter));
    DEALSTREAM_ASSIGN_OR_RETURN(const auto page, read_page(found.body, terms_.zone));
    const auto row = std::find_if(
        page.rows.begin(), page.rows.end(), [id](const Row& one) { return one.id == id; });
    if (row == page.rows.end()) {
      if (page.rows.empty()) {
        return std::nullopt;
      }
      return WithReason(absl::DataLossError(fmt::format(
                            "{}s: got {} others, want the one with id {}", entity, page.count, id)),
                        "wrong_shape");
    }
    found.row = *row;
    return found;
  };
  if (terms_.settings.branch() > 0) {
    return look(terms_.settings.branch());
  }
  // What the default scope shows is not documented: an object is gone only when no branch has it.
  // Source: README.md#branches.
  int64_t first = 0;
  if (const std::string* note = session_.Noted(kScopeNote, absl::Hours(24))) {
    first = ParseId(*note).value_or(0);
  }
  DEALSTREAM_ASSIGN_OR_RETURN(std::optional<Found<Row>> found, look(first));
  if (found.has_value()) {
    return found;
  }
  DEALSTREAM_ASSIGN_OR_RETURN(std::vector<int64_t> scopes, directories_.Branches());
  scopes.insert(scopes.begin(), 0);
  for (const int64_t scope : scopes) {
    if (scope == first) {
      continue;
    }
    DEALSTREAM_ASSIGN_OR_RETURN(found, look(scope));
    if (found.has_value()) {
      session_.Note(kScopeNote, fmt::format("{}", scope));
      return found;
    }
  }
  return std::nullopt;
}

Status Reading::ReadPaysOf(int64_t customer_id,
                           int64_t scope,
                           std::vector<std::string>& bodies,
                           std::vector<PayRow>& rows) {
  int64_t seen = 0;
  for (int number = 0; number < kMostPages; ++number) {
    DEALSTREAM_ASSIGN_OR_RETURN(
        std::string body,
        client_.Index("pay",
                      scope,
                      fmt::format(R"("customer_id":{},"page":{},"pageSize":{})",
                                  customer_id,
                                  number,
                                  terms_.settings.page_size())));
    DEALSTREAM_ASSIGN_OR_RETURN(const auto page, ReadPays(body, terms_.zone));
    bool is_new = false;
    for (const PayRow& row : page.rows) {
      const bool known = std::any_of(
          rows.begin(), rows.end(), [&row](const PayRow& one) { return one.id == row.id; });
      if (!known) {
        rows.push_back(row);
        is_new = true;
      }
    }
    seen += static_cast<int64_t>(page.rows.size());
    // A page past the end repeats the last one. Source: README.md#paging, seen.
    if (is_new || number == 0) {
      bodies.push_back(std::move(body));
    }
    if (!is_new || seen >= page.total) {
      break;
    }
  }
  return absl::OkStatus();
}

Result<std::vector<LogRow>> Reading::ReadLog(std::string_view entity, int64_t id, int64_t scope) {
  std::vector<LogRow> rows;
  if (session_.Noted(kNoLogNote, kNoLogFor) != nullptr) {
    return rows;
  }
  int64_t seen = 0;
  for (int number = 0; number < kMostPages; ++number) {
    auto body = client_.Index("log",
                              scope,
                              fmt::format(R"("entity":"{}","entity_id":{},"page":{},"pageSize":{})",
                                          entity,
                                          id,
                                          number,
                                          terms_.settings.page_size()));
    if (IsForbidden(body.status())) {
      session_.Note(kNoLogNote, "1");
      return std::vector<LogRow>();
    }
    DEALSTREAM_RETURN_IF_ERROR(body.status());
    auto page = ReadLogPage(*body, terms_.zone);
    DEALSTREAM_RETURN_IF_ERROR(OfAnswer(page.status()));
    bool is_new = false;
    for (LogRow& row : page->rows) {
      // Filters that an account doesn't know are ignored by it.
      if (row.entity != entity || row.entity_id != id) {
        continue;
      }
      const bool known = std::any_of(
          rows.begin(), rows.end(), [&row](const LogRow& one) { return one.id == row.id; });
      if (!known) {
        rows.push_back(std::move(row));
        is_new = true;
      }
    }
    seen += page->count;
    if (!is_new || seen >= page->total) {
      break;
    }
  }
  return rows;
}

Status Reading::AddPayTimes(const std::vector<PayRow>& pays, int64_t scope, History& history) {
  size_t asked = 0;
  for (const PayRow& pay : pays) {
    const bool matters = !pay.HasOwnTime() && pay.document_date.has_value() &&
                         terms_.KindOf(pay.pay_type_id) != PayKind::kNotCounted &&
                         history.HasChangeOn(pay.document_date->time, terms_.zone);
    if (!matters || asked == kMostPayLogs) {
      continue;
    }
    ++asked;
    DEALSTREAM_ASSIGN_OR_RETURN(std::vector<LogRow> rows, ReadLog("Pay", pay.id, scope));
    const History entered = HistoryOf(std::move(rows));
    if (entered.made.has_value()) {
      history.pays.emplace_back(pay.id, *entered.made);
    }
  }
  return absl::OkStatus();
}

void Reading::WantNames(const CustomerRow& customer) {
  directories_.Want(kBranches, customer.branch_ids);
  directories_.Want(kLeadStatuses, customer.lead_status_id);
  directories_.Want(kLeadSources, customer.lead_source_id);
  directories_.Want(kLeadRejects, customer.lead_reject_id);
  directories_.Want(kStudyStatuses, customer.study_status_id);
  directories_.Want(kTeachers, customer.teacher_ids);
  directories_.Want(kUsers, customer.assigned_id);
}

// Where nothing tells when it changed, the versions are equal and the last one read counts.
int64_t Reading::VersionOf(const CustomerRow& customer, const History& history) {
  auto version = customer.ChangedAt(history);
  if (!version.has_value()) {
    version = customer.MadeAt(history);
  }
  return version.has_value() ? std::max(absl::ToUnixMicros(*version), kUnknownVersion)
                             : kUnknownVersion;
}

Result<ReadObject> Reading::Lead(int64_t customer_id) {
  DEALSTREAM_ASSIGN_OR_RETURN(auto found, FindCustomer(customer_id));
  if (!found.has_value()) {
    return NotFound(terms_);
  }
  const CustomerRow& customer = found->row;
  std::vector<std::string> pay_bodies;
  std::vector<PayRow> pays;
  DEALSTREAM_RETURN_IF_ERROR(ReadPaysOf(customer_id, found->scope, pay_bodies, pays));
  std::erase_if(pays, [this](const PayRow& pay) {
    return terms_.KindOf(pay.pay_type_id) == PayKind::kNotCounted;
  });

  // The log says when the lead became a client, whether a client ever was a lead, and when a card
  // changed that doesn't say it: where none of these is asked, it costs a call for nothing.
  History history;
  if (!pays.empty() || !customer.ChangedAt(history).has_value() || !customer.HasLeadDeal(history)) {
    DEALSTREAM_ASSIGN_OR_RETURN(std::vector<LogRow> rows,
                                ReadLog("Customer", customer_id, found->scope));
    history = HistoryOf(std::move(rows));
    if (!customer.HasLeadDeal(history)) {
      return Gone();
    }
    DEALSTREAM_RETURN_IF_ERROR(AddPayTimes(pays, found->scope, history));
  }
  WantNames(customer);
  DEALSTREAM_ASSIGN_OR_RETURN(std::string names, directories_.ToJson());

  ReadObject object;
  object.version = VersionOf(customer, history);
  object.parts.emplace_back(kCustomerPart, std::move(found->body));
  for (std::string& body : pay_bodies) {
    object.parts.emplace_back(kPaysPart, std::move(body));
  }
  object.parts.emplace_back(kHistoryPart, history.ToJson());
  object.parts.emplace_back(kNamesPart, std::move(names));
  return object;
}

Result<ReadObject> Reading::Pay(int64_t pay_id) {
  DEALSTREAM_ASSIGN_OR_RETURN(auto found, FindPay(pay_id));
  if (!found.has_value()) {
    return NotFound(terms_);
  }
  if (found->row.customer_id <= 0 ||
      terms_.KindOf(found->row.pay_type_id) == PayKind::kNotCounted) {
    return Gone();
  }
  const PayRow& pay = found->row;
  DEALSTREAM_ASSIGN_OR_RETURN(auto customer, FindCustomer(pay.customer_id));
  History history;
  if (customer.has_value()) {
    DEALSTREAM_ASSIGN_OR_RETURN(std::vector<LogRow> rows,
                                ReadLog("Customer", pay.customer_id, customer->scope));
    history = HistoryOf(std::move(rows));
    DEALSTREAM_RETURN_IF_ERROR(AddPayTimes({pay}, found->scope, history));
    if (!history.IsUpsell(pay.MadeAt(history), customer->row.IsClient())) {
      return Gone();
    }
    directories_.Want(kUsers, customer->row.assigned_id);
    directories_.Want(kTeachers, customer->row.teacher_ids);
  }
  directories_.Want(kBranches, pay.branch_id);
  directories_.Want(kPayTypes, pay.pay_type_id);
  directories_.Want(kPayAccounts, pay.pay_account_id);
  directories_.Want(kPayItems, pay.pay_item_id);
  DEALSTREAM_ASSIGN_OR_RETURN(std::string names, directories_.ToJson());

  ReadObject object;
  const absl::Time changed = pay.ChangedAt(history);
  object.version = changed == absl::InfinitePast()
                       ? kUnknownVersion
                       : std::max(absl::ToUnixMicros(changed), kUnknownVersion);
  object.parts.emplace_back(kPayPart, std::move(found->body));
  if (customer.has_value()) {
    object.parts.emplace_back(kCustomerPart, std::move(customer->body));
  }
  object.parts.emplace_back(kHistoryPart, history.ToJson());
  object.parts.emplace_back(kNamesPart, std::move(names));
  return object;
}

Result<ReadObject> Reading::Payer(int64_t pay_id) {
  DEALSTREAM_ASSIGN_OR_RETURN(const auto found, FindPay(pay_id));
  if (!found.has_value()) {
    return NotFound(terms_);
  }
  if (found->row.customer_id <= 0) {
    return Gone();
  }
  const int64_t customer_id = found->row.customer_id;
  DEALSTREAM_ASSIGN_OR_RETURN(ReadObject object, Lead(customer_id));
  object.ref = ObjectRef{std::string(kLead), LeadId(customer_id)};
  return object;
}

// ---- Listing -----------------------------------------------------------------------------------

// Where a pass is: `<its beginning, µs>;<step>;<page>;<rows of the step so far>;<branches>`. The
// steps are, for each branch, its cards and its payments of each type that counts, and in the end
// the log of cards and that of payments.
struct PageToken {
  absl::Time began;
  int64_t step = 0;
  int64_t page = 0;
  int64_t rows = 0;
  std::vector<int64_t> branches;

  std::string ToText() const {
    return fmt::format(
        "{};{};{};{};{}", absl::ToUnixMicros(began), step, page, rows, fmt::join(branches, "."));
  }

  static Result<PageToken> Parse(std::string_view text) {
    const auto wrong = [text] {
      return absl::InvalidArgumentError(fmt::format(
          "page token: got \"{}\", want one that an earlier page gave", text.substr(0, 100)));
    };
    const std::vector<std::string> parts = absl::StrSplit(ToAbsl(text), ';');
    if (parts.size() != 5) {
      return wrong();
    }
    PageToken token;
    const auto began = ParseId(parts[0]);
    const auto step = ParseId(parts[1]);
    const auto page = ParseId(parts[2]);
    const auto rows = ParseId(parts[3]);
    if (!began || !step || !page || !rows || *page > 1'000'000) {
      return wrong();
    }
    token.began = absl::FromUnixMicros(*began);
    token.step = *step;
    token.page = *page;
    token.rows = *rows;
    for (const absl::string_view part : absl::StrSplit(parts[4], '.')) {
      const auto branch = ParseId(ToStd(part));
      if (!branch) {
        return wrong();
      }
      token.branches.push_back(*branch);
    }
    return token;
  }
};

struct Step {
  enum class Kind { kCustomers, kPays, kLog } kind;
  int64_t branch = 0;
  int64_t pay_type = 0;
  std::string_view entity;
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
  const int64_t scope = terms.settings.branch();
  steps.push_back({Step::Kind::kLog, scope, 0, "Customer"});
  steps.push_back({Step::Kind::kLog, scope, 0, "Pay"});
  return steps;
}

// A cursor is an instant as RFC 3339, UTC: readable for those who look at it.
std::string CursorOf(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

Result<absl::Time> ParseCursor(std::string_view text) {
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, ToAbsl(text), &time, &error)) {
    return absl::InvalidArgumentError(
        fmt::format("cursor: got \"{}\", want an RFC 3339 time", text.substr(0, 100)));
  }
  return time;
}

class Listing {
 public:
  Listing(const ListRequest& request, const Terms& terms, Session& session)
      : terms_(terms), session_(session), is_sweep_(!request.cursor.empty()), to_(request.to) {}

  Status SetFrom(const ListRequest& request) {
    from_ = request.from;
    if (is_sweep_) {
      DEALSTREAM_ASSIGN_OR_RETURN(from_, ParseCursor(request.cursor));
    }
    from_ = std::max(from_, absl::UnixEpoch());
    if (is_sweep_) {
      from_ -= kOverlap;
    }
    return absl::OkStatus();
  }

  Result<ListPage> Page(const PageToken& token);

 private:
  std::string FilterOf(const Step& step, const PageToken& token) const;
  bool InRange(absl::Time time) const { return from_ <= time && time < to_; }
  // A row that says when it changed counts when it did so in the range; one that doesn't is listed
  // by the first pass and by backfills, and left to the log after.
  bool Listed(const std::optional<WireTime>& updated) const {
    return updated.has_value() && updated->has_time ? InRange(updated->time) : !is_sweep_;
  }
  static int64_t VersionOf(const std::optional<WireTime>& updated) {
    return updated.has_value() && updated->has_time ? absl::ToUnixMicros(updated->time)
                                                    : kUnknownVersion;
  }
  void Add(std::string_view kind, std::string external_id, int64_t version);

  struct Seen {
    int64_t page = 0;
    int64_t rows = 0;
    int64_t total = 0;
  };
  Result<Seen> ReadStep(const Step& step, const std::string& body);

  const Terms& terms_;
  Session& session_;
  const bool is_sweep_;
  absl::Time from_;
  const absl::Time to_;
  ListPage page_;
};

std::string Listing::FilterOf(const Step& step, const PageToken& token) const {
  const std::string day = FormatDay(from_, terms_.zone);
  const std::string paging =
      fmt::format(R"("page":{},"pageSize":{})", token.page, terms_.settings.page_size());
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
  const ObjectRef ref{std::string(kind), std::move(external_id)};
  const auto known = std::find_if(page_.objects.begin(),
                                  page_.objects.end(),
                                  [&ref](const ListedObject& one) { return one.ref == ref; });
  if (known == page_.objects.end()) {
    page_.objects.push_back({ref, version});
  } else {
    known->version = std::max(known->version, version);
  }
}

Result<Listing::Seen> Listing::ReadStep(const Step& step, const std::string& body) {
  if (step.kind == Step::Kind::kCustomers) {
    DEALSTREAM_ASSIGN_OR_RETURN(const auto page, ReadCustomers(body, terms_.zone));
    for (const CustomerRow& row : page.rows) {
      if (Listed(row.updated_at)) {
        Add(kLead, LeadId(row.id), VersionOf(row.updated_at));
      }
    }
    return Seen{page.page, static_cast<int64_t>(page.rows.size()), page.total};
  }
  if (step.kind == Step::Kind::kPays) {
    DEALSTREAM_ASSIGN_OR_RETURN(const auto page, ReadPays(body, terms_.zone));
    for (const PayRow& row : page.rows) {
      if (row.customer_id > 0 && Listed(row.updated_at)) {
        Add(kPay, PayId(row.id), VersionOf(row.updated_at));
        // Its sum may have changed.
        Add(kLead, LeadId(row.customer_id), VersionOf(row.updated_at));
      }
    }
    return Seen{page.page, static_cast<int64_t>(page.rows.size()), page.total};
  }
  auto page = ReadLogPage(body, terms_.zone);
  DEALSTREAM_RETURN_IF_ERROR(OfAnswer(page.status()));
  for (const LogRow& row : page->rows) {
    if (row.entity != step.entity || row.entity_id <= 0 || !InRange(row.at)) {
      continue;
    }
    const int64_t version = absl::ToUnixMicros(row.at);
    if (row.entity == "Customer") {
      Add(kLead, LeadId(row.entity_id), version);
      continue;
    }
    Add(kPay, PayId(row.entity_id), version);
    for (const int64_t customer : {row.customer_before, row.customer_after}) {
      if (customer > 0) {
        Add(kLead, LeadId(customer), version);
      }
    }
  }
  return Seen{page->page, std::max<int64_t>(page->count, 0), page->total};
}

Result<ListPage> Listing::Page(const PageToken& token) {
  const std::vector<Step> steps = StepsOf(token.branches, terms_);
  if (token.step >= static_cast<int64_t>(steps.size())) {
    return absl::InvalidArgumentError(
        fmt::format("page token: got step {}, want one of {}: the settings have changed meanwhile",
                    token.step,
                    steps.size()));
  }
  const Step& step = steps[static_cast<size_t>(token.step)];
  const bool is_log = step.kind == Step::Kind::kLog;
  const bool skipped = is_log && session_.Noted(kNoLogNote, kNoLogFor) != nullptr;
  Seen seen;
  if (!skipped) {
    Client client(session_);
    auto body = client.Index(is_log ? "log" : step.entity, step.branch, FilterOf(step, token));
    if (is_log && IsForbidden(body.status())) {
      session_.Note(kNoLogNote, "1");
    } else {
      DEALSTREAM_RETURN_IF_ERROR(body.status());
      DEALSTREAM_ASSIGN_OR_RETURN(seen, ReadStep(step, *body));
    }
  }
  PageToken next = token;
  next.rows += seen.rows;
  // A page past the end repeats the last one. Source: README.md#paging, seen.
  const bool is_last = seen.rows == 0 || seen.page < token.page || next.rows >= seen.total;
  if (is_last) {
    ++next.step;
    next.page = 0;
    next.rows = 0;
  } else {
    ++next.page;
  }
  if (next.step < static_cast<int64_t>(steps.size())) {
    page_.next_page_token = next.ToText();
  } else {
    page_.cursor = CursorOf(token.began);
  }
  return std::move(page_);
}

}  // namespace

Result<ReadObject> Source::Read(const ObjectRef& ref,
                                const google::protobuf::Any& settings,
                                Session& session) const {
  const auto number = NumberOf(ref.kind, ref.external_id);
  const bool known = ref.kind == kLead || ref.kind == kPay || ref.kind == kPayer;
  if (!known || !number.has_value()) {
    return absl::InvalidArgumentError(
        fmt::format("read: got {} \"{}\", want a lead or pay and its number, as in lead:4101",
                    ref.kind.substr(0, 100),
                    ref.external_id.substr(0, 100)));
  }
  DEALSTREAM_ASSIGN_OR_RETURN(const Terms* terms, TermsInForce(settings));
  Reading reading(*terms, session);
  if (ref.kind == kLead) {
    return reading.Lead(*number);
  }
  return ref.kind == kPay ? reading.Pay(*number) : reading.Payer(*number);
}

Result<ListPage> Source::List(const ListRequest& request,
                              Purpose,
                              const google::protobuf::Any& settings,
                              Session& session) const {
  DEALSTREAM_ASSIGN_OR_RETURN(const Terms* terms, TermsInForce(settings));
  Listing listing(request, *terms, session);
  DEALSTREAM_RETURN_IF_ERROR(listing.SetFrom(request));
  if (!request.page_token.empty()) {
    DEALSTREAM_ASSIGN_OR_RETURN(const PageToken token, PageToken::Parse(request.page_token));
    return listing.Page(token);
  }
  PageToken first;
  first.began = session.Now();
  if (terms->settings.branch() > 0) {
    first.branches = {terms->settings.branch()};
  } else {
    DEALSTREAM_ASSIGN_OR_RETURN(first.branches, Directories(session, 0).Branches());
    if (first.branches.empty()) {
      first.branches = {0};
    }
  }
  return listing.Page(first);
}

}  // namespace dealstream::crm::alfacrm
