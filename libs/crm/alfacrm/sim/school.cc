#include "libs/crm/alfacrm/sim/school.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include <fmt/format.h>

#include "libs/crm/sim/names.h"

namespace dealstream::crm::alfacrm::sim {
namespace {

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

}  // namespace

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
  // The partner's key is another one than the user's, and not looked at.
  const std::string app_key(key_.rbegin(), key_.rend());
  return {{"hostname", id()},
          {"email", email_},
          {"api_key", key_},
          {"app_key", app_key},
          {"base_url", origin_}};
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
  customer.custom["custom_uroven"] = random.Chance(0.5) ? "Начальный" : "Средний";
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
  // Rows without a time of entry are dated by their document.
  pay.document = pay.created - absl::Hours(settings_.old_rows.Bool() ? 0 : 24 * (pay.id % 4));
  last_pays_[customer.id] = pay.created;
  kept.touched = absl::Now();
  return pay;
}

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

void School::ChangeCustomer(Kept<Customer>& kept, const std::function<void(Customer&)>& change) {
  kept.before = std::make_unique<Customer>(kept.now);
  kept.touched = absl::Now();
  change(kept.now);
  const bool turned = kept.now.turns.size() > kept.before->turns.size();
  const absl::Time at = turned ? kept.now.turns.back().first : Now();
  kept.now.updated = std::max(at, kept.now.updated);
  const auto [before, after] = Difference(FieldsOf(*kept.before), FieldsOf(kept.now));
  Happened();
  Log(kept.now, 2, before, after, at);
  Tell(kept.now, "update", before, after);
}

void School::ChangePay(Kept<Pay>& kept, const std::function<void(Pay&)>& change) {
  kept.before = std::make_unique<Pay>(kept.now);
  kept.touched = absl::Now();
  change(kept.now);
  kept.now.updated = std::max(Now(), kept.now.updated);
  const bool old_shape = settings_.old_webhooks.Bool();
  const auto [before, after] =
      Difference(FieldsOf(*kept.before, old_shape), FieldsOf(kept.now, old_shape));
  Happened();
  Log(kept.now, 2, before, after, kept.now.updated);
  Tell(kept.now, "update", before, after);
}

void School::Announce(const Customer& customer) {
  Happened();
  Log(customer, 1, Json::object(), FieldsOf(customer), customer.created);
  Tell(customer, "create", Json::object(), FieldsOf(customer));
}

void School::Announce(const Pay& pay) {
  const Json fields = FieldsOf(pay, settings_.old_webhooks.Bool());
  Happened();
  Log(pay, 1, Json::object(), fields, pay.created);
  Tell(pay, "create", Json::object(), fields);
}

void School::Log(LogEntry entry, Json before, Json after) {
  entry.id = static_cast<int64_t>(log_.size()) + 1;
  entry.before = std::move(before);
  entry.after = std::move(after);
  log_.push_back(std::move(entry));
}

void School::Log(const Customer& customer, int event, Json before, Json after, absl::Time at) {
  LogEntry entry;
  entry.entity = "Customer";
  entry.entity_id = customer.id;
  entry.branches = customer.branches;
  entry.event = event;
  entry.at = at;
  Log(std::move(entry), std::move(before), std::move(after));
}

void School::Log(const Pay& pay, int event, Json before, Json after, absl::Time at) {
  LogEntry entry;
  entry.entity = "Pay";
  entry.entity_id = pay.id;
  entry.branches = {pay.branch};
  entry.event = event;
  entry.at = at;
  Log(std::move(entry), std::move(before), std::move(after));
}

// ---- Webhooks

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

}  // namespace dealstream::crm::alfacrm::sim
