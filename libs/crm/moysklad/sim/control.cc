#include "libs/crm/moysklad/sim/control.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "libs/crm/moysklad/sim/edit.h"
#include "libs/crm/moysklad/sim/query.h"

namespace dealstream::crm::moysklad::sim {
namespace {

constexpr std::string_view kPrefix = "/_sim/";

http::ServerResponse Reply(const Json& body, int status = 200) {
  http::ServerResponse response;
  response.status = status;
  response.headers = {{"Content-Type", "application/json"}};
  response.body = body.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  return response;
}

http::ServerResponse Wrong(const std::string& text, int status = 400) {
  return Reply({{"error", text}}, status);
}

std::string AsText(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.is_null() ? "" : value.dump();
}

// true or a probability.
double AsProbability(const Json& value) {
  return value.is_boolean() ? (value.get<bool>() ? 1 : 0) : value.get<double>();
}

Json CountersToJson(const Counters& counters) {
  return {{"requests", counters.requests},
          {"answers", counters.answers},
          {"violations", counters.violations},
          {"events", counters.events},
          {"webhooks",
           {{"sent", counters.webhooks_sent},
            {"attempts", counters.webhooks_attempts},
            {"acked", counters.webhooks_acked},
            {"lost", counters.webhooks_lost},
            {"dropped", counters.webhooks_dropped},
            {"pending", counters.webhooks_pending}}}};
}

void Add(std::map<std::string, int64_t>& to, const std::map<std::string, int64_t>& what) {
  for (const auto& [key, count] : what) {
    to[key] += count;
  }
}

void Add(Counters& to, const Counters& what) {
  Add(to.requests, what.requests);
  Add(to.answers, what.answers);
  Add(to.violations, what.violations);
  to.events += what.events;
  to.webhooks_sent += what.webhooks_sent;
  to.webhooks_attempts += what.webhooks_attempts;
  to.webhooks_acked += what.webhooks_acked;
  to.webhooks_lost += what.webhooks_lost;
  to.webhooks_dropped += what.webhooks_dropped;
  to.webhooks_pending += what.webhooks_pending;
}

class Handler {
 public:
  Handler(World& world, const http::ServerRequest& request)
      : world_(world), request_(request), parameters_(ParseQuery(request.query)) {}

  http::ServerResponse Run();

 private:
  http::ServerResponse Route(const std::string& path);
  http::ServerResponse Webhook();
  http::ServerResponse Faulty();
  http::ServerResponse Snapshot();
  http::ServerResponse Stats();
  http::ServerResponse Settings();
  http::ServerResponse Life();
  http::ServerResponse Burst();
  http::ServerResponse Orders();
  http::ServerResponse ListOrders();
  http::ServerResponse CreateOrder();
  http::ServerResponse OneOrder(const std::string& id, const std::string& action);
  http::ServerResponse Act(Customer& customer, Order& order, const std::string& action);
  http::ServerResponse Counterparty(const std::string& id);

  bool Post() const { return request_.method == "POST"; }
  // Those named by "account" in the body or the query; all of them when there is no such name.
  std::vector<Customer*> Named();
  // Exactly one.
  Customer* TheOne();
  void Notify(Customer& customer, const std::vector<Change>& changes) {
    if (!body_.value("silent", false)) {
      world_.webhooks->Notify(customer, changes);
    }
  }

