#include "libs/crm/hollihop/sim/school.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <iterator>
#include <utility>

#include "absl/time/clock.h"
#include <fmt/format.h>

#include "libs/crm/sim/names.h"

namespace dealstream::crm::hollihop::sim {
namespace {

using simkit::Random;
using simkit::TextOf;

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// 64 characters, of which some must be percent-encoded in a query.
std::string MakeKey(Random& random) { return "k/+" + random.Text(60, kBase64) + "="; }

absl::Time ToSecond(absl::Time time) { return absl::FromUnixSeconds(absl::ToUnixSeconds(time)); }

// Kopecks of "1234.5"; nothing when it is no amount.
std::optional<int64_t> Hundredths(std::string_view text) {
  const bool negative = text.starts_with('-');
  text.remove_prefix(negative ? 1 : 0);
  const size_t point = std::min(text.find('.'), text.size());
  std::string_view fraction = text.substr(std::min(point + 1, text.size()));
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + point, value);
  if (error != std::errc() || end != text.data() + point || fraction.size() > 2 ||
      fraction.find_first_not_of("0123456789") != std::string_view::npos ||
      value > 1'000'000'000'000) {
    return std::nullopt;
  }
  value *= 100;
  for (size_t i = 0; i < fraction.size(); ++i) {
    value += (fraction[i] - '0') * (i == 0 ? 10 : 1);
  }
  return negative ? -value : value;
}

std::string DecimalText(int64_t hundredths) {
  const int64_t size = hundredths < 0 ? -hundredths : hundredths;
  const std::string sign = hundredths < 0 ? "-" : "";
  return size % 100 == 0 ? fmt::format("{}{}", sign, size / 100)
                         : fmt::format("{}{}.{:02}", sign, size / 100, size % 100);
}

std::string FullName(const Person& person) {
  std::string name;
  for (const std::string* part : {&person.last, &person.first, &person.middle}) {
    if (!part->empty()) {
      name += (name.empty() ? "" : " ") + *part;
    }
  }
  return name;
}

// An entry of a dictionary by name or id; null when there is none.
template <typename Entries, typename NameOf>
auto FindEntry(const Entries& entries, const std::string& text, NameOf name_of)
    -> decltype(std::begin(entries)) {
  const auto* found = std::find_if(std::begin(entries), std::end(entries), [&](const auto& entry) {
    return name_of(entry) == text || std::to_string(entry.id) == text;
  });
  return found == std::end(entries) ? nullptr : found;
}

Status Unknown(std::string_view field, const std::string& text) {
  return absl::InvalidArgumentError(
      fmt::format("{}: got '{}', want one that there is", field, text));
}

template <typename Entries, typename Entry, typename NameOf>
Status ReadEntries(const Json& value,
                   std::string_view field,
                   const Entries& entries,
                   NameOf name_of,
                   std::vector<const Entry*>& out) {
  out.clear();
  for (const Json& one : value.is_array() ? value : Json::array({value})) {
    const std::string text = TextOf(one);
    if (text.empty()) {
      continue;
    }
    const Entry* entry = FindEntry(entries, text, name_of);
    if (entry == nullptr) {
      return Unknown(field, text);
    }
    out.push_back(entry);
  }
  return absl::OkStatus();
}

Person ReadPerson(const Json& json) {
  return {.first = TextOf(json, "first_name"),
          .last = TextOf(json, "last_name"),
          .middle = TextOf(json, "middle_name"),
          .who_is = TextOf(json, "who_is"),
          .mobile = TextOf(json, "mobile"),
          .phone = TextOf(json, "phone"),
          .email = TextOf(json, "email")};
}

// "Тестова Мария Андреевна".
void SetTitle(const std::string& title, Person& person) {
  const size_t first = std::min(title.find(' '), title.size());
  const size_t second = std::min(title.find(' ', first + 1), title.size());
  person.last = title.substr(0, first);
  person.first = first < title.size() ? title.substr(first + 1, second - first - 1) : "";
  person.middle = second < title.size() ? title.substr(second + 1) : "";
}

Status SetBudget(const Json& value, Lead& lead) {
  if (value.is_null()) {
    lead.budget.reset();
    return absl::OkStatus();
  }
  lead.budget = Hundredths(TextOf(value));
  return lead.budget.has_value()
             ? absl::OkStatus()
             : absl::InvalidArgumentError(fmt::format(
                   "amount: got {}, want a decimal with at most two places", simkit::Dump(value)));
}

Status SetBudgetForm(const std::string& text, Lead& lead) {
  const std::map<std::string, BudgetForm> forms = {{"number", BudgetForm::kNumber},
                                                   {"text", BudgetForm::kText},
                                                   {"quantity", BudgetForm::kQuantity},
                                                   {"extra_field", BudgetForm::kExtraField}};
  const auto form = forms.find(text);
  if (form == forms.end()) {
    return Unknown("budget_form", text);
  }
  lead.budget_form = form->second;
  return absl::OkStatus();
}

// Fields that are texts of the lead.
std::string* TextField(const std::string& name, Lead& lead) {
  const std::map<std::string, std::string*> fields = {{"first_name", &lead.person.first},
                                                      {"last_name", &lead.person.last},
                                                      {"middle_name", &lead.person.middle},
                                                      {"mobile", &lead.person.mobile},
                                                      {"phone", &lead.person.phone},
                                                      {"email", &lead.person.email},
                                                      {"currency", &lead.currency},
                                                      {"discipline", &lead.discipline},
                                                      {"level", &lead.level},
                                                      {"category", &lead.maturity},
                                                      {"learning_type", &lead.learning_type},
                                                      {"ad_source", &lead.ad_source},
                                                      {"address_date", &lead.address_date},
                                                      {"reject_reason", &lead.reject_reason}};
  const auto found = fields.find(name);
  return found == fields.end() ? nullptr : found->second;
}

Status SetField(const std::string& name, const Json& value, Lead& lead) {
  if (std::string* text = TextField(name, lead)) {
    *text = TextOf(value);
    return absl::OkStatus();
  }
  if (name == "title") {
    SetTitle(TextOf(value), lead.person);
    return absl::OkStatus();
  }
  if (name == "amount") {
    return SetBudget(value, lead);
  }
  if (name == "budget_form") {
    return SetBudgetForm(TextOf(value), lead);
  }
  if (name == "branch") {
    return ReadEntries(
        value,
        name,
        kOffices,
        [](const Office& one) { return std::string(one.name); },
        lead.offices);
  }
  if (name == "responsible") {
    return ReadEntries(
        value,
        name,
        kEmployees,
        [](const Employee& one) { return std::string(one.last); },
        lead.assignees);
  }
  if (name == "agents" && value.is_array()) {
    lead.agents.clear();
    std::transform(value.begin(), value.end(), std::back_inserter(lead.agents), ReadPerson);
    return absl::OkStatus();
  }
  if (name == "extra_fields" && value.is_object()) {
    lead.extra_fields.clear();
    for (const auto& [key, text] : value.items()) {
      lead.extra_fields.emplace_back(key, TextOf(text));
    }
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(fmt::format("{}: no such field", name));
}

const LeadStatus* Next(const LeadStatus* status) {
  return status == nullptr || status == std::end(kStatuses) - 1 ? std::begin(kStatuses)
                                                                : status + 1;
}

}  // namespace

School::School(int number, uint64_t seed, const std::string& origin, const Rules& rules)
    : Account(number, fmt::format("school{}", number), fmt::format("school{}", number), seed),
      rules_(rules),
      origin_(origin),
      key_(MakeKey(side_random())),
      next_id_(number * 1'000'000 + 10'240) {}

Json School::Credential() const {
  return {{"url", fmt::format("{}/{}", origin_, name())}, {"api_key", key_}};
}

simkit::Limits School::limits() const {
  return {rules_.requests.Int(), rules_.interval_ms.Ms(), /*parallel=*/0};
}

absl::Time School::Now() const { return ToSecond(absl::Now() + clock_shift_); }

Lead* School::FindLead(const std::string& id) {
  const auto found = std::find_if(leads_.begin(), leads_.end(), [&id](const Lead& lead) {
    return std::to_string(lead.id) == id;
  });
  return found == leads_.end() ? nullptr : &*found;
}

void School::Changed(Lead& lead) {
  Happened();
  lead.updated = odd_.backwards ? lead.updated - absl::Hours(1) : std::max(lead.updated, Now());
}

void School::SetStatus(Lead& lead, const LeadStatus* status) {
  if (status != lead.status) {
    history_.push_back({lead.id, Now(), lead.status, status});
  }
  lead.status = status;
  if (status != nullptr && std::string_view(status->kind) == "WON" && lead.client_id == 0) {
    lead.client_id = lead.id / 5;
  }
}

// ---- Truth and steps

DealTruth School::TruthOf(const Lead& lead) const {
  DealTruth truth;
  truth.id = std::to_string(lead.id);
  const std::string name = FullName(lead.person);
  truth.title = name.empty() ? fmt::format("Лид №{}", lead.id) : name;
  if (lead.status != nullptr) {
    truth.stage = lead.status->name;
    truth.stage_kind = lead.status->kind;
  }
  if (lead.budget.has_value()) {
    truth.amount = DecimalText(*lead.budget);
  }
  truth.currency = lead.currency;
  truth.updated = lead.updated;
  truth.gone = lead.gone;
  truth.more = {{"branch", lead.offices.empty() ? Json() : Json(lead.offices[0]->name)},
                {"responsible", lead.assignees.empty() ? Json() : Json(lead.assignees[0]->id)},
                {"agents", lead.agents.size()},
                {"discipline", lead.discipline},
                {"level", lead.level},
                {"category", lead.maturity},
                {"reject_reason", lead.reject_reason}};
  return truth;
}

std::vector<DealTruth> School::Deals() const {
  std::vector<DealTruth> truths;
  truths.reserve(leads_.size());
  for (const Lead& lead : leads_) {
    truths.push_back(TruthOf(lead));
  }
  return truths;
}

Result<DealTruth> School::FindDeal(const std::string& deal) const {
  for (const Lead& lead : leads_) {
    if (std::to_string(lead.id) == deal) {
      return TruthOf(lead);
    }
  }
  return absl::NotFoundError(fmt::format("no such lead: {}", deal));
}

Result<Lead> School::WithFields(Lead lead, const Json& fields) const {
  for (const auto& [name, value] : fields.items()) {
    if (name != "stage") {
      DEALSTREAM_RETURN_IF_ERROR(SetField(name, value, lead));
    }
  }
  return lead;
}

Result<DealTruth> School::CreateDeal(const Json& fields) {
  Lead lead = MakeLead();
  const LeadStatus* status = lead.status;
  DEALSTREAM_ASSIGN_OR_RETURN(lead, WithFields(std::move(lead), fields));
  if (fields.contains("stage")) {
    const std::string text = TextOf(fields, "stage");
    status = text.empty() ? nullptr : FindEntry(kStatuses, text, [](const LeadStatus& one) {
      return std::string(one.name);
    });
    if (status == nullptr && !text.empty()) {
      return Unknown("stage", text);
    }
  }
  lead.status = nullptr;
  leads_.push_back(std::move(lead));
  SetStatus(leads_.back(), status);
  Changed(leads_.back());
  return TruthOf(leads_.back());
}

Result<DealTruth> School::EditDeal(const std::string& deal, const Json& fields) {
  DEALSTREAM_RETURN_IF_ERROR(FindDeal(deal).status());
  Lead& lead = *FindLead(deal);
  DEALSTREAM_ASSIGN_OR_RETURN(Lead edited, WithFields(lead, fields));
  if (fields.contains("stage")) {
    const LeadStatus* status =
        FindEntry(kStatuses, TextOf(fields, "stage"), [](const LeadStatus& one) {
          return std::string(one.name);
        });
    if (status == nullptr && !TextOf(fields, "stage").empty()) {
      return Unknown("stage", TextOf(fields, "stage"));
    }
    SetStatus(edited, status);
  }
  lead = std::move(edited);
  Changed(lead);
  return TruthOf(lead);
}

Result<DealTruth> School::MoveDeal(const std::string& deal, const Json& fields) {
  DEALSTREAM_RETURN_IF_ERROR(FindDeal(deal).status());
  Lead& lead = *FindLead(deal);
  const std::string next = Next(lead.status)->name;
  return EditDeal(deal, {{"stage", fields.contains("stage") ? fields["stage"] : Json(next)}});
}

// A payment belongs to the student that the lead becomes; the budget stays what was agreed on.
Result<DealTruth> School::PayDeal(const std::string& deal, const Json& fields) {
  DEALSTREAM_ASSIGN_OR_RETURN(const DealTruth truth, EditDeal(deal, {{"stage", "Оплатил"}}));
  const Lead& lead = *FindLead(deal);
  const std::optional<int64_t> paid =
      fields.contains("amount") ? Hundredths(TextOf(fields, "amount")) : lead.budget;
  payments_.push_back(
      {static_cast<int64_t>(payments_.size()) + 1, lead.client_id, Now(), paid.value_or(0)});
  return truth;
}

// Without a trace in the API.
Result<DealTruth> School::DeleteDeal(const std::string& deal, const Json&) {
  DEALSTREAM_RETURN_IF_ERROR(FindDeal(deal).status());
  Lead& lead = *FindLead(deal);
  lead.gone = true;
  Happened();
  return TruthOf(lead);
}

// ---- Life

Lead School::MakeLead() {
  Random& draw = random();
  Lead lead;
  lead.id = next_id_++;
  lead.created = Now();
  lead.updated = lead.created;
  const simkit::PersonName name = simkit::MakePerson(draw);
  lead.person.first = name.first;
  lead.person.last = draw.Chance(0.8) ? name.last : "";
  lead.person.middle = draw.Chance(0.5) ? name.middle : "";
  lead.person.mobile = draw.Chance(0.8) ? simkit::MakeMobile(draw) : "";
  lead.person.phone = draw.Chance(0.3) ? simkit::MakePhone(draw) : "";
  lead.person.email = draw.Chance(0.5) ? simkit::MakeEmail(draw) : "";
  lead.status = draw.Chance(0.95) ? std::begin(kStatuses) : nullptr;
  if (draw.Chance(0.9)) {
    lead.offices.push_back(&draw.Of(kOffices));
  }
  if (draw.Chance(0.8)) {
    lead.assignees.push_back(&draw.Of(kEmployees));
  }
  if (draw.Chance(0.6)) {
    lead.budget = draw.Between(0, 900) * 10'000 + (draw.Chance(0.1) ? 50 : 0);
  }
  lead.budget_form = static_cast<BudgetForm>(draw.Below(4));
  lead.discipline = draw.Chance(0.8) ? draw.Of(kDisciplines) : "";
  lead.level = draw.Chance(0.5) ? draw.Of(kLevels) : "";
  lead.maturity = draw.Chance(0.7) ? draw.Of(kMaturities) : "";
  lead.learning_type = draw.Chance(0.4) ? draw.Of(kLearningTypes) : "";
  lead.ad_source = draw.Chance(0.6) ? draw.Of(kAdSources) : "";
  lead.address_date = Local(lead.created).substr(0, 10);
  if (draw.Chance(0.3)) {
    const simkit::PersonName parent = simkit::MakePerson(draw);
    Person agent;
    agent.first = parent.first;
    agent.last = parent.last;
    agent.who_is = "Родитель";
    agent.mobile = simkit::MakeMobile(draw);
    lead.agents.push_back(std::move(agent));
  }
  if (draw.Chance(0.3)) {
    lead.extra_fields.emplace_back("Примечание", simkit::MakeRemark(draw));
  }
  return lead;
}

std::string School::LiveNewDeal() {
  Lead lead = MakeLead();
  const LeadStatus* status = lead.status;
  lead.status = nullptr;
  leads_.push_back(std::move(lead));
  SetStatus(leads_.back(), status);
  Changed(leads_.back());
  return std::to_string(leads_.back().id);
}

void School::LiveOneChange() {
  Random& draw = random();
  if (leads_.empty() || draw.Chance(0.2)) {
    LiveNewDeal();
    return;
  }
  Lead& lead = draw.Of(leads_);
  if (lead.gone) {
    LiveNewDeal();
    return;
  }
  switch (draw.Below(6)) {
    case 0:
    case 1:
      SetStatus(lead, Next(lead.status));
      break;
    case 2:
      lead.budget = draw.Chance(0.1) ? std::nullopt : std::optional(draw.Between(0, 900) * 10'000);
      break;
    case 3:
      lead.person.phone = simkit::MakePhone(draw);
      break;
    case 4:
      SetStatus(lead, std::end(kStatuses) - 1);
      lead.reject_reason = draw.Of(kRejectReasons);
      break;
    default:
      lead.assignees = {&draw.Of(kEmployees)};
      lead.offices = {&draw.Of(kOffices)};
      break;
  }
  Changed(lead);
}

// ---- Faults and controls

Status School::SetOwnFault(const std::string& name, const Json& value) {
  if (name == "error" && value.is_string()) {
    odd_.error = value.get<std::string>();
    return absl::OkStatus();
  }
  const std::map<std::string, bool*> flags = {{"repeat_page", &odd_.repeat_page},
                                              {"shuffle", &odd_.shuffle},
                                              {"backwards", &odd_.backwards},
                                              {"no_now", &odd_.no_now}};
  const auto flag = flags.find(name);
  if (flag == flags.end() || !value.is_boolean()) {
    return Account::SetOwnFault(name, value);
  }
  *flag->second = value.get<bool>();
  return absl::OkStatus();
}

Result<Json> School::OwnControl(const std::string& method,
                                const std::string& path,
                                const Json& fields) {
  if (path != "clock") {
    return Account::OwnControl(method, path, fields);
  }
  if (method == "POST") {
    const std::optional<int64_t> seconds = Hundredths(TextOf(fields, "ahead_seconds"));
    if (!seconds.has_value()) {
      return absl::InvalidArgumentError("ahead_seconds: want a number of seconds");
    }
    clock_shift_ = absl::Seconds(*seconds / 100);
  }
  return Json{{"now", Local(Now())}, {"now_us", absl::ToUnixMicros(Now())}};
}

}  // namespace dealstream::crm::hollihop::sim
