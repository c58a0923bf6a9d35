#include <algorithm>
#include <cctype>
#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/hollihop/sim/school.h"

// API 2.0 as a school answers it.
namespace dealstream::crm::hollihop::sim {
namespace {

using simkit::JsonAnswer;

// Functions by their names in lower case, for those that write none.
constexpr const char* kFunctions[] = {"AddLead",
                                      "EditContacts",
                                      "GetDisciplines",
                                      "GetEmployees",
                                      "GetHistoryModifyLeadStatus",
                                      "GetLeads",
                                      "GetLeadStatuses",
                                      "GetLearningTypes",
                                      "GetLevels",
                                      "GetLocations",
                                      "GetOffices",
                                      "GetPayments",
                                      "GetStudents",
                                      "GetStudyRequests"};

// Empty: there is none.
std::string Canonical(const std::string& function) {
  const auto* found =
      std::find_if(std::begin(kFunctions), std::end(kFunctions), [&](const char* one) {
        return absl::EqualsIgnoreCase(one, function);
      });
  return found == std::end(kFunctions) ? std::string() : *found;
}

http::ServerResponse Error(int status, const std::string& text) {
  return JsonAnswer({{"Error", text}}, status);
}

// What a browser is shown where there is no school.
http::ServerResponse NoPage() {
  http::ServerResponse response;
  response.status = 404;
  response.headers.emplace_back("content-type", "text/html; charset=utf-8");
  response.body = "<!DOCTYPE html><html><body>Страница не найдена</body></html>";
  return response;
}

std::map<std::string, std::string> ReadArguments(const http::ServerRequest& request) {
  std::map<std::string, std::string> arguments;
  const auto add = [&arguments](const simkit::Parameters& parameters) {
    for (const auto& [name, value] : parameters) {
      arguments.emplace(absl::AsciiStrToLower(name), value);
    }
  };
  add(simkit::ParseQuery(request.query));
  if (request.method == "POST") {
    add(simkit::ParseQuery(request.body));
  }
  return arguments;
}

std::string Argument(const std::map<std::string, std::string>& arguments, const char* name) {
  const auto found = arguments.find(name);
  return found == arguments.end() ? std::string() : found->second;
}

// The API leaves out what has no value.
void Put(Json& json, const char* key, const std::string& value) {
  if (!value.empty()) {
    json[key] = value;
  }
}

void PutPerson(Json& json, const Person& person) {
  Put(json, "FirstName", person.first);
  Put(json, "LastName", person.last);
  Put(json, "MiddleName", person.middle);
}

void PutAddresses(Json& json, const Person& person) {
  Put(json, "Mobile", person.mobile);
  json["UseMobileBySystem"] = !person.mobile.empty();
  Put(json, "Phone", person.phone);
  Put(json, "EMail", person.email);
  json["UseEMailBySystem"] = !person.email.empty();
}

// "48 000,00 руб.", with no-break spaces.
std::string MoneyText(int64_t hundredths, const std::string& currency) {
  const int64_t size = hundredths < 0 ? -hundredths : hundredths;
  const std::string digits = std::to_string(size / 100);
  std::string text = hundredths < 0 ? "-" : "";
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) {
      text += "\u00a0";
    }
    text += digits[i];
  }
  const std::string mark = currency == "RUB" ? "руб." : currency == "KZT" ? "тг" : currency;
  return fmt::format("{},{:02}\u00a0{}", text, size % 100, mark);
}

// A number as JSON has it: 48000 or 48000.5.
Json MoneyNumber(int64_t hundredths) {
  return hundredths % 100 == 0 ? Json(hundredths / 100)
                               : Json(static_cast<double>(hundredths) / 100);
}

Json Named(int id, const char* key, const std::string& name) { return {{"Id", id}, {key, name}}; }

bool Holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

std::string School::Local(absl::Time time) const {
  return absl::FormatTime(
      "%Y-%m-%dT%H:%M:%S", time, absl::FixedTimeZone(60 * rules_.zone_minutes.Int()));
}

http::ServerResponse School::Fail(int status) {
  switch (status) {
    case 403:
      return Error(403, "Доступ запрещён");
    case 404:
      return NoPage();
    case 429:
      return Error(429, "Requests limit is exceeded");
    default:
      return status >= 500 ? simkit::HtmlAnswer(status) : Error(status, "Ошибка");
  }
}

http::ServerResponse School::Refuse(const std::string&) {
  return Error(200,
               fmt::format("Requests limit is exceeded: {} requests per {} seconds",
                           rules_.requests.Int(),
                           rules_.interval_ms.Int() / 1000));
}

