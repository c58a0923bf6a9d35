// What a school answers.
#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include <fmt/format.h>

#include "libs/crm/alfacrm/sim/school.h"

namespace dealstream::crm::alfacrm::sim {
namespace {

using simkit::JsonAnswer;
using simkit::TextOf;

constexpr int64_t kDefaultPage = 50;
constexpr int64_t kLargestPage = 500;

// Dates of filters: "DD.MM.YYYY" in Moscow; nothing when it is none.
std::optional<absl::Time> FilterDay(const Json& filter, const char* key) {
  absl::Time time;
  std::string error;
  if (!filter.contains(key) ||
      !absl::ParseTime(
          "%d.%m.%Y", TextOf(filter, key), absl::FixedTimeZone(3 * 3600), &time, &error)) {
    return std::nullopt;
  }
  return time;
}

// Whether a time lies within <name>_from and <name>_to, both days included.
bool InDays(const Json& filter, const std::string& name, absl::Time time) {
  const auto from = FilterDay(filter, (name + "_from").c_str());
  const auto to = FilterDay(filter, (name + "_to").c_str());
  return (!from.has_value() || *from <= time) && (!to.has_value() || time < *to + absl::Hours(24));
}

bool Matches(const Json& filter, const char* key, int64_t value) {
  return !filter.contains(key) || TextOf(filter, key) == std::to_string(value);
}

// Whether this thread's request is a login.
bool& IsLogin() {
  thread_local bool is_login = false;
  return is_login;
}

Json OrNull(int64_t id) { return id == 0 ? Json() : Json(id); }

}  // namespace

http::ServerResponse School::Fail(int status) {
  static const std::map<int, std::pair<std::string, std::string>> texts = {
      {400, {"Bad Request", "Missing required parameters: class"}},
      {401, {"Unauthorized", "Your request was made with invalid credentials."}},
      {403, {"Forbidden", "Access Denied"}},
      {404, {"Not Found", "Page not found."}},
      {405,
       {"Method Not Allowed",
        "Method Not Allowed. This URL can only handle the following request methods: POST."}},
      {429, {"Too Many Requests", "Rate limit exceeded."}}};
  const auto found = texts.find(status);
  const auto& [name, message] = found == texts.end()
                                    ? std::pair<std::string, std::string>("Server Error", "…")
                                    : found->second;
  http::ServerResponse response =
      JsonAnswer({{"name", name}, {"message", message}, {"code", 0}, {"status", status}}, status);
  if (status == 429) {
    response.headers.emplace_back("Retry-After", "1");
  }
  return response;
}

// A token bucket: so many in a second, and as many at once. One more than that, for those that were
// sent in time come a little early now and then.
std::optional<http::ServerResponse> School::Admit(absl::Time now) {
  const double rate = settings_.requests_per_second.Int();
  // Logins don't count.
  if (std::exchange(IsLogin(), false) || rate == 0) {
    return std::nullopt;
  }
  const double earned = absl::ToDoubleSeconds(now - bucket_at_) * rate;
  bucket_ = std::clamp(bucket_ + earned, 0.0, rate + 1);
  bucket_at_ = now;
  if (bucket_ < 1) {
    Violation("rate");
    return Refuse("rate");
  }
  bucket_ -= 1;
  return std::nullopt;
}

http::ServerResponse School::Login(const http::ServerRequest& request) {
  IsLogin() = true;
  return Pass("auth.login", [&] {
    ++logins_;
    const Json body = Json::parse(request.body);
    if (TextOf(body, "api_key") != key_) {
      return Fail(401);
    }
    if (own_faults_.no_api) {
      return Fail(403);
    }
    // The number tells the accounts apart.
    const std::string token = fmt::format("{}x{}", number(), side_random().Hex(30));
    Issued(token);
    tokens_[token] = absl::Now() + absl::Seconds(settings_.token_lifetime.value());
    return JsonAnswer({{"token", token}});
  });
}

http::ServerResponse School::Call(const http::ServerRequest& request, const std::string& token) {
  std::vector<std::string> path = simkit::SplitPath(request.path);
  const size_t entity = path.size() >= 4 ? 2 : 1;
  const std::string kind =
      path.size() < 3 ? "other" : fmt::format("{}.{}", path[entity], path.back());
  return Pass(kind, [&] {
    if (request.method != "POST") {
      Violation("method");
      return Fail(405);
    }
    const auto found = tokens_.find(token);
    if (found == tokens_.end() || found->second <= absl::Now()) {
      return Fail(401);
    }
    return own_faults_.no_api ? Fail(403) : Answer(request);
  });
}

http::ServerResponse School::Answer(const http::ServerRequest& request) {
  std::vector<std::string> path = simkit::SplitPath(request.path);
  path.erase(path.begin());
  int64_t branch = 0;
  if (path.size() == 3 && absl::SimpleAtoi(path[0], &branch)) {
    path.erase(path.begin());
  }
  if (path.size() != 2) {
    return Fail(404);
  }
  Json filter = Json::parse(request.body.empty() ? "{}" : request.body);
  if (!filter.is_object()) {
    return Fail(400);
  }
  const auto query = simkit::ParseQuery(request.query);
  if (const auto size = simkit::FindParameter(query, "per-page"); !size.empty()) {
    filter["pageSize"] = std::string(size);
  }
  return path[1] == "index" ? Index(branch, path[0], filter) : Fail(404);
}

http::ServerResponse School::Index(int64_t branch, const std::string& entity, const Json& filter) {
  Json rows = Json::array();
  if (branch != 0 && NameIn("branch", branch).empty()) {
    return Fail(403);
  }
  if (entity == "customer") {
    rows = Customers(branch, filter);
  } else if (entity == "pay") {
    rows = Pays(branch, filter);
  } else if (entity == "log") {
    if (own_faults_.no_log) {
      return Fail(403);
    }
    rows = LogRows(branch, filter);
  } else if (!Directory(entity).empty()) {
    if (own_faults_.no_directories) {
      return Fail(403);
    }
    for (const Named& entry : Directory(entity)) {
      rows.push_back(
          {{"id", entry.id}, {"name", entry.name}, {"is_enabled", 1}, {"weight", entry.id}});
    }
  } else {
    return Fail(404);
  }
  const auto number_of = [&filter](const char* key, int64_t absent) {
    int64_t given = 0;
    return absl::SimpleAtoi(TextOf(filter, key), &given) ? given : absent;
  };
  const int64_t page = number_of("page", 0);
  const auto size = static_cast<size_t>(
      std::clamp<int64_t>(number_of("pageSize", kDefaultPage), 1, kLargestPage));
  // Past the end it is the last page again.
  const size_t last = rows.empty() ? 0 : (rows.size() - 1) / size;
  const size_t number = std::min(static_cast<size_t>(std::max<int64_t>(page, 0)), last);
  Json items = Json::array();
  for (size_t i = number * size; i < std::min(rows.size(), (number + 1) * size); ++i) {
    items.push_back(std::move(rows[i]));
  }
  const size_t count = items.size();
  return JsonAnswer(
      {{"page", number}, {"count", count}, {"total", rows.size()}, {"items", std::move(items)}});
}

template <typename T>
const T* School::Visible(const Kept<T>& kept) const {
  const bool stale = absl::Now() - kept.touched < absl::Milliseconds(own_faults_.stale_ms);
  const T* row = stale ? kept.before.get() : &kept.now;
  return row == nullptr || row->gone ? nullptr : row;
}

int64_t School::ScopeOf(int64_t branch) const {
  return branch == 0 && !settings_.whole_default_scope.Bool() ? 1 : branch;
}

Json School::Customers(int64_t branch, const Json& filter) const {
  const std::string kind = TextOf(filter, "is_study");
  const std::string removed = TextOf(filter, "removed");
  Json rows = Json::array();
  for (const auto& [id, kept] : customers_) {
    const Customer* customer = Visible(kept);
    if (customer == nullptr || !Matches(filter, "id", id)) {
      continue;
    }
    const int64_t scope = ScopeOf(branch);
    const auto& branches = customer->branches;
    const bool in_scope =
        scope == 0 || std::find(branches.begin(), branches.end(), scope) != branches.end();
    // Without a wish, clients.
    const bool kind_wanted =
        kind == "2" ||
        (kind.empty() ? customer->is_client : kind == (customer->is_client ? "1" : "0"));
    const bool archived = !customer->archived.empty();
    const bool removed_wanted = removed == "1" || archived == (removed == "2");
    const bool changed_wanted =
        settings_.old_rows.Bool() || InDays(filter, "updated_at", customer->updated);
    if (in_scope && kind_wanted && removed_wanted && changed_wanted) {
      rows.push_back(CustomerRow(*customer));
    }
  }
  return rows;
}

Json School::CustomerRow(const Customer& customer) const {
  Json row = {{"id", customer.id},
              {"branch_ids", customer.branches},
              {"teacher_ids", customer.teachers},
              {"name", customer.name},
              {"barcode", ""},
              {"color", nullptr},
              {"is_study", customer.is_client ? 1 : 0},
              {"study_status_id", customer.is_client ? Json(1) : Json()},
              {"lead_status_id", OrNull(customer.status)},
              {"lead_reject_id", OrNull(customer.reject)},
              {"lead_source_id", OrNull(customer.source)},
              {"assigned_id", OrNull(customer.assigned)},
              {"employee_id", nullptr},
              {"legal_type", customer.legal_type},
              {"legal_name", customer.legal_name},
              {"company_id", nullptr},
              {"dob", ""},
              {"balance", customer.is_client ? Json("1575.00") : Json()},
              {"b_date", WallTime(customer.created)},
              {"e_date", customer.archived.empty() ? "2030-12-31" : customer.archived},
              {"note", customer.note},
              {"phone", customer.phones},
              {"email", customer.emails},
              {"web", Json::array()},
              {"addr", Json::array()}};
  row.update(customer.custom);
  if (!settings_.old_rows.Bool()) {
    row["created_at"] = WallTime(customer.created);
    row["updated_at"] = WallTime(customer.updated);
  }
  return row;
}

Json School::Pays(int64_t branch, const Json& filter) const {
  // Other types than income are hidden from a plain list.
  const bool all_types =
      filter.contains("id") || filter.contains("customer_id") || filter.contains("pay_type_id");
  Json rows = Json::array();
  for (const auto& [id, kept] : pays_) {
    const Pay* pay = Visible(kept);
    if (pay == nullptr || !Matches(filter, "id", id) ||
        !Matches(filter, "customer_id", pay->customer) ||
        !Matches(filter, "pay_type_id", pay->type)) {
      continue;
    }
    const int64_t scope = ScopeOf(branch);
    const bool in_scope = scope == 0 || pay->branch == scope;
    const bool changed_wanted =
        settings_.old_rows.Bool() || InDays(filter, "updated_at", pay->updated);
    if (in_scope && changed_wanted && (all_types || pay->type == 1)) {
      rows.push_back(PayRow(*pay));
    }
  }
  return rows;
}

Json School::PayRow(const Pay& pay) const {
  // Sums of goods are numbers, the others texts.
  const auto sum = [&pay](const std::optional<Kopecks>& kopecks) -> Json {
    if (!kopecks.has_value()) {
      return nullptr;
    }
    return pay.type == 9 && *kopecks % 100 == 0 ? Json(*kopecks / 100) : Json(Units(*kopecks));
  };
  Json row = {{"id", pay.id},
              {"branch_id", pay.branch},
              {"location_id", nullptr},
              {"customer_id", OrNull(pay.customer)},
              {"pay_type_id", pay.type},
              {"pay_account_id", pay.account},
              {"pay_item_id", pay.item},
              {"teacher_id", nullptr},
              {"commodity_id", nullptr},
              {"ctt_id", nullptr},
              {"document_date", Day(pay.document)},
              {"income", sum(pay.income)}};
  if (pay.expenditure.has_value()) {
    row["expenditure"] = sum(pay.expenditure);
  }
  row["payer_name"] = pay.payer;
  row["note"] = pay.note;
  row["is_confirmed"] = pay.confirmed ? 1 : 0;
  if (!settings_.old_rows.Bool()) {
    row["created_at"] = WallTime(pay.created);
    row["updated_at"] = WallTime(pay.updated);
  }
  return row;
}

Json School::LogRows(int64_t branch, const Json& filter) const {
  // An empty map is a list; others come as maps or as JSON texts.
  const auto map = [](const Json& fields, int64_t id) -> Json {
    if (fields.empty()) {
      return id % 2 == 0 ? Json::array() : Json("");
    }
    return id % 3 == 0 ? Json(simkit::Dump(fields)) : fields;
  };
  Json rows = Json::array();
  const int64_t scope = ScopeOf(branch);
  for (const LogEntry& entry : log_) {
    const auto& branches = entry.branches;
    const bool in_scope =
        scope == 0 || std::find(branches.begin(), branches.end(), scope) != branches.end();
    if (!in_scope || (filter.contains("entity") && TextOf(filter, "entity") != entry.entity) ||
        !Matches(filter, "entity_id", entry.entity_id) || !InDays(filter, "date", entry.at)) {
      continue;
    }
    rows.push_back({{"id", entry.id},
                    {"entity", entry.entity},
                    {"entity_id", entry.entity_id},
                    {"user_id", 7},
                    {"event", entry.event},
                    {"fields_old", map(entry.before, entry.id)},
                    {"fields_new", map(entry.after, entry.id)},
                    {"fields_rel", ""},
                    {"date_time", WallTime(entry.at)}});
  }
  return rows;
}

}  // namespace dealstream::crm::alfacrm::sim
