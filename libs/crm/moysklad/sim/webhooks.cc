#include "libs/crm/moysklad/sim/webhooks.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include <fmt/format.h>

namespace dealstream::crm::moysklad::sim {
namespace {

constexpr absl::Duration kPatience = absl::Milliseconds(1500);
constexpr int kAttempts = 4;
// More wait for slow receivers at once, and the newest are lost.
constexpr size_t kMaxQueue = 200'000;
constexpr char kUserAgent[] = "MoySklad webhook touch agent 2.0 (/https://www.moysklad.ru)";

Json EventOf(const Account& account,
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

}  // namespace

Webhooks::Webhooks(http::Transport& transport, std::string base_url, int threads)
    : transport_(transport), base_url_(std::move(base_url)) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { Run(); });
  }
}

Webhooks::~Webhooks() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (auto& thread : threads_) {
    thread.join();
  }
}

void Webhooks::Notify(Customer& customer,
                      const std::vector<Change>& changes,
                      const std::vector<std::string>& muted) {
  const Account& account = customer.account;
  customer.counters.events += static_cast<int64_t>(changes.size());
  // One body for each subscription, unless they are to be mixed.
  std::map<std::string, std::pair<std::string, Json>> bodies;
  for (const Change& change : changes) {
    for (const Subscription& subscription : account.subscriptions) {
      if (!subscription.enabled || subscription.action != change.action ||
          subscription.entity_type != change.entity.type || IsMuted(subscription.url, muted)) {
        continue;
      }
      auto& [url, events] =
          bodies[customer.faults.mix_webhooks ? subscription.url : subscription.id];
      url = subscription.url;
      events.push_back(EventOf(account, base_url_, change, subscription));
    }
  }
  const absl::Time now = absl::Now();
  for (auto& [key, body] : bodies) {
    const std::string moment = MoscowTime(now).substr(0, 19);
    const Json json = {{"auditContext",
                        {{"meta",
                          {{"type", "audit"},
                           {"href", fmt::format("{}/audit/{}", base_url_, customer.rng.Uuid())}}},
                         {"moment", moment},
                         {"uid", account.login}}},
                       {"events", std::move(body.second)}};
    Enqueue(customer, body.first, json.dump());
  }
}

void Webhooks::Enqueue(Customer& customer, const std::string& url, std::string body) {
  const Faults& faults = customer.faults;
  if (customer.rng.Chance(faults.drop_webhooks)) {
    ++customer.counters.webhooks_dropped;
    return;
  }
  const int copies = customer.rng.Chance(faults.duplicate_webhooks) ? 2 : 1;
  const std::string with_id = fmt::format(
      "{}{}requestId={}", url, url.find('?') == std::string::npos ? '?' : '&', customer.rng.Uuid());
  for (int i = 0; i < copies; ++i) {
    absl::Time due = absl::Now() + absl::Milliseconds(faults.delay_webhooks_ms);
    if (faults.reorder_webhooks) {
      due += absl::Milliseconds(customer.rng.Below(1000));
    }
    std::lock_guard lock(mutex_);
    if (queue_.size() >= kMaxQueue) {
      ++customer.counters.webhooks_lost;
      continue;
    }
    ++customer.counters.webhooks_pending;
    queue_.push({due, next_number_++, &customer, with_id, body});
    changed_.notify_one();
  }
}

void Webhooks::Run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (queue_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const absl::Duration wait = queue_.top().due - absl::Now();
    if (wait > absl::ZeroDuration()) {
      changed_.wait_for(lock, absl::ToChronoMicroseconds(wait) + std::chrono::microseconds(100));
      continue;
    }
    const Delivery delivery = queue_.top();
    queue_.pop();
    lock.unlock();
    Deliver(delivery);
    lock.lock();
  }
}

void Webhooks::Deliver(const Delivery& delivery) {
  http::Request request;
  request.method = "POST";
  request.url = delivery.url;
  request.headers = {{"User-Agent", kUserAgent}, {"Content-Type", "application/json"}};
  request.body = delivery.body;
  request.timeout = kPatience;
  request.operation = "webhook";
  int attempts = 0;
  bool acked = false;
  while (!acked && attempts < kAttempts && !stopping_) {
    ++attempts;
    const auto response = transport_.Send(request);
    acked = response.ok() && (response->status == 200 || response->status == 204);
  }
  Customer& customer = *delivery.customer;
  std::lock_guard lock(customer.account.mutex);
  Counters& counters = customer.counters;
  ++counters.webhooks_sent;
  counters.webhooks_attempts += attempts;
  ++(acked ? counters.webhooks_acked : counters.webhooks_lost);
  --counters.webhooks_pending;
}

}  // namespace dealstream::crm::moysklad::sim
