#include "libs/crm/alfacrm/sim/school.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include <fmt/format.h>

#include "libs/crm/sim/names.h"

namespace dealstream::crm::alfacrm::sim {
namespace {

using simkit::DealTruth;
using simkit::TextOf;

constexpr int64_t kIncome = 1;
constexpr int64_t kRefund = 5;
constexpr int64_t kCorrection = 6;
constexpr int64_t kGoods = 9;
constexpr Kopecks kUsualSum = 100'000;

bool Counts(int64_t type) { return type == kIncome || type == kGoods || type == kRefund; }

// Signed, as a deal counts it.
std::optional<Kopecks> ValueOf(const Pay& pay) {
  const bool has_income = pay.income.has_value() && *pay.income != 0;
  const std::optional<Kopecks> sum = has_income || !pay.expenditure ? pay.income : pay.expenditure;
  if (!sum.has_value()) {
    return std::nullopt;
  }
  return pay.type == kRefund ? -std::abs(*sum) : *sum;
}

// "1234.5" or 1234.5 as kopecks.
Result<Kopecks> ParseSum(std::string_view key, const Json& value) {
  const std::string text = TextOf(value);
  const size_t point = std::min(text.find('.'), text.size());
  std::string digits = text.substr(0, point);
  std::string fraction = text.substr(std::min(point + 1, text.size()));
  Kopecks kopecks = 0;
  if (fraction.size() <= 2) {
    fraction.resize(2, '0');
    digits += fraction;
    if (absl::SimpleAtoi(digits, &kopecks)) {
      return kopecks;
    }
  }
  return absl::InvalidArgumentError(
      fmt::format("{}: got {}, want a sum with two places at most", key, text));
}

Result<int64_t> ParseEntry(std::string_view key, std::string_view entity, const Json& value) {
  if (value.is_null()) {
    return 0;
  }
  const int64_t id = FindIn(entity, TextOf(value));
  if (id == 0) {
    return absl::InvalidArgumentError(fmt::format(
        "{}: got {}, want the number or name of an entry of {}", key, TextOf(value), entity));
  }
  return id;
}

Result<std::vector<int64_t>> ParseEntries(std::string_view key,
                                          std::string_view entity,
                                          const Json& value) {
  std::vector<int64_t> ids;
  const Json list = value.is_array() ? value : value.is_null() ? Json::array() : Json{value};
  for (const Json& one : list) {
    DEALSTREAM_ASSIGN_OR_RETURN(const int64_t id, ParseEntry(key, entity, one));
    ids.push_back(id);
  }
  return ids;
}

std::vector<std::string> Texts(const Json& value) {
  std::vector<std::string> texts;
  for (const Json& one : value.is_array() ? value : Json{value}) {
    texts.push_back(TextOf(one));
  }
  return texts;
}

// The fields that differ: before and after.
std::pair<Json, Json> Difference(const Json& before, const Json& after) {
  std::pair<Json, Json> changed{Json::object(), Json::object()};
  for (const auto& [key, value] : after.items()) {
    if (!before.contains(key) || before.at(key) != value) {
      changed.first[key] = before.contains(key) ? before.at(key) : Json();
      changed.second[key] = value;
    }
  }
  return changed;
}

// PHP's: an empty one is a list.
Json PhpMap(const Json& map) { return map.empty() ? Json::array() : map; }

int64_t IdOf(const std::string& deal, std::string_view prefix) {
  int64_t id = 0;
  if (!deal.starts_with(prefix) || !absl::SimpleAtoi(deal.substr(prefix.size()), &id)) {
    return 0;
  }
  return id;
}

Status NoSuchDeal(const std::string& deal) {
  return absl::NotFoundError(fmt::format("no deal {}", deal));
}

}  // namespace

// ---- Directories and texts
// -----------------------------------------------------------------------

const std::vector<Named>& Directory(std::string_view entity) {
  static const std::map<std::string, std::vector<Named>, std::less<>> directories = {
      {"branch", {{1, "Филиал «Центр»"}, {2, "Онлайн"}, {3, "Филиал «Север»"}}},
      {"lead-status",
       {{1, "Новый"},
        {2, "Записан на пробное"},
        {3, "Был на пробном"},
        {4, "Отказ"},
        {5, "Оплатил"},
        {7, "Оплатил частями"}}},
      {"lead-source", {{1, "Сарафан"}, {2, "Реклама"}, {3, "Чат на сайте"}}},
      {"lead-reject", {{5, "Дорого"}, {6, "Не отвечает"}}},
      {"study-status", {{1, "Активен"}, {2, "На паузе"}}},
      {"teacher", {{14, "Тихая Вера"}, {15, "Громов Илья"}}},
      {"user", {{7, "Стоян Мария"}, {8, "Агеев Пётр"}}},
      {"pay-type",
       {{kIncome, "Доход"},
        {kRefund, "Возврат средств"},
        {kCorrection, "Корректировка"},
        {kGoods, "Продажа товара"}}},
      {"pay-account", {{1, "Касса"}, {2, "Терминал"}}},
      {"pay-item", {{1, "Абонементы"}, {4, "Учебники"}}}};
  static const std::vector<Named> none;
  const auto found = directories.find(entity);
  return found == directories.end() ? none : found->second;
}

std::string NameIn(std::string_view entity, int64_t id) {
  for (const Named& entry : Directory(entity)) {
    if (entry.id == id) {
      return entry.name;
    }
  }
  return "";
}

int64_t FindIn(std::string_view entity, const std::string& id_or_name) {
  for (const Named& entry : Directory(entity)) {
    if (entry.name == id_or_name || std::to_string(entry.id) == id_or_name) {
      return entry.id;
    }
  }
  return 0;
}

std::string WallTime(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", time, absl::FixedTimeZone(3 * 3600));
}

std::string Day(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d", time, absl::FixedTimeZone(3 * 3600));
}

std::string Units(Kopecks kopecks) {
  return fmt::format(
      "{}{}.{:02}", kopecks < 0 ? "-" : "", std::abs(kopecks) / 100, std::abs(kopecks) % 100);
}

Json FieldsOf(const Customer& customer) {
  Json fields = {{"name", customer.name},
                 {"is_study", customer.is_client ? 1 : 0},
                 {"lead_status_id", customer.status},
                 {"lead_reject_id", customer.reject},
                 {"lead_source_id", customer.source},
                 {"assigned_id", customer.assigned},
                 {"branch_ids", customer.branches},
                 {"teacher_ids", customer.teachers},
                 {"legal_name", customer.legal_name},
                 {"note", customer.note},
                 {"phone", customer.phones},
                 {"email", customer.emails},
                 {"e_date", customer.archived.empty() ? "2030-12-31" : customer.archived}};
  fields.update(customer.custom);
  return fields;
}

Json FieldsOf(const Pay& pay, bool old_shape) {
  const auto id = [old_shape](int64_t number) {
    return old_shape ? Json(std::to_string(number)) : Json(number);
  };
  return {{"customer_id", pay.customer == 0 ? Json() : id(pay.customer)},
          {"income", pay.income ? Json(Units(*pay.income)) : Json()},
          {"expenditure", pay.expenditure ? Json(Units(*pay.expenditure)) : Json()},
          {"document_date", Day(pay.created)},
          {"note", pay.note},
          {"payer_name", pay.payer},
          {"branch_id", pay.branch},
          {old_shape ? "confirmed" : "is_confirmed", pay.confirmed},
          {"pay_account_id", id(pay.account)},
          {"pay_type_id", id(pay.type)}};
}

// ---- The school
// ----------------------------------------------------------------------------------

School::School(
    int number, uint64_t seed, std::string origin, int deals, const SimSettings& settings)
    : Account(number,
              fmt::format("school{}", number),
              fmt::format("school{}.s20.online", number),
              seed),
      settings_(settings),
      origin_(std::move(origin)),
      email_(fmt::format("api@school{}.example", number)),
      key_(side_random().Uuid()),
      next_customer_(number * 10'000 + 1),
      next_pay_(number * 10'000 + 5001) {
  MakeFirstDeals(deals);
}

Json School::Credential() const {
  return {{"hostname", id()}, {"email", email_}, {"api_key", key_}, {"base_url", origin_}};
}

// Rows bear whole seconds.
absl::Time School::Now() const {
  return absl::FromUnixSeconds(absl::ToUnixSeconds(absl::Now() + ahead_));
}

void School::MakeFirstDeals(int deals) {
  for (int i = 0; i < deals; ++i) {
    LiveNewDeal();
    if (i % 3 == 0) {
      LiveOneChange();
    }
  }
}

Customer& School::NewCustomer() {
  Kept<Customer>& kept = customers_[next_customer_];
  Customer& customer = kept.now;
  customer.id = next_customer_++;
  simkit::Random& random = this->random();
  const simkit::PersonName person = simkit::MakePerson(random);
  customer.name = person.last + " " + person.first;
  customer.branches = {random.Between(1, 3)};
  customer.status = 1;
  customer.source = random.Between(1, 3);
  customer.assigned = random.Between(7, 8);
  customer.legal_name = simkit::MakePerson(random).Full();
  customer.phones = {simkit::MakePhone(random)};
  customer.emails = {simkit::MakeEmail(random)};
  customer.custom["custom_uroven"] = random.Chance(0.5) ? "A1" : "B2";
  customer.custom["custom_vozrast"] = random.Between(4, 17);
  customer.created = Now();
  customer.updated = customer.created;
  kept.touched = absl::Now();
  return customer;
}

Pay& School::NewPay(const Customer& customer, int64_t type, Kopecks sum) {
  Kept<Pay>& kept = pays_[next_pay_];
  Pay& pay = kept.now;
  pay.id = next_pay_++;
  pay.customer = customer.id;
  pay.branch = customer.branches.empty() ? 1 : customer.branches.front();
  pay.type = type;
  pay.item = type == kGoods ? 4 : 1;
  if (type == kRefund) {
    pay.income = 0;
    pay.expenditure = std::abs(sum);
  } else {
    pay.income = sum;
  }
  pay.payer = customer.legal_name;
  pay.created = Now();
  if (!customer.turns.empty()) {
    pay.created = std::max(pay.created, customer.turns.back().first + absl::Seconds(1));
  }
  pay.updated = pay.created;
  last_pays_[customer.id] = pay.created;
  kept.touched = absl::Now();
  return pay;
}

School::Kept<Customer>* School::FindCustomer(const std::string& deal) {
  const auto found = customers_.find(IdOf(deal, "lead:"));
  return found == customers_.end() || found->second.now.gone ? nullptr : &found->second;
}

School::Kept<Pay>* School::FindPay(const std::string& deal) {
  const auto found = pays_.find(IdOf(deal, "pay:"));
  return found == pays_.end() || found->second.now.gone ? nullptr : &found->second;
}

void School::Turn(Customer& customer, bool client) const {
  if (customer.is_client == client) {
    return;
  }
  absl::Time at = Now();
  if (const auto last = last_pays_.find(customer.id); last != last_pays_.end()) {
    at = std::max(at, last->second);
  }
  if (!customer.turns.empty()) {
    at = std::max(at, customer.turns.back().first);
  }
  customer.is_client = client;
  customer.turns.emplace_back(at, client);
}

template <typename Change>
void School::ChangeCustomer(Kept<Customer>& kept, const Change& change) {
  kept.before = std::make_unique<Customer>(kept.now);
  kept.touched = absl::Now();
  change(kept.now);
  const bool turned = kept.now.turns.size() > kept.before->turns.size();
  const absl::Time at = turned ? kept.now.turns.back().first : Now();
  kept.now.updated = std::max(at, kept.now.updated);
  const auto [before, after] = Difference(FieldsOf(*kept.before), FieldsOf(kept.now));
  Happened();
  Log("Customer", kept.now.id, 2, before, after, at);
  Tell(kept.now, "update", before, after);
}

template <typename Change>
void School::ChangePay(Kept<Pay>& kept, const Change& change) {
  kept.before = std::make_unique<Pay>(kept.now);
  kept.touched = absl::Now();
  change(kept.now);
  kept.now.updated = std::max(Now(), kept.now.updated);
  const bool old_shape = settings_.old_webhooks.Bool();
  const auto [before, after] =
      Difference(FieldsOf(*kept.before, old_shape), FieldsOf(kept.now, old_shape));
  Happened();
  Log("Pay", kept.now.id, 2, before, after, kept.now.updated);
  Tell(kept.now, "update", before, after);
}

void School::Announce(const Customer& customer) {
  Happened();
  Log("Customer", customer.id, 1, Json::object(), FieldsOf(customer), customer.created);
  Tell(customer, "create", Json::object(), FieldsOf(customer));
}

void School::Announce(const Pay& pay) {
  const Json fields = FieldsOf(pay, settings_.old_webhooks.Bool());
  Happened();
  Log("Pay", pay.id, 1, Json::object(), fields, pay.created);
  Tell(pay, "create", Json::object(), fields);
}

void School::Log(
    const std::string& entity, int64_t id, int event, Json before, Json after, absl::Time at) {
  log_.push_back({.id = static_cast<int64_t>(log_.size()) + 1,
                  .entity = entity,
                  .entity_id = id,
                  .event = event,
                  .before = std::move(before),
                  .after = std::move(after),
                  .at = at});
}

// ---- Webhooks
// ------------------------------------------------------------------------------------

void School::Tell(const Customer& customer,
                  const std::string& event,
                  const Json& before,
                  const Json& after) {
  // Triggers are set up for each branch.
  for (const int64_t branch : customer.branches) {
    SendWebhook(branch, "Customer", customer.id, event, before, after);
  }
}

void School::Tell(const Pay& pay, const std::string& event, const Json& before, const Json& after) {
  SendWebhook(pay.branch, "Pay", pay.id, event, before, after);
}

void School::SendWebhook(int64_t branch,
                         const std::string& entity,
                         int64_t id,
                         const std::string& event,
                         const Json& before,
                         const Json& after) {
  Json body = {{"branch_id", branch},
               {"event", event},
               {"entity", entity},
               {"entity_id", id},
               {"fields_old", PhpMap(before)},
               {"fields_new", PhpMap(after)}};
  if (!settings_.old_webhooks.Bool()) {
    body["fields_rel"] = side_random().Chance(0.5) ? Json("") : Json::array();
  }
  body["user_id"] = side_random().Chance(0.2) ? Json() : Json(7);
  body["datetime"] = WallTime(Now());
  simkit::Webhook webhook;
  webhook.url = WebhookUrl();
  webhook.headers = {{"Content-Type", "application/json"}};
  webhook.body = simkit::Dump(body);
  Send(std::move(webhook));
}

// ---- Truth
// ---------------------------------------------------------------------------------------

// At the moment of a turn it is still what it was.
bool School::WasClientAt(const Customer& customer, absl::Time at) const {
  bool client = customer.began_as_client;
  for (const auto& [time, turned] : customer.turns) {
    if (time < at) {
      client = turned;
    }
  }
  return client;
}

bool School::IsUpsell(const Pay& pay) const {
  const auto customer = customers_.find(pay.customer);
  return Counts(pay.type) && customer != customers_.end() &&
         WasClientAt(customer->second.now, pay.created);
}

DealTruth School::TruthOf(const Customer& customer) const {
  DealTruth truth;
  truth.id = fmt::format("lead:{}", customer.id);
  truth.title = customer.name;
  truth.currency = "RUB";
  truth.gone = customer.gone;
  truth.updated = customer.updated;
  const bool merged = settings_.merged_stages.Bool();
  const bool refused = customer.reject != 0 || (merged && customer.status == 4);
  const bool succeeded =
      customer.is_client || (merged && !refused && (customer.status == 5 || customer.status == 7));
  if (succeeded) {
    truth.stage_kind = "WON";
    truth.stage = "Успешный этап";
  } else if (refused || !customer.archived.empty()) {
    truth.stage_kind = "LOST";
    truth.stage = "Отказной этап";
  } else {
    truth.stage = customer.status == 0 ? "Без этапа" : NameIn("lead-status", customer.status);
  }
  Kopecks sum = 0;
  bool any = false;
  for (const auto& [id, pay] : pays_) {
    const auto value = ValueOf(pay.now);
    if (!pay.now.gone && pay.now.customer == customer.id && Counts(pay.now.type) &&
        value.has_value() && !WasClientAt(customer, pay.now.created)) {
      sum += *value;
      any = true;
    }
  }
  if (any) {
    truth.amount = Units(sum);
  }
  Json branches = Json::array();
  for (const int64_t branch : customer.branches) {
    branches.push_back(NameIn("branch", branch));
  }
  Json teachers = Json::array();
  for (const int64_t teacher : customer.teachers) {
    teachers.push_back(NameIn("teacher", teacher));
  }
  truth.more = {{"client", customer.is_client},
                {"status", NameIn("lead-status", customer.status)},
                {"branches", branches},
                {"teachers", teachers},
                {"pipeline", "Первая продажа"}};
  return truth;
}

DealTruth School::TruthOf(const Pay& pay) const {
  const Customer& customer = customers_.at(pay.customer).now;
  DealTruth truth;
  truth.id = fmt::format("pay:{}", pay.id);
  truth.title = customer.gone ? fmt::format("Платёж №{}", pay.id)
                              : fmt::format("Платёж №{}: {}", pay.id, customer.name);
  truth.currency = "RUB";
  truth.gone = pay.gone;
  truth.updated = pay.updated;
  const auto value = ValueOf(pay);
  if (value.has_value()) {
    truth.amount = Units(*value);
  }
  truth.stage_kind = "WON";
  if (pay.type == kRefund || value.value_or(0) < 0) {
    truth.stage = "Возврат";
  } else if (!pay.confirmed) {
    truth.stage = "Ожидает подтверждения";
    truth.stage_kind = "OPEN";
  } else {
    truth.stage = "Оплата";
  }
  truth.more = {{"customer", customer.id},
                {"branches", {NameIn("branch", pay.branch)}},
                {"pipeline", "Допродажи"}};
  return truth;
}

std::vector<DealTruth> School::Deals() const {
  std::vector<DealTruth> deals;
  for (const auto& [id, kept] : customers_) {
    const bool has_deal = !kept.now.is_client || kept.now.status != 0 ||
                          !kept.now.began_as_client || !kept.now.turns.empty();
    if (has_deal) {
      deals.push_back(TruthOf(kept.now));
    }
  }
  for (const auto& [id, kept] : pays_) {
    if (IsUpsell(kept.now)) {
      deals.push_back(TruthOf(kept.now));
    }
  }
  return deals;
}

Result<DealTruth> School::FindDeal(const std::string& deal) const {
  const auto customer = customers_.find(IdOf(deal, "lead:"));
  if (customer != customers_.end()) {
    return TruthOf(customer->second.now);
  }
  const auto pay = pays_.find(IdOf(deal, "pay:"));
  if (pay != pays_.end() && customers_.contains(pay->second.now.customer)) {
    return TruthOf(pay->second.now);
  }
  return NoSuchDeal(deal);
}

// ---- Steps
// ---------------------------------------------------------------------------------------

Status School::Apply(const Json& fields, Customer& customer) {
  for (const auto& [key, value] : fields.items()) {
    if (key == "title") {
      customer.name = TextOf(value);
    } else if (key == "stage") {
      const std::string stage = TextOf(value);
      if (stage == "Успешный этап") {
        Turn(customer, true);
      } else if (stage == "Отказной этап") {
        customer.reject = 6;
      } else {
        DEALSTREAM_ASSIGN_OR_RETURN(customer.status, ParseEntry(key, "lead-status", value));
      }
    } else if (key == "client") {
      Turn(customer, value.get<bool>());
    } else if (key == "reject") {
      DEALSTREAM_ASSIGN_OR_RETURN(customer.reject, ParseEntry(key, "lead-reject", value));
    } else if (key == "branches") {
      DEALSTREAM_ASSIGN_OR_RETURN(customer.branches, ParseEntries(key, "branch", value));
    } else if (key == "teachers") {
      DEALSTREAM_ASSIGN_OR_RETURN(customer.teachers, ParseEntries(key, "teacher", value));
    } else if (key == "assigned") {
      DEALSTREAM_ASSIGN_OR_RETURN(customer.assigned, ParseEntry(key, "user", value));
    } else if (key == "phone") {
      customer.phones = Texts(value);
    } else if (key == "email") {
      customer.emails = Texts(value);
    } else if (key == "note") {
      customer.note = TextOf(value);
    } else if (key == "archived") {
      customer.archived = value.get<bool>() ? Day(Now()) : "";
    } else if (key.starts_with("custom_")) {
      customer.custom[key] = value;
    } else if (key != "amount" && key != "currency") {
      return absl::InvalidArgumentError(fmt::format("{}: a lead has no such field", key));
    }
  }
  return absl::OkStatus();
}

Status School::Apply(const Json& fields, Pay& pay) {
  for (const auto& [key, value] : fields.items()) {
    if (key == "amount") {
      DEALSTREAM_ASSIGN_OR_RETURN(const Kopecks sum, ParseSum(key, value));
      (pay.type == kRefund ? pay.expenditure : pay.income) = std::abs(sum);
    } else if (key == "confirmed") {
      pay.confirmed = value.get<bool>();
    } else if (key == "stage") {
      pay.confirmed = TextOf(value) != "Ожидает подтверждения";
    } else if (key == "type") {
      DEALSTREAM_ASSIGN_OR_RETURN(pay.type, ParseEntry(key, "pay-type", value));
    } else if (key == "note") {
      pay.note = TextOf(value);
    } else if (key != "title" && key != "currency") {
      return absl::InvalidArgumentError(fmt::format("{}: a payment has no such field", key));
    }
  }
  return absl::OkStatus();
}

Result<DealTruth> School::CreateDeal(const Json& fields) {
  std::optional<Kopecks> sum;
  if (fields.contains("amount") && !fields.at("amount").is_null()) {
    DEALSTREAM_ASSIGN_OR_RETURN(sum, ParseSum("amount", fields.at("amount")));
  }
  Customer& customer = NewCustomer();
  const int64_t id = customer.id;
  const Status applied = Apply(fields, customer);
  if (!applied.ok()) {
    customers_.erase(id);
    return applied;
  }
  if (customer.is_client) {
    // Made one at once.
    customer.turns.clear();
    customer.began_as_client = true;
    customer.status = fields.contains("stage") ? customer.status : 0;
  }
  Announce(customer);
  if (sum.has_value()) {
    Announce(NewPay(customer, kIncome, *sum));
  }
  return TruthOf(customer);
}

Result<DealTruth> School::EditDeal(const std::string& deal, const Json& fields) {
  if (Kept<Pay>* pay = FindPay(deal)) {
    Pay copy = pay->now;
    DEALSTREAM_RETURN_IF_ERROR(Apply(fields, copy));
    ChangePay(*pay, [&copy](Pay& changed) { changed = copy; });
    return FindDeal(deal);
  }
  Kept<Customer>* customer = FindCustomer(deal);
  if (customer == nullptr) {
    return NoSuchDeal(deal);
  }
  Customer copy = customer->now;
  DEALSTREAM_RETURN_IF_ERROR(Apply(fields, copy));
  if (fields.contains("amount")) {
    // What a lead is worth is what it paid: one payment more, or a refund.
    if (copy.is_client) {
      return absl::InvalidArgumentError("amount: the sum of a client's first sale doesn't change");
    }
    DEALSTREAM_ASSIGN_OR_RETURN(const Kopecks want, ParseSum("amount", fields.at("amount")));
    Kopecks have = 0;
    const auto truth = TruthOf(customer->now);
    if (truth.amount.has_value()) {
      DEALSTREAM_ASSIGN_OR_RETURN(have, ParseSum("amount", Json(*truth.amount)));
    }
    if (want != have) {
      Announce(NewPay(copy, want > have ? kIncome : kRefund, std::abs(want - have)));
    }
  }
  if (FieldsOf(copy) != FieldsOf(customer->now)) {
    ChangeCustomer(*customer, [&copy](Customer& changed) { changed = copy; });
  }
  return FindDeal(deal);
}

Result<DealTruth> School::MoveDeal(const std::string& deal, const Json& fields) {
  if (Kept<Pay>* pay = FindPay(deal)) {
    ChangePay(*pay, [&](Pay& changed) {
      changed.confirmed = TextOf(fields, "stage") != "Ожидает подтверждения";
    });
    return FindDeal(deal);
  }
  if (fields.contains("stage")) {
    return EditDeal(deal, {{"stage", fields.at("stage")}});
  }
  Kept<Customer>* customer = FindCustomer(deal);
  if (customer == nullptr) {
    return NoSuchDeal(deal);
  }
  if (customer->now.is_client) {
    return absl::InvalidArgumentError("a client has no next stage");
  }
  ChangeCustomer(*customer, [this](Customer& changed) {
    if (changed.status >= 3) {
      changed.status = 5;
      Turn(changed, true);
    } else {
      ++changed.status;
    }
  });
  return FindDeal(deal);
}

Result<DealTruth> School::PayDeal(const std::string& deal, const Json& fields) {
  if (Kept<Pay>* pay = FindPay(deal)) {
    ChangePay(*pay, [](Pay& changed) { changed.confirmed = true; });
    return FindDeal(deal);
  }
  const Kept<Customer>* customer = FindCustomer(deal);
  if (customer == nullptr) {
    return NoSuchDeal(deal);
  }
  Kopecks sum = kUsualSum;
  if (fields.contains("amount")) {
    DEALSTREAM_ASSIGN_OR_RETURN(sum, ParseSum("amount", fields.at("amount")));
  }
  Pay& pay = NewPay(customer->now, fields.value("goods", false) ? kGoods : kIncome, sum);
  pay.confirmed = fields.value("confirmed", true);
  Announce(pay);
  DealTruth truth = TruthOf(customer->now);
  truth.more["pay"] = fmt::format("pay:{}", pay.id);
  return truth;
}

Result<DealTruth> School::RefundDeal(const std::string& deal, const Json& fields) {
  int64_t customer_id = IdOf(deal, "lead:");
  Kopecks sum = kUsualSum / 2;
  if (const Kept<Pay>* pay = FindPay(deal)) {
    customer_id = pay->now.customer;
    sum = std::abs(ValueOf(pay->now).value_or(sum));
  }
  const auto customer = customers_.find(customer_id);
  if (customer == customers_.end() || customer->second.now.gone) {
    return NoSuchDeal(deal);
  }
  if (fields.contains("amount")) {
    DEALSTREAM_ASSIGN_OR_RETURN(sum, ParseSum("amount", fields.at("amount")));
  }
  Pay& refund = NewPay(customer->second.now, kRefund, sum);
  if (fields.value("by_income", false)) {
    // As old accounts write it.
    std::swap(refund.income, refund.expenditure);
    refund.expenditure.reset();
  }
  Announce(refund);
  DEALSTREAM_ASSIGN_OR_RETURN(DealTruth truth, FindDeal(deal));
  truth.more["pay"] = fmt::format("pay:{}", refund.id);
  return truth;
}

Result<DealTruth> School::DeleteDeal(const std::string& deal, const Json&) {
  if (Kept<Pay>* pay = FindPay(deal)) {
    const Json fields = FieldsOf(pay->now, settings_.old_webhooks.Bool());
    pay->before = std::make_unique<Pay>(pay->now);
    pay->touched = absl::Now();
    pay->now.gone = true;
    Happened();
    Log("Pay", pay->now.id, 3, fields, Json::object(), Now());
    Tell(pay->now, "delete", fields, Json::object());
    return FindDeal(deal);
  }
  Kept<Customer>* customer = FindCustomer(deal);
  if (customer == nullptr) {
    return NoSuchDeal(deal);
  }
  const Json fields = FieldsOf(customer->now);
  customer->before = std::make_unique<Customer>(customer->now);
  customer->touched = absl::Now();
  customer->now.gone = true;
  Happened();
  Log("Customer", customer->now.id, 3, fields, Json::object(), Now());
  Tell(customer->now, "delete", fields, Json::object());
  return FindDeal(deal);
}

Result<DealTruth> School::NotifyDeal(const std::string& deal, const Json&) {
  if (const Kept<Pay>* pay = FindPay(deal)) {
    Tell(pay->now, "update", Json::object(), Json::object());
  } else if (const Kept<Customer>* customer = FindCustomer(deal)) {
    Tell(customer->now, "update", Json::object(), Json::object());
  } else {
    return NoSuchDeal(deal);
  }
  return FindDeal(deal);
}

Result<DealTruth> School::OwnDealStep(const std::string& step,
                                      const std::string& deal,
                                      const Json& fields) {
  if (step == "convert" || step == "unconvert") {
    return EditDeal(deal, {{"client", step == "convert"}});
  }
  if (step == "archive" || step == "restore") {
    Json edit = {{"archived", step == "archive"}};
    if (fields.contains("reason")) {
      edit["reject"] = fields.at("reason");
    }
    return EditDeal(deal, edit);
  }
  if (step == "correct") {
    const Kept<Customer>* customer = FindCustomer(deal);
    if (customer == nullptr) {
      return NoSuchDeal(deal);
    }
    Announce(NewPay(customer->now, kCorrection, -12'550));
    return FindDeal(deal);
  }
  return Account::OwnDealStep(step, deal, fields);
}

Result<Json> School::OwnControl(const std::string& method,
                                const std::string& path,
                                const Json& fields) {
  if (path == "revoke") {
    tokens_.clear();
    return Json{{"account", name()}};
  }
  if (path == "key") {
    // Its owner has made another one; the old one is good for nothing, nor are its tokens.
    tokens_.clear();
    key_ = side_random().Uuid();
    return Json{{"account", name()}, {"credential", Credential()}};
  }
  if (path == "clock") {
    ahead_ += absl::Seconds(fields.value("seconds", 1));
    return Json{{"now", WallTime(Now())}};
  }
  if (path == "logins") {
    return Json{{"logins", logins_}};
  }
  return Account::OwnControl(method, path, fields);
}

Status School::SetOwnFault(const std::string& name, const Json& value) {
  if (name == "no_api") {
    own_faults_.no_api = value.get<bool>();
  } else if (name == "no_log") {
    own_faults_.no_log = value.get<bool>();
  } else if (name == "no_directories") {
    own_faults_.no_directories = value.get<bool>();
  } else if (name == "stale_ms") {
    own_faults_.stale_ms = value.get<int>();
  } else {
    return Account::SetOwnFault(name, value);
  }
  return absl::OkStatus();
}

// ---- Life
// ----------------------------------------------------------------------------------------

std::vector<int64_t> School::LiveIds(bool clients, bool leads) const {
  std::vector<int64_t> ids;
  for (const auto& [id, kept] : customers_) {
    if (!kept.now.gone && (kept.now.is_client ? clients : leads)) {
      ids.push_back(id);
    }
  }
  return ids;
}

std::string School::LiveNewDeal() {
  Customer& customer = NewCustomer();
  if (random().Chance(0.2)) {
    customer.branches.push_back(customer.branches.front() % 3 + 1);
  }
  Announce(customer);
  return fmt::format("lead:{}", customer.id);
}

void School::LiveOneChange() {
  const std::vector<int64_t> all = LiveIds(true, true);
  const std::vector<int64_t> leads = LiveIds(false, true);
  const size_t dice = random().Below(20);
  if (all.empty() || dice < 4) {
    LiveNewDeal();
    return;
  }
  const std::string any = fmt::format("lead:{}", random().Of(all));
  if (dice < 9 && !leads.empty()) {
    (void)MoveDeal(fmt::format("lead:{}", random().Of(leads)), Json::object());
  } else if (dice < 14) {
    (void)PayDeal(any, {{"amount", Units(random().Between(5, 200) * 5000)}});
  } else if (dice < 15) {
    (void)RefundDeal(any, {{"amount", Units(random().Between(1, 20) * 5000)}});
  } else if (dice < 16 && !leads.empty()) {
    (void)OwnDealStep(
        "archive", fmt::format("lead:{}", random().Of(leads)), {{"reason", "Не отвечает"}});
  } else if (dice < 19) {
    (void)EditDeal(any, {{"note", simkit::MakeRemark(random())}});
  } else if (random().Chance(0.3)) {
    (void)DeleteDeal(any, Json::object());
  } else {
    (void)EditDeal(any, {{"teachers", {random().Between(14, 15)}}});
  }
}

}  // namespace dealstream::crm::alfacrm::sim