  World& world_;
  const http::ServerRequest& request_;
  const Parameters parameters_;
  Json body_ = Json::object();
};

std::vector<Customer*> Handler::Named() {
  std::string name = AsText(body_.value("account", Json()));
  if (name.empty()) {
    name = FindParameter(parameters_, "account");
  }
  std::vector<Customer*> named;
  if (!name.empty()) {
    if (Customer* customer = world_.Find(name)) {
      named.push_back(customer);
    }
    return named;
  }
  for (auto& customer : world_.customers) {
    named.push_back(customer.get());
  }
  return named;
}

Customer* Handler::TheOne() {
  const auto named = Named();
  return named.size() == 1 ? named.front() : nullptr;
}

http::ServerResponse Handler::Run() {
  if (!request_.body.empty()) {
    body_ = Json::parse(request_.body, nullptr, /*allow_exceptions=*/false);
    if (!body_.is_object()) {
      return Wrong("the body must be an object of JSON");
    }
  }
  try {
    return Route(request_.path.substr(std::min(request_.path.size(), kPrefix.size())));
  } catch (const Json::exception& error) {
    return Wrong(error.what());
  }
}

http::ServerResponse Handler::Route(const std::string& path) {
  if (path == "accounts") {
    return Reply(DescribeWorld(world_)["accounts"]);
  }
  if (path == "webhook" && Post()) {
    return Webhook();
  }
  if (path == "faults" && (Post() || request_.method == "DELETE")) {
    return Faulty();
  }
  if (path == "snapshot" && Post()) {
    return Snapshot();
  }
  if (path == "stats") {
    return Stats();
  }
  if (path == "settings" && Post()) {
    return Settings();
  }
  if (path == "life" && Post()) {
    return Life();
  }
  if (path == "burst" && Post()) {
    return Burst();
  }
  if (path == "orders") {
    return Post() ? CreateOrder() : ListOrders();
  }
  if (path.starts_with("counterparties/") && Post()) {
    return Counterparty(path.substr(path.find('/') + 1));
  }
  if (path.starts_with("orders/")) {
    const std::string rest = path.substr(path.find('/') + 1);
    const size_t slash = rest.find('/');
    return OneOrder(rest.substr(0, slash),
                    slash == std::string::npos ? request_.method : rest.substr(slash + 1));
  }
  return Wrong("no such thing: /_sim/" + path, 404);
}

http::ServerResponse Handler::Webhook() {
  const std::string url = body_.value("url", "");
  const bool enabled = body_.value("enabled", true);
  Json answer = Json::array();
  for (Customer* customer : Named()) {
    std::lock_guard lock(customer->account.mutex);
    auto& subscriptions = customer->account.subscriptions;
    if (url.empty()) {
      for (Subscription& subscription : subscriptions) {
        subscription.enabled = enabled;
      }
      continue;
    }
    constexpr std::pair<std::string_view, std::string_view> kWanted[] = {
        {"customerorder", "CREATE"},
        {"customerorder", "UPDATE"},
        {"customerorder", "DELETE"},
        {"counterparty", "UPDATE"}};
    std::erase_if(subscriptions, [&url](const Subscription& item) { return item.url == url; });
    for (const auto& [type, action] : kWanted) {
      Subscription subscription;
      subscription.id = customer->rng.Uuid();
      subscription.entity_type = type;
      subscription.action = action;
      subscription.url = url;
      subscription.diff_type = action == "UPDATE" ? "FIELDS" : "NONE";
      subscription.enabled = enabled;
      subscriptions.push_back(subscription);
      answer.push_back(subscription.id);
    }
  }
  return Reply({{"webhooks", std::move(answer)}});
}

http::ServerResponse Handler::Faulty() {
  Faults faults;
  const bool clear = request_.method == "DELETE" || body_.value("clear", false);
  if (!clear) {
    faults.latency_ms = body_.value("latency_ms", 0);
    faults.status = body_.value("status", 0);
    faults.html = body_.value("html", false);
    faults.status = faults.html && faults.status == 0 ? 503 : faults.status;
    faults.hang = body_.value("hang", false);
    faults.cut = body_.value("cut", false);
    faults.stale = body_.value("stale", false);
    faults.requests_left = body_.value("for_requests", int64_t{-1});
    faults.drop_webhooks = AsProbability(body_.value("drop_webhooks", Json(0.0)));
    faults.duplicate_webhooks = AsProbability(body_.value("duplicate_webhooks", Json(0.0)));
    faults.reorder_webhooks = body_.value("reorder", false);
    faults.delay_webhooks_ms = body_.value("delay_webhooks_ms", 0);
    faults.mix_webhooks = body_.value("mix_webhooks", false);
  }
  const auto named = Named();
  for (Customer* customer : named) {
    std::lock_guard lock(customer->account.mutex);
    customer->faults = faults;
    if (clear) {
      customer->blocked = false;
    }
  }
  return named.empty() ? Wrong("no such account", 404) : Reply({{"accounts", named.size()}});
}

http::ServerResponse Handler::Snapshot() {
  size_t count = 0;
  for (Customer* customer : Named()) {
    std::lock_guard lock(customer->account.mutex);
    customer->snapshot.clear();
    for (const auto& order : customer->account.orders()) {
      customer->snapshot.emplace(order->id, *order);
    }
    count += customer->snapshot.size();
  }
  return Reply({{"orders", count}});
}

http::ServerResponse Handler::Stats() {
  Counters total;
  Json accounts = Json::object();
  for (Customer* customer : Named()) {
    std::lock_guard lock(customer->account.mutex);
    Add(total, customer->counters);
    Json one = CountersToJson(customer->counters);
    one["orders"] = customer->account.orders().size();
    one["live_orders"] = customer->account.live_orders();
    one["gone_orders"] = customer->account.gone().size();
    one["blocked"] = customer->blocked;
    one["running"] = customer->running;
    accounts[customer->account.company] = std::move(one);
  }
  Json answer = CountersToJson(total);
  answer["accounts"] = std::move(accounts);
  return Reply(answer);
}

http::ServerResponse Handler::Settings() {
  for (const auto& [name, value] : body_.items()) {
    if (const Status status = SetSetting(world_, name, value.get<double>()); !status.ok()) {
      return Wrong(std::string(status.message()));
    }
  }
  return Reply(Json::object());
}

http::ServerResponse Handler::Life() {
  const double rate = body_.value("changes_per_second", 0.0);
  if (!(rate >= 0 && rate <= 100'000)) {
    return Wrong("changes_per_second: want 0 to 100000");
  }
  world_.changes_per_second = rate;
  return Reply({{"changes_per_second", rate}});
}

http::ServerResponse Handler::Burst() {
  const auto orders = body_.value("orders", 0U);
  const auto changes = body_.value("changes", 0U);
  Json ids = Json::array();
  size_t changed = 0;
  for (Customer* customer : Named()) {
    std::lock_guard lock(customer->account.mutex);
    for (unsigned i = 0; i < orders; ++i) {
      const Order& order = customer->account.AddLifelikeOrder(absl::Now());
      ids.push_back(order.id);
      Notify(*customer, {Account::Created(order)});
    }
    for (unsigned i = 0; i < changes; ++i) {
      const auto happened = LiveOneStep(customer->account, absl::Now());
      changed += happened.size();
      Notify(*customer, happened);
    }
  }
  return Reply({{"orders", std::move(ids)}, {"changed", changed}});
}

http::ServerResponse Handler::ListOrders() {
  Json all = Json::array();
  for (Customer* customer : Named()) {
    std::lock_guard lock(customer->account.mutex);
    const Account& account = customer->account;
    for (const auto& order : account.orders()) {
      Json truth = TruthOf(account, *order);
      truth["account"] = account.company;
      all.push_back(std::move(truth));
    }
    for (const auto& [id, time] : account.gone()) {
      all.push_back({{"id", id},
                     {"deleted", true},
                     {"gone", true},
                     {"updated", MoscowTime(time)},
                     {"account", account.company}});
    }
  }
  return Reply({{"orders", std::move(all)}});
}

http::ServerResponse Handler::CreateOrder() {
  Customer* customer = TheOne();
  if (customer == nullptr) {
    return Wrong("account: want one of /_sim/accounts");
  }
  std::lock_guard lock(customer->account.mutex);
  Account& account = customer->account;
  const absl::Time now = absl::Now();
  Order& order = account.AddOrder(now);
  if (!body_.contains("agent")) {
    order.agent = {"counterparty", account.AddCounterparty(now).id};
  }
  const auto fields = EditOrder(account, order, body_, now);
  if (!fields.ok()) {
    account.Discard(order.id);
    return Wrong(std::string(fields.status().message()));
  }
  Notify(*customer, {Account::Created(order)});
  return Reply(TruthOf(account, order));
}

http::ServerResponse Handler::OneOrder(const std::string& id, const std::string& action) {
  for (Customer* customer : Named()) {
    std::lock_guard lock(customer->account.mutex);
    if (Order* order = customer->account.FindOrder(id)) {
      return Act(*customer, *order, action);
    }
  }
  return Wrong("no such order", 404);
}

http::ServerResponse Handler::Act(Customer& customer, Order& order, const std::string& action) {
  Account& account = customer.account;
  const absl::Time now = absl::Now();
  if (action == "GET") {
    return Reply(TruthOf(account, order));
  }
  if (action == "DELETE") {
    const std::string id = order.id;
    Notify(customer, {account.Delete(id, now)});
    return Reply({{"id", id}, {"deleted", true}, {"gone", true}});
  }
  if (action == "notify") {
    Notify(customer, {{{"customerorder", order.id}, body_.value("event", "UPDATE"), {}}});
    return Reply(TruthOf(account, order));
  }
  if (action == "trash" || action == "restore") {
    Change change = action == "trash" ? account.Trash(order, now) : account.Restore(order, now);
    // Which of them MoySklad sends is not known; a test may want a certain one.
    change.action = body_.value("event", change.action);
    Notify(customer, {change});
    return Reply(TruthOf(account, order));
  }
  if (action == "POST") {
    auto fields = EditOrder(account, order, body_, now);
    if (!fields.ok()) {
      return Wrong(std::string(fields.status().message()));
    }
    Notify(customer, {account.Updated(order, *std::move(fields), now)});
    return Reply(TruthOf(account, order));
  }
  return Wrong("no such action: " + action, 404);
}

http::ServerResponse Handler::Counterparty(const std::string& id) {
  for (Customer* customer : Named()) {
    std::lock_guard lock(customer->account.mutex);
    Item* item = customer->account.FindItem(id);
    if (item == nullptr || item->type != "counterparty") {
      continue;
    }
    Change change = {{"counterparty", id}, "UPDATE", {}};
    for (const auto& [key, value] : body_.items()) {
      if (key != "account" && key != "silent") {
        item->fields[key] = value;
        change.fields.push_back(key);
      }
    }
    item->updated = std::max(absl::Now(), item->updated + absl::Milliseconds(1));
    Notify(*customer, {change});
    return Reply({{"id", id}});
  }
  return Wrong("no such counterparty", 404);
}

}  // namespace

http::ServerResponse Control::Handle(const http::ServerRequest& request) {
  return Handler(world_, request).Run();
}

Json DescribeWorld(World& world) {
  Json accounts = Json::array();
  for (const auto& customer : world.customers) {
    const Account& account = customer->account;
    accounts.push_back({{"account", account.company},
                        {"account_id", account.id},
                        {"credential",
                         {{"login", account.login},
                          {"password", account.password},
                          {"base_url", world.base_url}}}});
  }
  return {{"crm", "moysklad"}, {"base_url", world.base_url}, {"accounts", std::move(accounts)}};
}

Status SetSetting(World& world, const std::string& name, double value) {
  std::lock_guard lock(world.settings_mutex);
  if (!(value >= 0 && value <= 1e6)) {
    return absl::InvalidArgumentError(fmt::format("{}: got {}, want 0 to 1000000", name, value));
  }
  const int number = static_cast<int>(value);
  if (name == "unit_price") {
    world.limits.unit_price = number;
  } else if (name == "units") {
    world.limits.units = number;
  } else if (name == "interval_ms") {
    world.limits.interval = absl::Milliseconds(number);
  } else if (name == "parallel") {
    world.limits.parallel = number;
  } else if (name == "refusals_to_block") {
    world.limits.refusals_to_block = number;
  } else if (name == "nested_limit") {
    world.nested_limit = static_cast<size_t>(number);
  } else {
    return absl::InvalidArgumentError(fmt::format(
        "{}: unknown; there are unit_price, units, interval_ms, parallel, refusals_to_block, "
        "nested_limit and orders",
        name));
  }
  return absl::OkStatus();
}

}  // namespace dealstream::crm::moysklad::sim