http::ServerResponse School::Serve(const std::string& function,
                                   const http::ServerRequest& request) {
  const std::string name = Canonical(function);
  const Arguments arguments = ReadArguments(request);
  const bool gzip =
      Holds(std::string(http::FindHeader(request.headers, "accept-encoding")), "gzip");
  return Pass(name.empty() ? "unknown" : name, [&] {
    http::ServerResponse response = Answer(name, request.method, arguments);
    if (gzip) {
      response.body = simkit::Gzip(response.body);
      response.headers.emplace_back("content-encoding", "gzip");
    }
    return response;
  });
}

http::ServerResponse School::Answer(const std::string& function,
                                    const std::string& method,
                                    const Arguments& arguments) {
  if (Argument(arguments, "authkey") != key_) {
    Violation("wrong_key");
    return Fail(403);
  }
  if (!odd_.error.empty()) {
    return Error(200, odd_.error);
  }
  if (function.starts_with("Add") || function.starts_with("Edit")) {
    if (method != "POST") {
      Violation("write_by_get");
      return Error(200, "Функция доступна только методом POST");
    }
    return function == "AddLead" ? AddLead(arguments) : EditContacts(arguments);
  }
  if (function == "GetLeads") {
    return GetLeads(arguments);
  }
  if (function == "GetStudents") {
    return GetStudents(arguments);
  }
  if (function == "GetHistoryModifyLeadStatus") {
    return GetHistory(arguments);
  }
  if (function == "GetPayments") {
    return GetPayments(arguments);
  }
  const Json directory = Directory(function);
  return directory.is_null() ? Error(404, "Функция не найдена") : JsonAnswer(directory);
}

// ---- Leads

std::vector<const Lead*> School::Select(const Arguments& arguments) const {
  const std::string id = Argument(arguments, "id");
  const std::string client = Argument(arguments, "studentclientid");
  const std::string attached = Argument(arguments, "attached");
  const std::string office = Argument(arguments, "officeorcompanyid");
  const std::string updated_from = Argument(arguments, "lastupdatedfrom");
  const std::string created_from = Argument(arguments, "createdfrom");
  const std::string created_to = Argument(arguments, "createdto");
  const std::string address_from = Argument(arguments, "addressdatefrom");
  const std::string address_to = Argument(arguments, "addressdateto");
  const std::string term = Argument(arguments, "term");
  // Times and dates of this form compare as texts.
  std::vector<const Lead*> selected;
  for (const Lead& lead : leads_) {
    const bool in_office =
        office.empty() ||
        std::any_of(lead.offices.begin(), lead.offices.end(), [&](const Office* one) {
          return std::to_string(one->id) == office;
        });
    const bool kept =
        !lead.gone && (id.empty() || std::to_string(lead.id) == id) &&
        (client.empty() || std::to_string(lead.client_id) == client) &&
        (attached != "true" || lead.client_id != 0) &&
        (attached != "false" || lead.client_id == 0) && in_office &&
        (updated_from.empty() || Local(lead.updated) >= updated_from) &&
        (created_from.empty() || Local(lead.created) >= created_from) &&
        (created_to.empty() || Local(lead.created).substr(0, created_to.size()) <= created_to) &&
        (address_from.empty() || lead.address_date >= address_from) &&
        (address_to.empty() || lead.address_date <= address_to) &&
        (term.empty() || Holds(lead.person.last + " " + lead.person.first, term) ||
         Holds(lead.person.mobile, term));
    if (kept) {
      selected.push_back(&lead);
    }
  }
  return selected;
}

void School::Sort(std::vector<const Lead*>& leads) {
  if (odd_.shuffle) {
    for (size_t i = leads.size(); i > 1; --i) {
      std::swap(leads[i - 1], leads[side_random().Below(i)]);
    }
    return;
  }
  const int order = rules_.order.Int();
  std::sort(leads.begin(), leads.end(), [order](const Lead* a, const Lead* b) {
    if (order % 2 == 1) {
      std::swap(a, b);
    }
    return order >= 2 && a->updated != b->updated ? a->updated < b->updated : a->id < b->id;
  });
}

Json School::Page(Json rows, const Arguments& arguments) const {
  int64_t skip = 0;
  int64_t take = rules_.default_take.Int();
  if (!absl::SimpleAtoi(Argument(arguments, "skip"), &skip) || skip < 0 || odd_.repeat_page) {
    skip = 0;
  }
  int64_t given = 0;
  if (absl::SimpleAtoi(Argument(arguments, "take"), &given) && given > 0) {
    take = std::min<int64_t>(given, rules_.most_take.Int());
  }
  Json page = Json::array();
  const auto size = static_cast<int64_t>(rows.size());
  for (int64_t i = skip; i < std::min(size, skip + take); ++i) {
    page.push_back(std::move(rows[static_cast<size_t>(i)]));
  }
  return page;
}

