#include "libs/crm/sim/webhooks.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/time/clock.h"

#include "libs/crm/sim/account.h"

namespace dealstream::crm::simkit {
namespace {

// More wait for slow receivers at once, and the newest are lost.
constexpr size_t kMaxQueue = 200'000;

}  // namespace

Webhooks::Webhooks(http::Transport& transport, WebhookPolicy policy)
    : transport_(transport), policy_(std::move(policy)) {
  for (int i = 0; i < policy_.threads; ++i) {
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

bool Webhooks::Push(Account& account, Webhook webhook, absl::Time due) {
  std::lock_guard lock(mutex_);
  if (size_ >= kMaxQueue) {
    return false;
  }
  ++size_;
  queue_.push({due, next_number_++, &account, std::move(webhook)});
  changed_.notify_one();
  return true;
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
    // The queue shows its top as const because its place depends on it; the next line takes it out.
    Delivery delivery = std::move(const_cast<Delivery&>(queue_.top()));
    queue_.pop();
    const Account* account = delivery.account;
    if (policy_.ordered) {
      const auto found = busy_.find(account);
      if (found != busy_.end()) {
        found->second.push_back(std::move(delivery));
        continue;
      }
      busy_.try_emplace(account);
    }
    --size_;
    lock.unlock();
    Deliver(delivery);
    lock.lock();
    Release(account);
  }
}

void Webhooks::Release(const Account* account) {
  const auto found = busy_.find(account);
  if (found == busy_.end()) {
    return;
  }
  std::deque<Delivery> waiting = std::move(found->second);
  busy_.erase(found);
  for (Delivery& delivery : waiting) {
    queue_.push(std::move(delivery));
  }
  if (!waiting.empty()) {
    changed_.notify_one();
  }
}

bool Webhooks::Accepts(int status) const {
  const auto& accepted = policy_.accepted;
  return accepted.empty() ? status >= 200 && status < 300
                          : std::find(accepted.begin(), accepted.end(), status) != accepted.end();
}

bool Webhooks::Pause() {
  if (policy_.pause > absl::ZeroDuration()) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(
        lock, absl::ToChronoMicroseconds(policy_.pause), [this] { return stopping_.load(); });
  }
  return !stopping_;
}

void Webhooks::Deliver(const Delivery& delivery) {
  http::Request request;
  request.method = delivery.webhook.method;
  request.url = delivery.webhook.url;
  request.headers = delivery.webhook.headers;
  request.body = delivery.webhook.body;
  request.timeout = policy_.patience;
  request.operation = "webhook";
  int attempts = 0;
  bool acked = false;
  while (!acked && attempts < policy_.attempts && (attempts == 0 || Pause())) {
    ++attempts;
    const auto response = transport_.Send(request);
    acked = response.ok() && Accepts(response->status);
  }
  Account& account = *delivery.account;
  std::lock_guard lock(account.mutex());
  Counters& counters = account.counters_;
  ++counters.webhooks_sent;
  counters.webhooks_attempts += attempts;
  ++(acked ? counters.webhooks_acked : counters.webhooks_lost);
  --counters.webhooks_pending;
}

}  // namespace dealstream::crm::simkit
