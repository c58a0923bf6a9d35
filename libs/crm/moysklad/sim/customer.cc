#include "libs/crm/moysklad/sim/customer.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/time/clock.h"
#include <fmt/format.h>

#include "libs/crm/moysklad/sim/edit.h"

namespace dealstream::crm::moysklad::sim {
namespace {

constexpr char kUserAgent[] = "MoySklad webhook touch agent 2.0 (/https://www.moysklad.ru)";

// For the account's id, which is no part of its life.
std::string MakeAccountId(int number, uint64_t seed) {
  Random random(seed * 1'000'033 + static_cast<uint64_t>(number));
  return MakeId(random);
}

Json EventOf(const AccountData& account,
             const std::string& base_url,
             const Change& change,
             const Subscription& subscription) {
  Json event = {
      {"meta",
       {{"type", change.entity.type},
        {"href", fmt::format("{}/entity/{}/{}", base_url, change.entity.type, change.entity.id)}}},
      {"action", change.action},
      {"accountId", account.id}};
  if (change.action == "UPDATE" && subscription.diff_type == "FIELDS" && !change.fields.empty()) {
    event["updatedFields"] = change.fields;
  }
  return event;
}

bool IsMuted(const std::string& url, const std::vector<std::string>& muted) {
  return std::any_of(muted.begin(), muted.end(), [&url](const std::string& prefix) {
    return url.starts_with(prefix);
  });
}

Json ErrorBody(int code, const std::string& text, const std::string& parameter) {
  Json error = {
      {"error", text},
      {"code", code},
      {"moreInfo", fmt::format("https://dev.moysklad.ru/doc/api/remap/1.2/#error_{}", code)}};
  if (!parameter.empty()) {
    error["parameter"] = parameter;
    error["line"] = 1;
    error["column"] = 2;
  }
  return {{"errors", Json::array({std::move(error)})}};
}

}  // namespace

Answer RefuseCall(int status, int code, const std::string& text, const std::string& parameter) {
  return {status, ErrorBody(code, text, parameter)};
}

http::ServerResponse Pack(const Answer& answer, http::Headers headers) {
  http::ServerResponse response;
  response.status = answer.status;
  response.headers = std::move(headers);
  if (!answer.body.is_null()) {
    response.headers.emplace_back("Content-Type", "application/json;charset=utf-8");
    response.headers.emplace_back("Content-Encoding", "gzip");
    response.body = simkit::Gzip(simkit::Dump(answer.body));
  }
  return response;
}

Customer::Customer(
    int number, uint64_t seed, int orders, std::string base_url, const SimSettings& settings)
    : Account(number, fmt::format("company{}", number), MakeAccountId(number, seed), seed),
      login_("admin@" + name()),
      password_(fmt::format("pass-{}-{:x}", number, seed * 2654435761U % 0xffffff)),
      base_url_(std::move(base_url)),
      settings_(settings),
      data_(name(), id(), random(), orders, absl::Now()) {}

const std::string& Customer::MintToken() {
  token_ = (MakeCode(side_random()) + MakeCode(side_random())).substr(0, 40);
  return token_;
}

http::Headers Customer::RateHeaders() const {
  return basket_.HeadersOf(settings_.Limits(), /*refused=*/false, absl::Now());
}

const Order& Customer::AsRead(const Order& order) const {
  const auto old = snapshot_.find(order.id);
  return stale_ && old != snapshot_.end() ? old->second : order;
}

void Customer::Notify(const std::vector<Change>& changes, const std::vector<std::string>& muted) {
  Happened(static_cast<int64_t>(changes.size()));
  // One body for each subscription, unless they are to be mixed.
  std::map<std::string, std::pair<std::string, Json>> bodies;
  for (const Change& change : changes) {
    for (const Subscription& subscription : data_.subscriptions) {
      if (!subscription.enabled || subscription.action != change.action ||
          subscription.entity_type != change.entity.type || IsMuted(subscription.url, muted)) {
        continue;
      }
      auto& [url, events] = bodies[mix_webhooks_ ? subscription.url : subscription.id];
      url = subscription.url;
      events.push_back(EventOf(data_, base_url_, change, subscription));
    }
  }
  for (auto& [key, body] : bodies) {
    const Json json = {{"auditContext",
                        {{"meta",
                          {{"type", "audit"},
                           {"href", fmt::format("{}/audit/{}", base_url_, MakeId(side_random()))}}},
                         {"moment", MoscowTime(absl::Now()).substr(0, 19)},
                         {"uid", login_}}},
                       {"events", std::move(body.second)}};
    simkit::Webhook webhook;
    const std::string& url = body.first;
    webhook.url = fmt::format("{}{}requestId={}",
                              url,
                              url.find('?') == std::string::npos ? '?' : '&',
                              MakeId(side_random()));
    webhook.headers = {{"User-Agent", kUserAgent}, {"Content-Type", "application/json"}};
    webhook.body = json.dump();
    Send(std::move(webhook));
  }
}

Json Customer::Credential() const {
  return {{"login", login_}, {"password", password_}, {"base_url", base_url_}};
}

http::ServerResponse Customer::Fail(int status) {
  const int code = status == 400   ? 2016
                   : status == 401 ? 1056
                   : status == 403 ? 1016
                   : status == 429 ? 1049
                                   : 1999;
  http::Headers headers;
  if (status == 429) {
    headers = basket_.HeadersOf(settings_.Limits(), /*refused=*/true, absl::Now());
  }
  return Pack(
      RefuseCall(status, code, status == 400 ? "Неправильный тип значения" : "Ошибка сервиса"),
      std::move(headers));
}

http::ServerResponse Customer::Refusal(int code, http::Headers headers) {
  Violation(code == 1073 ? "parallel" : "rate");
  blocked_ = blocked_ || basket_.Refused(settings_.Limits(), absl::Now());
  return Pack(
      RefuseCall(429,
                 code,
                 code == 1073 ? "Превышено ограничение на одновременное количество запросов"
                              : "Превышено ограничение на количество запросов в единицу времени"),
      std::move(headers));
}

std::optional<http::ServerResponse> Customer::Admit(absl::Time now) {
  const LimitSettings allowed = settings_.Limits();
  if (blocked_) {
    Violation("blocked");
    return Pack(RefuseCall(403, 1061, "Доступ к API отключён"), {});
  }
  if (running() >= allowed.parallel) {
    return Refusal(1073, {});
  }
  if (!basket_.Take(allowed, allowed.unit_price, now)) {
    return Refusal(1049, basket_.HeadersOf(allowed, /*refused=*/true, now));
  }
  return std::nullopt;
}

std::vector<simkit::DealTruth> Customer::Deals() const {
  std::vector<simkit::DealTruth> deals;
  for (const auto& order : data_.orders()) {
    deals.push_back(TruthOf(data_, *order));
  }
  for (const auto& [id, time] : data_.gone()) {
    deals.push_back(TruthOfGone(id, time));
  }
  return deals;
}

Result<simkit::DealTruth> Customer::FindDeal(const std::string& deal) const {
  if (const Order* order = data_.FindOrder(deal)) {
    return TruthOf(data_, *order);
  }
  const auto gone = data_.gone().find(deal);
  if (gone != data_.gone().end()) {
    return TruthOfGone(gone->first, gone->second);
  }
  return absl::NotFoundError(fmt::format("no such order: {}", deal));
}

Result<Order*> Customer::Find(const std::string& deal) {
  Order* order = data_.FindOrder(deal);
  return order == nullptr
             ? Result<Order*>(absl::NotFoundError(fmt::format("no such order: {}", deal)))
             : order;
}

Result<simkit::DealTruth> Customer::CreateDeal(const Json& fields) {
  const absl::Time now = absl::Now();
  Order& order = data_.AddOrder(now);
  if (!fields.contains("agent")) {
    order.agent = {"counterparty", data_.AddCounterparty(now).id};
  }
  if (const auto edited = EditOrder(data_, order, fields, now); !edited.ok()) {
    data_.Discard(order.id);
    return edited.status();
  }
  Notify({AccountData::Created(order)});
  return TruthOf(data_, order);
}

Result<simkit::DealTruth> Customer::EditDeal(const std::string& deal, const Json& fields) {
  const absl::Time now = absl::Now();
  DEALSTREAM_ASSIGN_OR_RETURN(Order* const order, Find(deal));
  DEALSTREAM_ASSIGN_OR_RETURN(auto changed, EditOrder(data_, *order, fields, now));
  Notify({data_.Updated(*order, std::move(changed), now)});
  return TruthOf(data_, *order);
}

Result<simkit::DealTruth> Customer::MoveDeal(const std::string& deal, const Json& fields) {
  DEALSTREAM_ASSIGN_OR_RETURN(const Order* const order, Find(deal));
  if (fields.contains("stage")) {
    return EditDeal(deal, {{"state", fields["stage"]}});
  }
  const auto& states = data_.states;
  const auto at = std::find_if(
      states.begin(), states.end(), [order](const State& s) { return s.id == order->state; });
  const auto next = at == states.end() ? states.begin() : at + 1;
  if (next == states.end() || (at != states.end() && at->type != "Regular")) {
    return absl::InvalidArgumentError(
        fmt::format("stage: absent, and order {} is in its last one; want a name", order->name));
  }
  return EditDeal(deal, {{"state", next->id}});
}

Result<simkit::DealTruth> Customer::Pay(Order& order, Amount amount) {
  order.payed += amount;
  Notify({data_.Updated(order, {"payedSum"}, absl::Now())});
  return TruthOf(data_, order);
}

Result<simkit::DealTruth> Customer::PayDeal(const std::string& deal, const Json& fields) {
  DEALSTREAM_ASSIGN_OR_RETURN(Order* const order, Find(deal));
  Amount amount = order->sum - order->payed;
  if (fields.contains("amount")) {
    DEALSTREAM_ASSIGN_OR_RETURN(amount, ParseUnits("amount", fields["amount"]));
  }
  return Pay(*order, amount);
}

Result<simkit::DealTruth> Customer::RefundDeal(const std::string& deal, const Json& fields) {
  DEALSTREAM_ASSIGN_OR_RETURN(Order* const order, Find(deal));
  Amount amount = order->payed;
  if (fields.contains("amount")) {
    DEALSTREAM_ASSIGN_OR_RETURN(amount, ParseUnits("amount", fields["amount"]));
  }
  return Pay(*order, -amount);
}

Result<simkit::DealTruth> Customer::DeleteDeal(const std::string& deal, const Json&) {
  DEALSTREAM_ASSIGN_OR_RETURN(const Order* const order, Find(deal));
  Notify({data_.Delete(order->id, absl::Now())});
  return FindDeal(deal);
}

Result<simkit::DealTruth> Customer::NotifyDeal(const std::string& deal, const Json& fields) {
  DEALSTREAM_ASSIGN_OR_RETURN(const Order* const order, Find(deal));
  Notify({{{"customerorder", order->id}, fields.value("event", "UPDATE"), {}}});
  return TruthOf(data_, *order);
}

Result<simkit::DealTruth> Customer::OwnDealStep(const std::string& step,
                                                const std::string& deal,
                                                const Json& fields) {
  if (step != "trash" && step != "restore") {
    return Account::OwnDealStep(step, deal, fields);
  }
  DEALSTREAM_ASSIGN_OR_RETURN(Order* const order, Find(deal));
  const absl::Time now = absl::Now();
  Change change = step == "trash" ? data_.Trash(*order, now) : data_.Restore(*order, now);
  // Which of them MoySklad sends is not known; a test may want a certain one.
  change.action = fields.value("event", change.action);
  Notify({change});
  return TruthOf(data_, *order);
}

Result<Json> Customer::EditCounterparty(const std::string& id, const Json& fields) {
  Item* item = data_.FindItem(id);
  if (item == nullptr || item->type != "counterparty") {
    return absl::NotFoundError(fmt::format("no such counterparty: {}", id));
  }
  Change change = {{"counterparty", id}, "UPDATE", {}};
  for (const auto& [key, value] : fields.items()) {
    item->fields[key] = value;
    change.fields.push_back(key);
  }
  item->updated = std::max(absl::Now(), item->updated + absl::Milliseconds(1));
  Notify({change});
  return Json{{"id", id}};
}

Result<Json> Customer::OwnControl(const std::string& method,
                                  const std::string& path,
                                  const Json& fields) {
  constexpr std::string_view kCounterparties = "counterparties/";
  if (method == "POST" && path.starts_with(kCounterparties)) {
    return EditCounterparty(path.substr(kCounterparties.size()), fields);
  }
  if (method == "POST" && path == "snapshot") {
    snapshot_.clear();
    for (const auto& order : data_.orders()) {
      snapshot_.emplace(order->id, *order);
    }
    return Json{{"deals", snapshot_.size()}};
  }
  return Account::OwnControl(method, path, fields);
}

Status Customer::SetWebhook(const std::string& purpose, const std::string& url, bool enabled) {
  if (purpose != "deals") {
    return absl::InvalidArgumentError(fmt::format("purpose: got '{}', want 'deals'", purpose));
  }
  auto& subscriptions = data_.subscriptions;
  if (url.empty()) {
    for (Subscription& subscription : subscriptions) {
      subscription.enabled = enabled;
    }
    return absl::OkStatus();
  }
  constexpr std::pair<std::string_view, std::string_view> kWanted[] = {{"customerorder", "CREATE"},
                                                                       {"customerorder", "UPDATE"},
                                                                       {"customerorder", "DELETE"},
                                                                       {"counterparty", "UPDATE"}};
  std::erase_if(subscriptions, [&url](const Subscription& item) { return item.url == url; });
  for (const auto& [type, action] : kWanted) {
    Subscription subscription;
    subscription.id = MakeId(side_random());
    subscription.entity_type = type;
    subscription.action = action;
    subscription.url = url;
    subscription.diff_type = action == "UPDATE" ? "FIELDS" : "NONE";
    subscription.enabled = enabled;
    subscriptions.push_back(subscription);
  }
  return absl::OkStatus();
}

Status Customer::SetOwnFault(const std::string& name, const Json& value) {
  bool* const fault = name == "stale" ? &stale_ : name == "mix_webhooks" ? &mix_webhooks_ : nullptr;
  if (fault == nullptr) {
    return Account::SetOwnFault(name, value);
  }
  if (!value.is_boolean()) {
    return absl::InvalidArgumentError(
        fmt::format("{}: got {}, want true or false", name, value.dump()));
  }
  *fault = value.get<bool>();
  return absl::OkStatus();
}

void Customer::ClearOwnFaults() {
  stale_ = false;
  mix_webhooks_ = false;
  blocked_ = false;
}

void Customer::LiveOneChange() { Notify(LiveOneStep(data_, absl::Now())); }

std::string Customer::LiveNewDeal() {
  const Order& order = data_.AddLifelikeOrder(absl::Now());
  Notify({AccountData::Created(order)});
  return order.id;
}

Json Customer::MoreStats() const {
  return {{"orders", data_.orders().size()},
          {"live_orders", data_.live_orders()},
          {"gone_orders", data_.gone().size()},
          {"blocked", blocked_}};
}

}  // namespace dealstream::crm::moysklad::sim