Json School::WithNow(Json answer) const {
  if (!odd_.no_now) {
    answer["Now"] = Local(Now());
  }
  return answer;
}

void School::AddBudget(const Lead& lead, Json& json, Json& extra_fields) const {
  if (!lead.budget.has_value()) {
    return;
  }
  const std::string text = MoneyText(*lead.budget, lead.currency);
  // In roubles a number needs no currency.
  const bool is_plain = lead.currency == "RUB";
  switch (lead.budget_form) {
    case BudgetForm::kNumber:
      json["Budget"] = MoneyNumber(*lead.budget);
      break;
    case BudgetForm::kText:
      json["Budget"] = text;
      return;
    case BudgetForm::kQuantity:
      json["Budget"] = text;
      json["BudgetQuantity"] = MoneyNumber(*lead.budget);
      break;
    case BudgetForm::kExtraField:
      extra_fields.push_back({{"Name", "Бюджет"}, {"Value", text}});
      return;
  }
  if (!is_plain || lead.budget_form == BudgetForm::kQuantity) {
    json["BudgetCurrency"] = is_plain ? "руб." : lead.currency;
  }
}

Json School::LeadJson(const Lead& lead) const {
  Json json = {{"Id", lead.id}, {"Created", Local(lead.created)}, {"Updated", Local(lead.updated)}};
  PutPerson(json, lead.person);
  Put(json, "AddressDate", lead.address_date);
  Put(json, "AdSource", lead.ad_source);
  if (lead.status != nullptr) {
    json["StatusId"] = lead.status->id;
    json["Status"] = lead.status->name;
  }
  PutAddresses(json, lead.person);
  Put(json, "Maturity", lead.maturity);
  Put(json, "LearningType", lead.learning_type);
  Put(json, "Discipline", lead.discipline);
  Put(json, "Level", lead.level);
  Json extra_fields = Json::array();
  AddBudget(lead, json, extra_fields);
  for (const Person& agent : lead.agents) {
    Json& added = json["Agents"].emplace_back(Json::object());
    PutPerson(added, agent);
    Put(added, "WhoIs", agent.who_is);
    added["IsCustomer"] = true;
    PutAddresses(added, agent);
  }
  for (const Office* office : lead.offices) {
    json["OfficesAndCompanies"].push_back(Named(office->id, "Name", office->name));
  }
  for (const Employee* assignee : lead.assignees) {
    std::string name = fmt::format("{} {} {}", assignee->last, assignee->first, assignee->middle);
    json["Assignees"].push_back(
        Named(assignee->id, "FullName", std::string(ToStd(absl::StripAsciiWhitespace(name)))));
  }
  if (!lead.reject_reason.empty()) {
    extra_fields.push_back({{"Name", "Причина отказа"}, {"Value", lead.reject_reason}});
  }
  for (const auto& [name, value] : lead.extra_fields) {
    extra_fields.push_back({{"Name", name}, {"Value", value}});
  }
  if (!extra_fields.empty()) {
    json["ExtraFields"] = std::move(extra_fields);
  }
  if (lead.client_id != 0) {
    json["StudentClientId"] = lead.client_id;
  }
  return json;
}

http::ServerResponse School::GetLeads(const Arguments& arguments) {
  std::vector<const Lead*> leads = Select(arguments);
  Sort(leads);
  Json rows = Json::array();
  for (const Lead* lead : leads) {
    rows.push_back(LeadJson(*lead));
  }
  return JsonAnswer(WithNow({{"Leads", Page(std::move(rows), arguments)}}));
}

// ---- The rest

http::ServerResponse School::GetStudents(const Arguments& arguments) {
  const std::string client = Argument(arguments, "clientid");
  Json rows = Json::array();
  for (const Lead& lead : leads_) {
    if (lead.gone || lead.client_id == 0 ||
        (!client.empty() && std::to_string(lead.client_id) != client)) {
      continue;
    }
    Json student = {{"ClientId", lead.client_id},
                    {"Id", lead.client_id * 3},
                    {"Created", Local(lead.created)},
                    {"Updated", Local(lead.updated)}};
    PutPerson(student, lead.person);
    student["Status"] = "Учится";
    PutAddresses(student, lead.person);
    if (!lead.discipline.empty()) {
      Json discipline = {{"Discipline", lead.discipline}};
      Put(discipline, "Level", lead.level);
      student["Disciplines"].push_back(std::move(discipline));
    }
    rows.push_back(std::move(student));
  }
  return JsonAnswer(WithNow({{"Students", Page(std::move(rows), arguments)}}));
}

