#include "libs/crm/klientiks/sim/account.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include <fmt/format.h>

#include "libs/crm/klientiks/sim/mustache.h"
#include "libs/crm/sim/names.h"

// An account's data and the steps of the control interface.
namespace dealstream::crm::klientiks::sim {
namespace {

using simkit::DealTruth;

// The templates that an owner pastes, by the vendor's instruction.
constexpr std::string_view kCreatedTemplate =
    "?appointment_id={{#appointment}}{{id}}{{/appointment}}"
    "&status={{#new_data}}{{status}}{{/new_data}}";
constexpr std::string_view kChangedTemplate =
    "?appointment_id={{#new_data}}{{id}}{{/new_data}}"
    "&status={{#new_data}}{{status}}{{/new_data}}";

// What a URL can't hold as it is.
std::string AsUrl(std::string_view text) {
  std::string url;
  for (const char c : text) {
    const bool plain =
        c > ' ' && c < 0x7f && std::string_view("{}#\"<>").find(c) == std::string_view::npos;
    url += plain ? std::string(1, c)
                 : fmt::format("%{:02X}", static_cast<int>(static_cast<unsigned char>(c)));
  }
  return url;
}

// "12.50" in hundredths.
bool ReadMoney(const Json& value, int64_t& hundredths) {
  double number = 0;
  if (!absl::SimpleAtod(simkit::TextOf(value), &number) || !(number >= 0 && number < 1e12)) {
    return false;
  }
  hundredths = std::llround(number * 100);
  return true;
}

Status Bad(const std::string& field, const Json& value, std::string_view want) {
  return absl::InvalidArgumentError(
      fmt::format("{}: got {}, want {}", field, simkit::Dump(value).substr(0, 100), want));
}

}  // namespace

absl::Time Now() { return absl::FromUnixMicros(absl::ToUnixMicros(absl::Now())); }

KlientiksAccount::KlientiksAccount(
    int number, uint64_t seed, std::string origin, int deals, const SimSettings& settings)
    : Account(number,
              fmt::format("clinic{}", number),
              fmt::format("{:012x}", 0xc11a000000 + number),
              seed),
      settings_(settings),
      origin_(std::move(origin)),
      user_id_(side_random().Hex(12)),
      token_(side_random().Hex(32)),
      next_id_(5'000'000 + 100'000 * static_cast<int64_t>(number)) {
  MakeDirectories();
  const absl::Time now = Now();
  for (int i = 0; i < deals; ++i) {
    Visit visit = MakeVisit(now - absl::Minutes(random().Between(1, 60 * 24 * 20)));
    visits_[visit.id] = std::move(visit);
  }
}

Json KlientiksAccount::Credential() const {
  return {
      {"account_id", id()}, {"user_id", user_id_}, {"access_token", token_}, {"base_url", origin_}};
}

http::ServerResponse KlientiksAccount::Fail(int status) {
  const char* text = status == 403 || status == 401 ? "Access denied"
                     : status == 402                ? "Тариф не включает API"
                     : status == 429                ? "Too many requests"
                                                    : "Error";
  const bool is_refusal = status == 401 || status == 402 || status == 403;
  return simkit::JsonAnswer({{"error", text}},
                            is_refusal && settings_.refuse_with_200.Bool() ? 200 : status);
}

http::ServerResponse KlientiksAccount::Refuse(const std::string&) { return Fail(429); }

simkit::Limits KlientiksAccount::limits() const {
  const int per_minute = settings_.requests_per_minute.Int();
  simkit::Limits limits;
  if (per_minute > 0) {
    // One a second, two at once.
    limits.requests = 2;
    limits.window = absl::Minutes(2) / per_minute;
  }
  return limits;
}

// ---- Data

Visit* KlientiksAccount::Find(const std::string& id) {
  return const_cast<Visit*>(std::as_const(*this).Find(id));
}

const Visit* KlientiksAccount::Find(const std::string& id) const {
  int64_t number = 0;
  if (!absl::SimpleAtoi(id, &number)) {
    return nullptr;
  }
  const auto found = visits_.find(number);
  return found == visits_.end() ? nullptr : &found->second;
}

const Employee* KlientiksAccount::FindEmployee(int64_t id) const {
  const auto found = std::find_if(
      employees_.begin(), employees_.end(), [id](const Employee& one) { return one.id == id; });
  return found == employees_.end() ? nullptr : &*found;
}

const Client* KlientiksAccount::FindClient(int64_t id) const {
  const auto found = std::find_if(
      clients_.begin(), clients_.end(), [id](const Client& one) { return one.id == id; });
  return found == clients_.end() ? nullptr : &*found;
}

DealTruth KlientiksAccount::TruthOf(const Visit& visit) const {
  DealTruth truth;
  truth.id = std::to_string(visit.id);
  std::optional<int64_t> lines;
  int64_t unpaid = 0;
  bool some_paid = visit.subscription != 0;
  for (const Line& line : visit.lines) {
    truth.title += (truth.title.empty() ? "" : ", ") + line.service.name;
    some_paid = some_paid || line.subscription != 0;
    if (line.price.has_value()) {
      const int64_t sum = *line.price * line.count - line.discount;
      lines = lines.value_or(0) + sum;
      unpaid += line.subscription == 0 && visit.subscription == 0 ? sum : 0;
    }
  }
  if (truth.title.empty()) {
    truth.title = fmt::format("Запись №{}", visit.id);
  }
  const StatusName* status = FindStatusName(visit.status);
  truth.stage = status == nullptr ? visit.status : status->label;
  truth.stage_kind = status == nullptr ? "OPEN" : status->kind;
  const auto decimal = [](int64_t hundredths) {
    return fmt::format("{}.{:02}", hundredths / 100, hundredths % 100);
  };
  const std::optional<int64_t> amount = visit.total.has_value() ? visit.total : lines;
  if (amount.has_value()) {
    truth.amount = decimal(*amount);
  }
  truth.currency = "RUB";
  truth.updated = visit.changed;
  truth.gone = visit.removed;
  const Client* client = FindClient(visit.client);
  const Employee* executor = FindEmployee(visit.executor);
  const Employee* author = FindEmployee(visit.author);
  const auto name = [](const auto* one) { return one == nullptr ? Json() : Json(one->name); };
  truth.more = {{"status", visit.status},
                {"client", client == nullptr ? Json() : Json(client->Name())},
                {"phone", client == nullptr ? Json() : Json("+" + client->phone)},
                {"executor", name(executor)},
                {"author", name(author)},
                {"start", TimeText(visit.start)},
                {"online", visit.online},
                {"amount_without_subscription",
                 some_paid            ? Json(decimal(unpaid))
                 : amount.has_value() ? Json(*truth.amount)
                                      : Json()}};
  return truth;
}

std::vector<DealTruth> KlientiksAccount::Deals() const {
  std::vector<DealTruth> deals;
  for (const auto& [id, visit] : visits_) {
    const Client* client = FindClient(visit.client);
    // Blocked hours and the demonstration's clients make none.
    if (client != nullptr && !client->demo) {
      deals.push_back(TruthOf(visit));
    }
  }
  return deals;
}

Result<DealTruth> KlientiksAccount::FindDeal(const std::string& deal) const {
  const Visit* visit = Find(deal);
  return visit == nullptr ? Result<DealTruth>(absl::NotFoundError("no such visit"))
                          : TruthOf(*visit);
}

const Visit& KlientiksAccount::Keep(Visit visit) {
  visit.created = visit.changed = Now();
  visit.visible = visit.created + absl::Milliseconds(own_faults_.late_ms);
  const int64_t id = visit.id;
  return visits_[id] = std::move(visit);
}

void KlientiksAccount::Changed(Visit& visit) {
  visit.changed = std::max(Now(), visit.changed + absl::Microseconds(1));
}

// ---- Webhooks

void KlientiksAccount::Tell(const std::string& purpose,
                            const std::string& text,
                            const Json& context) {
  simkit::Webhook webhook;
  webhook.method = "GET";
  webhook.url = WebhookUrl(purpose);
  if (webhook.url.empty()) {
    return;
  }
  std::string query = own_faults_.unfilled ? text
                      : own_faults_.empty  ? RenderMustache(text, Json::object())
                                           : RenderMustache(text, context);
  query += own_faults_.leftover ? " ," : "";
  webhook.url += AsUrl(query);
  Send(std::move(webhook));
}

// "Запись клиента на прием" and, of a booking, "Онлайн-запись через виджет" at either URL.
void KlientiksAccount::TellCreated(const Visit& visit) {
  const Json context = {{"appointment", {{"id", visit.id}}},
                        {"new_data", {{"id", visit.id}, {"status", visit.status}}}};
  Happened();
  Tell("deals", std::string(kCreatedTemplate), context);
  if (visit.online) {
    Tell("deals", std::string(kCreatedTemplate), context);
    Tell("requests", std::string(kCreatedTemplate), context);
  }
}

void KlientiksAccount::TellChanged(const Visit& visit) {
  Happened();
  Tell("deals",
       std::string(kChangedTemplate),
       {{"new_data", {{"id", visit.id}, {"status", visit.status}}}});
}

// ---- Steps

Status KlientiksAccount::ApplyClient(const Json& value, Visit& visit) {
  if (value.is_null()) {
    visit.client = 0;
    return absl::OkStatus();
  }
  if (!value.is_object()) {
    return Bad("client", value, "null or {name, surname, patronymic, phone, email, groups, demo}");
  }
  Client client = MakeClient();
  clients_.pop_back();
  const auto text = [&value](const char* key, std::string& out) {
    if (value.contains(key)) {
      out = simkit::TextOf(value, key);
    }
  };
  text("name", client.first);
  text("surname", client.last);
  text("patronymic", client.middle);
  text("phone", client.phone);
  text("groups", client.groups);
  if (value.contains("email")) {
    client.own["email"] = simkit::TextOf(value, "email");
  }
  client.demo = value.value("demo", false);
  client.visible =
      client.created + absl::Milliseconds(own_faults_.late_ms + own_faults_.late_client_ms);
  visit.client = client.id;
  clients_.push_back(std::move(client));
  return absl::OkStatus();
}

Status KlientiksAccount::ApplyServices(const Json& value, Visit& visit) {
  if (!value.is_array()) {
    return Bad("services", value, "[{name, price, count, discount, type, by_subscription}]");
  }
  visit.lines.clear();
  for (const Json& one : value) {
    if (!one.is_object()) {
      return Bad("services", value, "[{name, price, count, discount, type, by_subscription}]");
    }
    Line line;
    line.id = NewId();
    line.service = services_.front();
    line.service.name = one.value("name", line.service.name);
    line.service.type = one.value("type", "service");
    line.count = one.value("count", int64_t{1});
    line.subscription = one.value("by_subscription", false) ? NewId() : 0;
    int64_t price = line.service.price;
    if (one.contains("price") && !one["price"].is_null() && !ReadMoney(one["price"], price)) {
      return Bad("services.price", one["price"], "a sum");
    }
    if (!one.contains("price") || !one["price"].is_null()) {
      line.price = price;
    }
    if (one.contains("discount") && !ReadMoney(one["discount"], line.discount)) {
      return Bad("services.discount", one["discount"], "a sum");
    }
    visit.lines.push_back(std::move(line));
  }
  visit.total.reset();
  return absl::OkStatus();
}

Status KlientiksAccount::ApplyField(const std::string& key, const Json& value, Visit& visit) {
  if (key == "title") {
    return ApplyServices(Json::array({{{"name", simkit::TextOf(value)}}}), visit);
  }
  if (key == "services") {
    return ApplyServices(value, visit);
  }
  if (key == "client") {
    return ApplyClient(value, visit);
  }
  if (key == "amount") {
    int64_t total = 0;
    if (!value.is_null() && !ReadMoney(value, total)) {
      return Bad(key, value, "a sum or null");
    }
    visit.total = value.is_null() ? std::nullopt : std::optional<int64_t>(total);
    for (Line& line : visit.lines) {
      // Without a sum, lines have no prices, too; a single line bears it.
      if (value.is_null()) {
        line.price.reset();
      } else if (visit.lines.size() == 1) {
        line.price = total;
        line.count = 1;
        line.discount = 0;
      }
    }
    return absl::OkStatus();
  }
  if (key == "stage" || key == "status") {
    const StatusName* status = FindStatusName(simkit::TextOf(value));
    // Any text: a status that the adapter doesn't know.
    visit.status = status == nullptr ? simkit::TextOf(value) : status->value;
    return absl::OkStatus();
  }
  if (key == "executor" || key == "author") {
    int64_t id = 0;
    if (!value.is_null() && (!absl::SimpleAtoi(simkit::TextOf(value), &id) || id < 0)) {
      return Bad(key, value, "an employee's id or null");
    }
    (key == "executor" ? visit.executor : visit.author) = id;
    return absl::OkStatus();
  }
  if (key == "currency") {
    // The CRM has none.
    return absl::OkStatus();
  }
  if (key == "move_minutes") {
    visit.start += absl::Minutes(value.get<int>());
    return absl::OkStatus();
  }
  if (key == "minutes") {
    visit.minutes = value.get<int>();
    return absl::OkStatus();
  }
  if (key == "by_subscription") {
    visit.subscription = value.get<bool>() ? NewId() : 0;
    return absl::OkStatus();
  }
  if (key == "is_sale") {
    visit.is_sale = value.get<bool>();
    return absl::OkStatus();
  }
  if (key == "custom_fields" && value.is_object()) {
    visit.own.update(value);
    return absl::OkStatus();
  }
  return Bad(key,
             value,
             "title, services, client, amount, stage, executor, author, move_minutes, minutes, "
             "by_subscription, is_sale or custom_fields");
}

Status KlientiksAccount::Apply(const Json& fields, Visit& visit) {
  // The services before the sum, which may be theirs.
  for (const bool sums : {false, true}) {
    for (const auto& [key, value] : fields.items()) {
      if ((key == "amount") != sums) {
        continue;
      }
      try {
        DEALSTREAM_RETURN_IF_ERROR(ApplyField(key, value, visit));
      } catch (const Json::exception&) {
        return Bad(key, value, "another type");
      }
    }
  }
  return absl::OkStatus();
}

Result<DealTruth> KlientiksAccount::CreateDeal(const Json& fields) {
  Visit visit = MakeVisit(Now());
  visit.status = "scheduled";
  visit.online = false;
  DEALSTREAM_RETURN_IF_ERROR(Apply(fields, visit));
  const Visit& kept = Keep(std::move(visit));
  TellCreated(kept);
  return TruthOf(kept);
}

Result<DealTruth> KlientiksAccount::EditDeal(const std::string& deal, const Json& fields) {
  Visit* visit = Find(deal);
  if (visit == nullptr || visit->removed) {
    return absl::NotFoundError("no such visit");
  }
  Visit changed = *visit;
  DEALSTREAM_RETURN_IF_ERROR(Apply(fields, changed));
  *visit = std::move(changed);
  Changed(*visit);
  TellChanged(*visit);
  return TruthOf(*visit);
}

Result<DealTruth> KlientiksAccount::MoveDeal(const std::string& deal, const Json& fields) {
  Visit* visit = Find(deal);
  if (visit == nullptr || visit->removed) {
    return absl::NotFoundError("no such visit");
  }
  if (fields.contains("stage")) {
    return EditDeal(deal, {{"stage", fields["stage"]}});
  }
  // On to the end, and from any end to the beginning.
  constexpr size_t kWay = 5;
  const auto& statuses = Statuses();
  const StatusName* now = FindStatusName(visit->status);
  const size_t place = now == nullptr ? kWay : static_cast<size_t>(now - statuses.data());
  return EditDeal(deal, {{"stage", place + 1 < kWay ? statuses[place + 1].value : "scheduled"}});
}

Result<DealTruth> KlientiksAccount::DeleteDeal(const std::string& deal, const Json&) {
  Visit* visit = Find(deal);
  if (visit == nullptr || visit->removed) {
    return absl::NotFoundError("no such visit");
  }
  visit->removed = true;
  if (settings_.removal_webhook.Bool()) {
    TellChanged(*visit);
  }
  return TruthOf(*visit);
}

Result<DealTruth> KlientiksAccount::NotifyDeal(const std::string& deal, const Json&) {
  const Visit* visit = Find(deal);
  if (visit == nullptr) {
    return absl::NotFoundError("no such visit");
  }
  TellChanged(*visit);
  return TruthOf(*visit);
}

// Books through the widget: {name, phone, email, lead, session, utm_source, …} and what a visit
// has.
Result<Json> KlientiksAccount::CreateRequest(const Json& fields) {
  Visit visit = MakeVisit(Now());
  visit.status = "scheduled";
  visit.online = true;
  visit.author = 0;
  visit.own = Json::object();
  Json rest = Json::object();
  Json client = Json::object();
  for (const auto& [key, value] : fields.items()) {
    if (key == "name" || key == "surname" || key == "patronymic" || key == "phone" ||
        key == "email") {
      client[key] = value;
    } else if (key == "session") {
      visit.own["comagic_session_id"] = value;
    } else if (key == "lead" || key.starts_with("utm_")) {
      visit.own[key] = value;
    } else {
      rest[key] = value;
    }
  }
  if (!client.empty()) {
    DEALSTREAM_RETURN_IF_ERROR(ApplyClient(client, visit));
  }
  DEALSTREAM_RETURN_IF_ERROR(Apply(rest, visit));
  const Visit& kept = Keep(std::move(visit));
  TellCreated(kept);
  return RequestOf(kept);
}

Json KlientiksAccount::RequestOf(const Visit& visit) const {
  const Client* client = FindClient(visit.client);
  Json request = {
      {"id", std::to_string(visit.id)},
      {"name", client == nullptr ? Json() : Json(client->Name())},
      {"phone", client == nullptr ? Json() : Json("+" + client->phone)},
      {"email", client == nullptr ? Json() : Json(simkit::TextOf(client->own, "email"))},
      {"created_us", absl::ToUnixMicros(visit.created)},
      {"lead", simkit::TextOf(visit.own, "lead")},
      {"session", simkit::TextOf(visit.own, "comagic_session_id")}};
  for (const char* mark : {"utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term"}) {
    request[mark] = simkit::TextOf(visit.own, mark);
  }
  return request;
}

Result<Json> KlientiksAccount::Requests() const {
  Json requests = Json::array();
  for (const auto& [id, visit] : visits_) {
    if (visit.online) {
      requests.push_back(RequestOf(visit));
    }
  }
  return requests;
}

Result<Json> KlientiksAccount::OwnControl(const std::string& method,
                                          const std::string& path,
                                          const Json& fields) {
  if (method == "GET" && path == "employees") {
    Json employees = Json::array();
    for (const Employee& employee : employees_) {
      employees.push_back({{"id", employee.id}, {"name", employee.name}});
    }
    return Json{{"employees", std::move(employees)}};
  }
  if (method == "POST" && path == "revoke") {
    token_ = side_random().Hex(32);
    return Json::object();
  }
  return Account::OwnControl(method, path, fields);
}

Status KlientiksAccount::SetOwnFault(const std::string& name, const Json& value) {
  const std::map<std::string, bool*> flags = {{"php_notice", &own_faults_.php_notice},
                                              {"hide_clients", &own_faults_.hide_clients},
                                              {"hide_users", &own_faults_.hide_users},
                                              {"leftover", &own_faults_.leftover},
                                              {"unfilled", &own_faults_.unfilled},
                                              {"empty", &own_faults_.empty}};
  if ((name == "late_ms" || name == "late_client_ms") && value.is_number()) {
    (name == "late_ms" ? own_faults_.late_ms : own_faults_.late_client_ms) = value.get<int>();
    return absl::OkStatus();
  }
  const auto found = flags.find(name);
  if (found == flags.end() || !value.is_boolean()) {
    return Account::SetOwnFault(name, value);
  }
  *found->second = value.get<bool>();
  return absl::OkStatus();
}

}  // namespace dealstream::crm::klientiks::sim
