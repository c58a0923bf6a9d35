#include "libs/crm/megaplan/sim/account.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include <fmt/format.h>

#include "libs/crm/megaplan/sim/view.h"
#include "libs/crm/sim/names.h"

namespace dealstream::crm::megaplan::sim {
namespace {

using simkit::DealTruth;
using simkit::TextOf;

// Ids of an account's entities begin here: those of accounts don't meet.
constexpr int64_t kIdsOfAnAccount = 10'000'000;

// "12.5", "12.50", "12": hundredths.
std::optional<int64_t> Hundredths(const std::string& text) {
  const size_t point = text.find('.');
  std::string digits = text.substr(0, point);
  std::string fraction = point == std::string::npos ? "" : text.substr(point + 1);
  if (fraction.size() > 2) {
    return std::nullopt;
  }
  fraction.resize(2, '0');
  int64_t number = 0;
  if (digits.empty() || !absl::SimpleAtoi(digits + fraction, &number)) {
    return std::nullopt;
  }
  return number;
}

Status Wrong(const std::string& key, const Json& value, const std::string& want) {
  return absl::InvalidArgumentError(
      fmt::format("{}: got {}, want {}", key, simkit::Dump(value), want));
}

std::string StageKind(const std::string& type) {
  return type == "positive" ? "WON" : type == "negative" ? "LOST" : "OPEN";
}

}  // namespace

absl::Time Now() { return absl::FromUnixSeconds(absl::ToUnixSeconds(absl::Now())); }

MegaplanAccount::MegaplanAccount(
    int number, uint64_t seed, std::string origin, int deals, const SimSettings& settings)
    : Account(number, fmt::format("mp{}", number), fmt::format("mp{}", number), seed),
      settings_(settings),
      origin_(std::move(origin)),
      username_(fmt::format("robot@mp{}.example", number)),
      password_(side_random().Hex(12)),
      next_id_(number * kIdsOfAnAccount + 1) {
  MakeDirectories();
  const absl::Time now = Now();
  for (int i = 0; i < deals; ++i) {
    // Their past is a month long.
    MakeDeal(now - absl::Seconds(random().Between(60, 30 * 86'400)));
  }
}

void MegaplanAccount::MakeDirectories() {
  for (int i = 0; i < 5; ++i) {
    const simkit::PersonName name = simkit::MakePerson(random());
    employees_.push_back({NewId(),
                          name.last,
                          name.first,
                          name.middle,
                          simkit::MakeEmail(random()),
                          simkit::MakeMobile(random())});
  }
  for (const char* name : {"Продажи", "Сервис"}) {
    programs_.push_back({NewId(),
                         name,
                         {{NewId(), "Новая", "active"},
                          {NewId(), "В работе", "active"},
                          // A name that means nothing.
                          {NewId(), "Оплачено", "active"},
                          {NewId(), "Выполнено", "positive"},
                          {NewId(), "Отказ", "negative"}}});
  }
  currencies_ = {
      {"1", "Рубли", "RUB", 1}, {"2", "Доллары", "USD", 78.25}, {"3", "Евро", "EUR", 90.1137}};
  for (int i = 0; i < 8; ++i) {
    MakeClient(i % 2 == 0);
  }
}

std::string MegaplanAccount::MakeClient(bool is_company) {
  const simkit::PersonName name = simkit::MakePerson(random());
  Client client{.id = NewId(),
                .is_company = is_company,
                .name = is_company ? simkit::MakeCompany(random()) : "",
                .last = name.last,
                .first = name.first,
                .middle = name.middle,
                .infos = {{"phone", simkit::MakePhone(random()), false},
                          {"phone", simkit::MakeMobile(random()), true},
                          {"email", simkit::MakeEmail(random()), false}},
                .responsibles = {random().Of(employees_).id}};
  clients_.push_back(std::move(client));
  return clients_.back().id;
}

// ---- Truth and lookups -----------------------------------------------------------------------

Deal* MegaplanAccount::Find(const std::string& id) {
  const auto found = deals_.find(id);
  return found == deals_.end() ? nullptr : &found->second;
}

const Deal* MegaplanAccount::Find(const std::string& id) const {
  const auto found = deals_.find(id);
  return found == deals_.end() ? nullptr : &found->second;
}

const Employee* MegaplanAccount::FindEmployee(const std::string& id) const {
  const auto found = std::find_if(
      employees_.begin(), employees_.end(), [&id](const Employee& one) { return one.id == id; });
  return found == employees_.end() ? nullptr : &*found;
}

const Client* MegaplanAccount::FindClient(const std::string& id) const {
  const auto found = std::find_if(
      clients_.begin(), clients_.end(), [&id](const Client& one) { return one.id == id; });
  return found == clients_.end() ? nullptr : &*found;
}

DealTruth MegaplanAccount::TruthOf(const Deal& deal) const {
  const State& state = programs_[deal.program].states[deal.state];
  DealTruth truth;
  truth.id = deal.id;
  truth.title = deal.name;
  truth.stage = state.name;
  truth.stage_kind = StageKind(state.type);
  if (deal.place != SumPlace::kNowhere) {
    truth.amount = Decimal(deal.Total());
    truth.currency = currencies_[deal.currency].code;
  }
  truth.updated = deal.updated;
  truth.gone = deal.gone;
  const Employee* manager = FindEmployee(deal.manager);
  const Client* contractor = FindClient(deal.contractor);
  const Client* contact = FindClient(deal.contact);
  truth.more = {{"number", deal.number},
                {"program", programs_[deal.program].name},
                {"stage_id", state.id},
                {"manager",
                 manager != nullptr        ? Json(manager->Name())
                 : deal.manager == "group" ? Json("Первая линия")
                                           : Json(nullptr)},
                {"contractor", contractor == nullptr ? Json(nullptr) : Json(contractor->Name())},
                {"contact", contact == nullptr ? Json(nullptr) : Json(contact->Name())},
                {"positions", deal.positions.size()},
                {"paid", Decimal(deal.paid)},
                {"custom_fields", deal.custom_fields}};
  return truth;
}

std::vector<DealTruth> MegaplanAccount::Deals() const {
  std::vector<DealTruth> truths;
  for (const auto& [id, deal] : deals_) {
    truths.push_back(TruthOf(deal));
  }
  return truths;
}

Result<DealTruth> MegaplanAccount::FindDeal(const std::string& deal) const {
  const Deal* found = Find(deal);
  if (found == nullptr) {
    return absl::NotFoundError(fmt::format("{}: no deal {}", name(), deal));
  }
  return TruthOf(*found);
}

Json MegaplanAccount::Credential() const {
  return {{"username", username_},
          {"password", password_},
          {"domain", fmt::format("https://{}.megaplan.ru", name())},
          {"base_url", origin_}};
}

// ---- Changes ---------------------------------------------------------------------------------

void MegaplanAccount::Changed(Deal& deal, absl::Time now) {
  // Times of one deal never go back; with seconds alone, two changes may share one.
  deal.updated = std::max(deal.updated, now);
  Happened();
  Tell(deal, "on_after_update");
}

void MegaplanAccount::Tell(const Deal& deal, const std::string& event) {
  simkit::Webhook webhook;
  webhook.url = WebhookUrl();
  webhook.headers = {{"Content-Type", "application/json"}};
  Json body;
  if (own_faults_.scenario) {
    body = {{"data", {{"deal", {{"Id", std::stoll(deal.id)}, {"RelatedObjects", Json::array()}}}}}};
  } else {
    body = {
        {"uuid", fmt::format("5f0c6a3e-2f5b-4c0a-9a55-{:012d}", number())},
        {"event", event},
        {"model", "Deal"},
        {"data", event == "on_after_drop" ? Link("Deal", deal.id) : View(*this).ForEvent(deal)}};
  }
  webhook.body = simkit::Dump(body);
  Send(std::move(webhook));
}

Result<DealTruth> MegaplanAccount::CreateDeal(const Json& fields) {
  const absl::Time now = Now();
  Deal deal;
  deal.id = NewId();
  deal.number = fmt::format("СД-{}", deal.id);
  deal.name = "Сделка";
  deal.manager = employees_.front().id;
  deal.contractor = clients_.front().id;
  deal.created = deal.updated = deal.state_updated = now;
  DEALSTREAM_RETURN_IF_ERROR(Apply(fields, deal, now));
  Deal& kept = deals_[deal.id] = std::move(deal);
  Happened();
  Tell(kept, "on_after_create");
  return TruthOf(kept);
}

Result<DealTruth> MegaplanAccount::EditDeal(const std::string& id, const Json& fields) {
  Deal* deal = Find(id);
  if (deal->gone) {
    return absl::InvalidArgumentError(fmt::format("deal {} is gone", id));
  }
  Deal changed = *deal;
  const absl::Time now = Now();
  DEALSTREAM_RETURN_IF_ERROR(Apply(fields, changed, now));
  *deal = std::move(changed);
  Changed(*deal, now);
  return TruthOf(*deal);
}

Status MegaplanAccount::Apply(const Json& fields, Deal& deal, absl::Time now) {
  for (const auto& [key, value] : fields.items()) {
    Status status;
    if (key == "title" || key == "name") {
      deal.name = TextOf(value);
    } else if (key == "number") {
      deal.number = TextOf(value);
    } else if (key == "amount" || key == "cost" || key == "currency") {
      status = ApplySum(key, value, deal);
    } else if (key == "positions") {
      status = ApplyPositions(value, deal);
    } else if (key == "contractor" || key == "contact") {
      status = ApplyClient(value, key == "contractor", deal);
    } else if (key == "program" || key == "stage" || key == "manager") {
      status = ApplyPlace(key, TextOf(value), deal, now);
    } else if (key == "custom_fields" && value.is_object()) {
      for (const auto& [name, content] : value.items()) {
        deal.custom_fields[name] = content;
      }
    } else {
      status = absl::InvalidArgumentError(
          fmt::format("{}: no such field, want one of title, number, amount, cost, currency, "
                      "positions, contractor, contact, program, stage, manager, custom_fields (an "
                      "object)",
                      key));
    }
    DEALSTREAM_RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

Status MegaplanAccount::ApplySum(const std::string& key, const Json& value, Deal& deal) {
  if (key == "currency") {
    const auto found = std::find_if(currencies_.begin(), currencies_.end(), [&](const auto& one) {
      return one.code == TextOf(value);
    });
    deal.currency = static_cast<size_t>(found - currencies_.begin());
    if (found == currencies_.end()) {
      // People name theirs as they like.
      currencies_.push_back({std::to_string(currencies_.size() + 1), "Своя", TextOf(value), 90});
    }
    return absl::OkStatus();
  }
  deal.positions.clear();
  if (value.is_null()) {
    deal.place = SumPlace::kNowhere;
    return absl::OkStatus();
  }
  const auto sum = Hundredths(TextOf(value));
  if (!sum.has_value()) {
    return Wrong(key, value, "an amount as 12.50");
  }
  deal.place = key == "cost" ? SumPlace::kCost : SumPlace::kPrice;
  deal.sum = *sum;
  return absl::OkStatus();
}

Status MegaplanAccount::ApplyPositions(const Json& value, Deal& deal) {
  deal.positions.clear();
  deal.place = SumPlace::kPositions;
  if (value.is_number_integer()) {
    for (int64_t i = 0; i < std::min<int64_t>(value.get<int64_t>(), 10'000); ++i) {
      deal.positions.push_back(
          {NewId(), NewId(), fmt::format("Товар {}", i + 1), "product", 100, 10'000 + i});
    }
    return absl::OkStatus();
  }
  if (!value.is_array()) {
    return Wrong("positions", value, "a count, or a list of {name, type, quantity, price}");
  }
  for (const Json& row : value) {
    const auto quantity = Hundredths(row.contains("quantity") ? TextOf(row, "quantity") : "1");
    const auto price = Hundredths(row.contains("price") ? TextOf(row, "price") : "0");
    if (!quantity.has_value() || !price.has_value()) {
      return Wrong("positions", row, "quantity and price as 12.50");
    }
    const std::string name = TextOf(row, "name");
    const std::string type = TextOf(row, "type");
    deal.positions.push_back({NewId(),
                              NewId(),
                              name.empty() ? "Товар" : name,
                              type.empty() ? "product" : type,
                              *quantity,
                              *price});
  }
  return absl::OkStatus();
}

Status MegaplanAccount::ApplyClient(const Json& value, bool is_contractor, Deal& deal) {
  std::string& place = is_contractor ? deal.contractor : deal.contact;
  if (value.is_null()) {
    place.clear();
    return absl::OkStatus();
  }
  if (!value.is_object()) {
    const auto found = std::find_if(clients_.begin(), clients_.end(), [&](const Client& client) {
      return client.id == TextOf(value) || client.Name() == TextOf(value);
    });
    if (found == clients_.end()) {
      return Wrong("client", value, "an id, a name, null or {name, company?, phone?, email?}");
    }
    place = found->id;
    return absl::OkStatus();
  }
  place = MakeClient(value.value("company", false));
  Client& client = clients_.back();
  const std::string given = TextOf(value, "name");
  if (!given.empty()) {
    const size_t space = given.find(' ');
    client.name = given;
    client.last = given.substr(0, space);
    client.first = space == std::string::npos ? "" : given.substr(space + 1);
    client.middle.clear();
  }
  client.infos.clear();
  for (const char* type : {"phone", "email"}) {
    if (value.contains(type)) {
      client.infos.push_back({type, TextOf(value, type), true});
    }
  }
  return absl::OkStatus();
}

Status MegaplanAccount::ApplyPlace(const std::string& key,
                                   const std::string& value,
                                   Deal& deal,
                                   absl::Time now) {
  if (key == "manager") {
    const auto found = std::find_if(employees_.begin(), employees_.end(), [&](const auto& one) {
      return one.id == value || one.Name() == value;
    });
    if (found == employees_.end() && value != "group" && !value.empty()) {
      return Wrong(key, value, "an id or name of an employee, group or null");
    }
    deal.manager = found == employees_.end() ? value : found->id;
    return absl::OkStatus();
  }
  const auto is_it = [&value](const auto& one) { return one.id == value || one.name == value; };
  if (key == "program") {
    const auto found = std::find_if(programs_.begin(), programs_.end(), is_it);
    if (found == programs_.end()) {
      return Wrong(key, value, "an id or name of a program");
    }
    deal.program = static_cast<size_t>(found - programs_.begin());
    deal.state = 0;
  } else {
    const std::vector<State>& states = programs_[deal.program].states;
    const auto found = std::find_if(states.begin(), states.end(), is_it);
    if (found == states.end()) {
      return Wrong(key, value, "an id or name of a state of the deal's program");
    }
    deal.state = static_cast<size_t>(found - states.begin());
  }
  deal.state_updated = now;
  return absl::OkStatus();
}

Result<DealTruth> MegaplanAccount::MoveDeal(const std::string& id, const Json& fields) {
  if (fields.contains("stage")) {
    return EditDeal(id, {{"stage", fields["stage"]}});
  }
  const Deal& deal = *Find(id);
  const std::vector<State>& states = programs_[deal.program].states;
  if (states[deal.state].type != "active") {
    return absl::InvalidArgumentError(
        fmt::format("deal {} is in its last stage, {}", id, states[deal.state].name));
  }
  return EditDeal(id, {{"stage", states[deal.state + 1].id}});
}

Result<DealTruth> MegaplanAccount::PayDeal(const std::string& id, const Json& fields) {
  Deal& deal = *Find(id);
  const auto amount = fields.contains("amount") ? Hundredths(TextOf(fields, "amount"))
                                                : std::optional<int64_t>(deal.Total() - deal.paid);
  if (deal.gone || !amount.has_value()) {
    return absl::InvalidArgumentError("pay: want a deal that isn't gone, and an amount as 12.50");
  }
  deal.paid += *amount;
  Changed(deal, Now());
  return TruthOf(deal);
}

Result<DealTruth> MegaplanAccount::RefundDeal(const std::string& id, const Json& fields) {
  Deal& deal = *Find(id);
  const auto amount = fields.contains("amount") ? Hundredths(TextOf(fields, "amount"))
                                                : std::optional<int64_t>(deal.paid);
  if (deal.gone || !amount.has_value() || *amount > deal.paid) {
    return absl::InvalidArgumentError("refund: want a deal that has been paid so much");
  }
  deal.paid -= *amount;
  Changed(deal, Now());
  return TruthOf(deal);
}

Result<DealTruth> MegaplanAccount::DeleteDeal(const std::string& id, const Json&) {
  Deal& deal = *Find(id);
  if (!deal.gone) {
    deal.gone = true;
    deal.shown_until = absl::Now() + absl::Milliseconds(own_faults_.late_drop_ms);
    Happened();
    Tell(deal, "on_after_drop");
  }
  return TruthOf(deal);
}

Result<DealTruth> MegaplanAccount::NotifyDeal(const std::string& id, const Json& fields) {
  const Deal& deal = *Find(id);
  const std::string event = TextOf(fields, "event");
  Tell(deal, event.empty() ? "on_after_update" : event);
  return TruthOf(deal);
}

Result<Json> MegaplanAccount::OwnControl(const std::string& method,
                                         const std::string& path,
                                         const Json& fields) {
  if (method == "POST" && path == "revoke") {
    tokens_.clear();
    if (fields.value("refresh", true)) {
      refresh_token_.clear();
    }
    return Json{{"revoked", true}};
  }
  if (method == "GET" && path == "logins") {
    return Json{{"logins", logins_}, {"refreshes", refreshes_}};
  }
  if (method == "POST" && path.starts_with("clients/")) {
    const std::string id = path.substr(8);
    for (Client& client : clients_) {
      if (client.id == id && fields.contains("phone")) {
        // Its deals don't change by it.
        client.infos = {{"phone", TextOf(fields, "phone"), true}};
        return View(*this).Full(client);
      }
    }
    return absl::NotFoundError(fmt::format("no client {} to be given a phone", id));
  }
  return Account::OwnControl(method, path, fields);
}

Status MegaplanAccount::SetOwnFault(const std::string& name, const Json& value) {
  const auto flag = [&](bool& member) {
    if (!value.is_boolean()) {
      return Wrong(name, value, "true or false");
    }
    member = value.get<bool>();
    return absl::OkStatus();
  };
  if (name == "within_200") {
    return flag(own_faults_.within_200);
  }
  if (name == "links_only") {
    return flag(own_faults_.links_only);
  }
  if (name == "hide_clients") {
    return flag(own_faults_.hide_clients);
  }
  if (name == "scenario") {
    return flag(own_faults_.scenario);
  }
  if (name == "late_drop_ms") {
    if (!value.is_number_integer() || value.get<int64_t>() < 0 ||
        value.get<int64_t>() > 3'600'000) {
      return Wrong(name, value, "milliseconds up to an hour");
    }
    own_faults_.late_drop_ms = value.get<int>();
    return absl::OkStatus();
  }
  return Account::SetOwnFault(name, value);
}

}  // namespace dealstream::crm::megaplan::sim