http::ServerResponse School::GetHistory(const Arguments& arguments) {
  const std::string id = Argument(arguments, "leadid");
  const std::string from = Argument(arguments, "datetimefrom");
  Json rows = Json::array();
  for (const StatusChange& change : history_) {
    if ((!id.empty() && std::to_string(change.lead_id) != id) ||
        (!from.empty() && Local(change.at) < from)) {
      continue;
    }
    Json row = {{"LeadId", change.lead_id}, {"DateTime", Local(change.at)}};
    if (change.before != nullptr) {
      row["BeforeId"] = change.before->id;
      row["BeforeName"] = change.before->name;
    }
    if (change.after != nullptr) {
      row["AfterId"] = change.after->id;
      row["AfterName"] = change.after->name;
    }
    rows.push_back(std::move(row));
  }
  return JsonAnswer({{"Actions", Page(std::move(rows), arguments)}});
}

http::ServerResponse School::GetPayments(const Arguments& arguments) {
  Json rows = Json::array();
  for (const Payment& payment : payments_) {
    rows.push_back({{"Id", payment.id},
                    {"ClientId", payment.client_id},
                    {"Created", Local(payment.created)},
                    {"State", "Paid"},
                    {"Value", MoneyText(payment.value, "RUB")},
                    {"ValueQuantity", MoneyNumber(payment.value)},
                    {"ValueCurrency", "руб."}});
  }
  return JsonAnswer({{"Payments", Page(std::move(rows), arguments)}});
}

Json School::Directory(const std::string& function) const {
  Json rows = Json::array();
  if (function == "GetLeadStatuses") {
    for (const LeadStatus& status : kStatuses) {
      Json row = Named(status.id, "Name", status.name);
      if (rules_.status_types.Bool()) {
        row["Type"] = status.type;
      }
      rows.push_back(std::move(row));
    }
    return {{"Statuses", rows}};
  }
  if (function == "GetOffices") {
    for (const Office& office : kOffices) {
      Json row = Named(office.id, "Name", office.name);
      row["Location"] = office.location;
      row["NoClassrooms"] = !office.has_classrooms;
      const int minutes = rules_.zone_minutes.Int();
      row["TimeZone"] = fmt::format(
          "{}{:02}:{:02}", minutes < 0 ? '-' : '+', std::abs(minutes) / 60, std::abs(minutes) % 60);
      rows.push_back(std::move(row));
    }
    return {{"Offices", rows}};
  }
  if (function == "GetEmployees") {
    for (const Employee& employee : kEmployees) {
      Json row = {{"Id", employee.id}, {"FirstName", employee.first}, {"LastName", employee.last}};
      Put(row, "MiddleName", employee.middle);
      row["Role"] = employee.role;
      row["Mobile"] = fmt::format("+799900000{:02}", employee.id);
      row["Fired"] = false;
      rows.push_back(std::move(row));
    }
    return {{"Employees", rows}};
  }
  if (function == "GetLocations") {
    return {{"Locations", {Named(1, "Name", "Москва"), Named(2, "Name", "Онлайн")}}};
  }
  if (function == "GetDisciplines") {
    return {{"Disciplines", kDisciplines}};
  }
  if (function == "GetLearningTypes") {
    return {{"LearningTypes", kLearningTypes}};
  }
  if (function == "GetLevels") {
    for (const char* level : kLevels) {
      rows.push_back({{"Name", level}, {"Disciplines", {kDisciplines[0]}}});
    }
    return {{"Levels", rows}};
  }
  return function == "GetStudyRequests" ? Json{{"StudyRequests", rows}} : Json();
}

// Dictionary values are given by name.
http::ServerResponse School::AddLead(const Arguments& arguments) {
  Json fields = {{"first_name", Argument(arguments, "firstname")},
                 {"last_name", Argument(arguments, "lastname")},
                 {"middle_name", Argument(arguments, "middlename")},
                 {"ad_source", Argument(arguments, "adsource")},
                 {"branch", Argument(arguments, "officeorcompanyid")},
                 {"stage", Argument(arguments, "status")}};
  for (const char* empty : {"mobile", "phone", "email"}) {
    fields[empty] = "";
  }
  const auto made = CreateDeal(fields);
  if (!made.ok()) {
    return Error(200, std::string(ToStd(made.status().message())));
  }
  return JsonAnswer({{"LeadId", leads_.back().id}});
}

http::ServerResponse School::EditContacts(const Arguments& arguments) {
  const auto edited = EditDeal(
      Argument(arguments, "leadid"),
      {{"mobile", Argument(arguments, "mobile")}, {"email", Argument(arguments, "email")}});
  return edited.ok() ? JsonAnswer(Json::object())
                     : Error(200, std::string(ToStd(edited.status().message())));
}

}  // namespace dealstream::crm::hollihop::sim
