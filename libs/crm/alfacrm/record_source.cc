#include "libs/crm/alfacrm/record_source.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include <fmt/format.h>

#include "libs/crm/alfacrm/client.h"
#include "libs/crm/alfacrm/directories.h"
#include "libs/crm/alfacrm/history.h"
#include "libs/crm/alfacrm/listing.h"
#include "libs/crm/alfacrm/log_notes.h"
#include "libs/crm/alfacrm/rows.h"
#include "libs/crm/alfacrm/settings.h"
#include "libs/crm/alfacrm/wire.h"

namespace dealstream::crm::alfacrm {
namespace {

// Pages of one customer's payments or log in one scope.
constexpr int kMostPages = 50;
// Payments without a time of their own on the day of a change; each costs a call or more.
constexpr size_t kMostPayLogs = 100;
// Bytes of what is read for one object, names of directories aside.
constexpr size_t kMostBytes = size_t{8} << 20;
// How old the list of branches may be that an object is not found in.
constexpr auto kFreshBranches = absl::Minutes(1);
constexpr std::string_view kScopeNote = "scope";
// Followed by a branch: the default scope shows its payments.
constexpr std::string_view kShownNote = "shown/";
constexpr absl::Duration kScopesKeptFor = absl::Hours(24);

std::string ShownNote(int64_t branch) { return fmt::format("{}{}", kShownNote, branch); }

std::string IdFilter(int64_t id) { return fmt::format(R"("id":{},"page":0)", id); }

// Leads and clients, the archive included. Without these, some kinds are hidden. Source:
// README.md#fields, seen.
std::string CustomerFilter(int64_t id) {
  return fmt::format(R"("id":{},"is_study":2,"removed":1,"page":0)", id);
}

// It is about this object alone: the account's other branches are read as ever.
Status BranchForbidden(std::string_view entity, int64_t branch) {
  return WithReason(absl::FailedPreconditionError(fmt::format(
                        "{}: branch {} is refused, want it to be open: what it holds can't be told",
                        entity,
                        branch)),
                    kObjectForbidden);
}

// What the log decided once isn't decided anew without it: a client's first payment would become a
// deal of its own, and be deleted when the log is back.
Status LogClosed() {
  return WithReason(absl::FailedPreconditionError("log: refused, though it could be read before: "
                                                  "want it for when a lead became a client"),
                    "log_forbidden");
}

Status TooManyPages(std::string_view entity) {
  return WithReason(
      absl::DataLossError(fmt::format("{}: got more than {} pages for one object, want fewer: "
                                      "setting page_size asks for longer ones",
                                      entity,
                                      kMostPages)),
      "too_many_pages");
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
  struct Pays {
    std::vector<PayRow> rows;
    std::vector<std::string> bodies;
    absl::flat_hash_set<int64_t> ids;
  };
  struct Log {
    std::vector<LogRow> rows;
    // It is refused where it may hold rows, and none were found elsewhere.
    bool closed = false;
    // ... though it could be read before.
    bool lost = false;
  };

  // Bounds what is read for one object.
  Result<std::string> Index(std::string_view entity, int64_t scope, std::string_view filter);
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
  // Whether it is a branch among others, whose being refused says nothing of the credential.
  bool IsOneOfMany(int64_t scope) const { return scope != 0 && terms_.settings.branch() == 0; }
  // All branches; none where they can't be read.
  Result<std::vector<int64_t>> KnownBranches();
  // Where to ask for what belongs to an object of these branches, which was found in `found`.
  Result<std::vector<int64_t>> ScopesOf(int64_t found, const std::vector<int64_t>& branches);
  bool IsShownByDefault(int64_t scope) const;
  Result<Pays> ReadPaysOf(int64_t customer_id, const std::vector<int64_t>& scopes);
  Status ReadPaysIn(int64_t customer_id, int64_t scope, Pays& pays);
  // Of an entity's log.
  Result<Log> ReadLog(std::string_view entity, int64_t id, const std::vector<int64_t>& scopes);
  // Nothing where it is forbidden.
  Result<std::optional<std::vector<LogRow>>> ReadLogIn(std::string_view entity,
                                                       int64_t id,
                                                       int64_t scope);
  // Adds when payments were entered that may be on either side of a change.
  Status AddPayTimes(const std::vector<PayRow>& pays, int64_t scope, History& history);
  void WantNames(const CustomerRow& customer);
  int64_t VersionOf(const CustomerRow& customer, const History& history, const Log& log) const;

  const Terms& terms_;
  Session& session_;
  Client client_;
  Directories directories_;
  size_t bytes_ = 0;
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

Result<std::string> Reading::Index(std::string_view entity,
                                   int64_t scope,
                                   std::string_view filter) {
  DEALSTREAM_ASSIGN_OR_RETURN(std::string body, client_.Index(entity, scope, filter));
  bytes_ += body.size();
  if (bytes_ > kMostBytes) {
    return WithReason(
        absl::DataLossError(fmt::format(
            "{}: got {} bytes for one object, want at most {}", entity, bytes_, kMostBytes)),
        "too_large");
  }
  return body;
}

template <typename Row, typename ReadPage>
Result<std::optional<Reading::Found<Row>>> Reading::Find(std::string_view entity,
                                                         int64_t id,
                                                         const std::string& filter,
                                                         const ReadPage& read_page) {
  std::vector<int64_t> asked;
  std::optional<int64_t> refused;
  const auto look = [&](int64_t scope) -> Result<std::optional<Found<Row>>> {
    asked.push_back(scope);
    Found<Row> found;
    found.scope = scope;
    auto body = Index(entity, scope, filter);
    if (IsOneOfMany(scope) && IsForbidden(body.status())) {
      refused = scope;
      return std::nullopt;
    }
    DEALSTREAM_RETURN_IF_ERROR(body.status());
    found.body = *std::move(body);
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
  if (const std::string* note = session_.Noted(kScopeNote, kScopesKeptFor)) {
    first = ParseId(*note).value_or(0);
  }
  const auto look_in =
      [&](const std::vector<int64_t>& scopes) -> Result<std::optional<Found<Row>>> {
    for (const int64_t scope : scopes) {
      if (std::find(asked.begin(), asked.end(), scope) != asked.end()) {
        continue;
      }
      DEALSTREAM_ASSIGN_OR_RETURN(std::optional<Found<Row>> found, look(scope));
      if (found.has_value()) {
        if (scope != first) {
          session_.Note(kScopeNote, fmt::format("{}", scope));
        }
        return found;
      }
    }
    return std::nullopt;
  };
  DEALSTREAM_ASSIGN_OR_RETURN(std::optional<Found<Row>> found, look_in({first, 0}));
  // What isn't in the branches that are known may be in one that was made since.
  for (const absl::Duration at_most : {kNamesKeptFor, kFreshBranches}) {
    if (!found.has_value()) {
      DEALSTREAM_ASSIGN_OR_RETURN(const auto branches, directories_.Branches(at_most));
      DEALSTREAM_ASSIGN_OR_RETURN(found, look_in(branches));
    }
  }
  if (!found.has_value() && refused.has_value()) {
    return BranchForbidden(entity, *refused);
  }
  return found;
}

Result<std::vector<int64_t>> Reading::KnownBranches() {
  auto branches = directories_.Branches(kNamesKeptFor);
  if (!branches.ok() && absl::IsFailedPrecondition(branches.status())) {
    return std::vector<int64_t>();
  }
  return branches;
}

// A path with a branch shows that branch's payments and log; what the default scope shows is not
// documented: all of them are asked, unless there is one branch only, or the default scope has
// shown a payment of the branch. Source: README.md#branches.
Result<std::vector<int64_t>> Reading::ScopesOf(int64_t found,
                                               const std::vector<int64_t>& branches) {
  if (terms_.settings.branch() > 0) {
    return std::vector<int64_t>{terms_.settings.branch()};
  }
  DEALSTREAM_ASSIGN_OR_RETURN(const std::vector<int64_t> all, KnownBranches());
  if (all.size() == 1) {
    return std::vector<int64_t>{found};
  }
  std::vector<int64_t> scopes = {0};
  const auto add = [&scopes](int64_t scope) {
    if (std::find(scopes.begin(), scopes.end(), scope) == scopes.end()) {
      scopes.push_back(scope);
    }
  };
  add(found);
  std::for_each(branches.begin(), branches.end(), add);
  return scopes;
}

bool Reading::IsShownByDefault(int64_t scope) const {
  return scope > 0 && session_.Noted(ShownNote(scope), kScopesKeptFor) != nullptr;
}

Result<Reading::Pays> Reading::ReadPaysOf(int64_t customer_id, const std::vector<int64_t>& scopes) {
  Pays pays;
  for (const int64_t scope : scopes) {
    if (scopes.front() == 0 && IsShownByDefault(scope)) {
      continue;
    }
    const Status status = ReadPaysIn(customer_id, scope, pays);
    if (IsOneOfMany(scope) && IsForbidden(status)) {
      return BranchForbidden("pay", scope);
    }
    DEALSTREAM_RETURN_IF_ERROR(status);
  }
  std::erase_if(pays.rows, [this](const PayRow& pay) {
    return terms_.KindOf(pay.pay_type_id) == PayKind::kNotCounted;
  });
  return pays;
}

Status Reading::ReadPaysIn(int64_t customer_id, int64_t scope, Pays& pays) {
  absl::flat_hash_set<int64_t> seen_here;
  int64_t seen = 0;
  for (int number = 0; number < kMostPages; ++number) {
    DEALSTREAM_ASSIGN_OR_RETURN(std::string body,
                                Index("pay",
                                      scope,
                                      fmt::format(R"("customer_id":{},"page":{},"pageSize":{})",
                                                  customer_id,
                                                  number,
                                                  terms_.settings.page_size())));
    DEALSTREAM_ASSIGN_OR_RETURN(const auto page, ReadPays(body, terms_.zone));
    bool is_new = false;
    bool is_new_here = false;
    for (const PayRow& row : page.rows) {
      is_new_here |= seen_here.insert(row.id).second;
      if (scope == 0 && row.branch_id > 0 && !IsShownByDefault(row.branch_id)) {
        session_.Note(ShownNote(row.branch_id), "yes");
      }
      if (pays.ids.insert(row.id).second) {
        pays.rows.push_back(row);
        is_new = true;
      }
    }
    seen += static_cast<int64_t>(page.rows.size());
    if (is_new || pays.bodies.empty()) {
      pays.bodies.push_back(std::move(body));
    }
    // A page past the end repeats the last one. Source: README.md#paging, seen.
    if (!is_new_here || seen >= page.total) {
      return absl::OkStatus();
    }
  }
  return TooManyPages("pay");
}

Result<Reading::Log> Reading::ReadLog(std::string_view entity,
                                      int64_t id,
                                      const std::vector<int64_t>& scopes) {
  Log log;
  for (const int64_t scope : scopes) {
    if (scopes.front() == 0 && IsShownByDefault(scope)) {
      continue;
    }
    DEALSTREAM_ASSIGN_OR_RETURN(auto rows, ReadLogIn(entity, id, scope));
    if (rows.has_value()) {
      std::move(rows->begin(), rows->end(), std::back_inserter(log.rows));
      continue;
    }
    log.closed = true;
    log.lost = log.lost || WasLogRead(session_, scope);
  }
  log.closed = log.closed && log.rows.empty();
  log.lost = log.lost && log.rows.empty();
  return log;
}

Result<std::optional<std::vector<LogRow>>> Reading::ReadLogIn(std::string_view entity,
                                                              int64_t id,
                                                              int64_t scope) {
  std::vector<LogRow> rows;
  if (IsLogClosed(session_, scope)) {
    return std::nullopt;
  }
  absl::flat_hash_set<std::pair<int64_t, int64_t>> known;
  int64_t seen = 0;
  for (int number = 0; number < kMostPages; ++number) {
    auto body = Index("log",
                      scope,
                      fmt::format(R"("entity":"{}","entity_id":{},"page":{},"pageSize":{})",
                                  entity,
                                  id,
                                  number,
                                  terms_.settings.page_size()));
    if (IsForbidden(body.status())) {
      NoteLog(session_, scope, false);
      return std::nullopt;
    }
    DEALSTREAM_RETURN_IF_ERROR(body.status());
    NoteLog(session_, scope, true);
    auto page = ReadLogPage(*body, terms_.zone);
    DEALSTREAM_RETURN_IF_ERROR(OfAnswer(page.status()));
    bool is_new = false;
    for (LogRow& row : page->rows) {
      // Filters that an account doesn't know are ignored by it.
      if (row.entity != entity || row.entity_id != id) {
        continue;
      }
      // Rows may have no number of their own.
      is_new |= known.emplace(row.id, absl::ToUnixMicros(row.at)).second;
      rows.push_back(std::move(row));
    }
    seen += page->count;
    // A page past the end repeats the last one, which HistoryOf leaves out. Source:
    // README.md#paging, seen.
    if (!is_new || seen >= page->total || page->page < number) {
      return rows;
    }
  }
  return TooManyPages("log");
}

Status Reading::AddPayTimes(const std::vector<PayRow>& pays, int64_t scope, History& history) {
  size_t asked = 0;
  for (const PayRow& pay : pays) {
    const bool matters = !pay.HasOwnTime() && pay.document_date.has_value() &&
                         terms_.KindOf(pay.pay_type_id) != PayKind::kNotCounted &&
                         history.HasChangeOn(pay.document_date->time, terms_.zone);
    if (!matters) {
      continue;
    }
    // All are treated alike: else one could count for the first sale and be a deal of its own.
    if (++asked > kMostPayLogs) {
      return WithReason(
          absl::DataLossError(fmt::format(
              "pays: got more than {} without a time on the day of a conversion", kMostPayLogs)),
          "too_many_payments");
    }
    std::vector<int64_t> branches;
    if (pay.branch_id > 0) {
      branches.push_back(pay.branch_id);
    }
    DEALSTREAM_ASSIGN_OR_RETURN(const std::vector<int64_t> scopes, ScopesOf(scope, branches));
    DEALSTREAM_ASSIGN_OR_RETURN(Log log, ReadLog("Pay", pay.id, scopes));
    if (log.lost) {
      return LogClosed();
    }
    const History entered = HistoryOf(std::move(log.rows));
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

// Where nothing tells when it changed, the versions are equal and the last one read counts. The log
// alone may tell it: while it is closed, what is read is newer than what was known by it.
int64_t Reading::VersionOf(const CustomerRow& customer,
                           const History& history,
                           const Log& log) const {
  auto version = customer.ChangedAt(history);
  if (!version.has_value()) {
    version = log.closed ? session_.Now() : customer.MadeAt(history);
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
  DEALSTREAM_ASSIGN_OR_RETURN(const std::vector<int64_t> scopes,
                              ScopesOf(found->scope, customer.branch_ids));
  DEALSTREAM_ASSIGN_OR_RETURN(Pays pays, ReadPaysOf(customer_id, scopes));

  // The log says when the lead became a client, whether a client ever was a lead, and when a card
  // changed that doesn't say it: where none of these is asked, it costs a call for nothing.
  Log log;
  History history;
  const bool decides = !pays.rows.empty() || !customer.HasLeadDeal(history);
  if (decides || !customer.ChangedAt(history).has_value()) {
    DEALSTREAM_ASSIGN_OR_RETURN(log, ReadLog("Customer", customer_id, scopes));
    if (decides && log.lost) {
      return LogClosed();
    }
    history = HistoryOf(std::move(log.rows));
    if (!customer.HasLeadDeal(history)) {
      return Gone();
    }
    DEALSTREAM_RETURN_IF_ERROR(AddPayTimes(pays.rows, found->scope, history));
  }
  WantNames(customer);
  DEALSTREAM_ASSIGN_OR_RETURN(std::string names, directories_.ToJson());

  ReadObject object;
  object.version = VersionOf(customer, history, log);
  object.parts.emplace_back(kCustomerPart, std::move(found->body));
  for (std::string& body : pays.bodies) {
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
  // The log outlives the card.
  std::vector<int64_t> scopes;
  if (customer.has_value()) {
    DEALSTREAM_ASSIGN_OR_RETURN(scopes, ScopesOf(customer->scope, customer->row.branch_ids));
  } else {
    DEALSTREAM_ASSIGN_OR_RETURN(const std::vector<int64_t> branches, KnownBranches());
    DEALSTREAM_ASSIGN_OR_RETURN(scopes, ScopesOf(found->scope, branches));
  }
  DEALSTREAM_ASSIGN_OR_RETURN(Log log, ReadLog("Customer", pay.customer_id, scopes));
  if (log.lost) {
    return LogClosed();
  }
  History history = HistoryOf(std::move(log.rows));
  const std::optional<bool> client_now =
      customer.has_value() ? customer->row.IsClient() : history.LastKnown();
  if (!client_now.has_value()) {
    // Whose it is may not be readable yet.
    return NotFound(terms_);
  }
  DEALSTREAM_RETURN_IF_ERROR(AddPayTimes({pay}, found->scope, history));
  if (!history.IsUpsell(pay.MadeAt(history), *client_now)) {
    return Gone();
  }
  if (customer.has_value()) {
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
  return ListChanges(request, *terms, session);
}

}  // namespace dealstream::crm::alfacrm
