#include "libs/crm/sim/account.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include <fmt/format.h>

namespace dealstream::crm::simkit {
namespace {

Status NoSuchStep(const Account& account, std::string_view step) {
  return absl::UnimplementedError(
      fmt::format("{}: this CRM has no step '{}'", account.name(), step));
}

}  // namespace

Json DealTruth::ToJson() const {
  Json json = {{"id", id},
               {"title", title},
               {"stage", stage.empty() ? Json() : Json(stage)},
               {"stage_kind", stage_kind},
               {"amount", amount ? Json(*amount) : Json()},
               {"currency", currency},
               {"updated_us", absl::ToUnixMicros(updated)},
               {"gone", gone}};
  for (const auto& [key, value] : more.items()) {
    json[key] = value;
  }
  return json;
}

bool Faults::Meet(std::string_view request) const {
  return (latency_ms > 0 || status != 0 || hang || cut) && requests_left != 0 &&
         request.starts_with(kind);
}

Account::Account(int number, std::string name, std::string id, uint64_t seed)
    : number_(number),
      name_(std::move(name)),
      id_(std::move(id)),
      random_(seed * 1'000'003 + static_cast<uint64_t>(number)),
      side_random_(seed + static_cast<uint64_t>(number) * 7919) {}

void Account::Attach(Webhooks& webhooks, const std::atomic<bool>& stopping) {
  webhooks_ = &webhooks;
  stopping_ = &stopping;
}

http::ServerResponse Account::Pass(const std::string& kind,
                                   const std::function<http::ServerResponse()>& answer) {
  std::unique_lock lock(mutex_);
  ++counters_.requests[kind];
  http::ServerResponse response = PassLocked(lock, kind, answer);
  ++counters_.answers[std::to_string(response.status)];
  return response;
}

http::ServerResponse Account::PassLocked(std::unique_lock<std::mutex>& lock,
                                         const std::string& kind,
                                         const std::function<http::ServerResponse()>& answer) {
  if (auto refused = Admit(absl::Now())) {
    return *std::move(refused);
  }
  ++running_;
  bool cut = false;
  auto response = PlayFaults(lock, kind, cut);
  if (!response) {
    try {
      response = answer();
    } catch (const std::exception&) {
      response = Fail(400);
    }
    if (cut) {
      response->body.resize(response->body.size() / 2);
    }
  }
  --running_;
  return *std::move(response);
}

void Account::SleepUntil(std::unique_lock<std::mutex>& lock,
                         const std::function<bool()>& done) const {
  while (!done() && stopping_ != nullptr && !*stopping_) {
    lock.unlock();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    lock.lock();
  }
}

std::optional<http::ServerResponse> Account::PlayFaults(std::unique_lock<std::mutex>& lock,
                                                        const std::string& kind,
                                                        bool& cut) {
  Faults* const played = faults_.Meet(kind)         ? &faults_
                         : other_faults_.Meet(kind) ? &other_faults_
                                                    : nullptr;
  if (played == nullptr) {
    return std::nullopt;
  }
  const Faults faults = *played;
  played->requests_left -= faults.requests_left > 0 ? 1 : 0;
  if (faults.hang) {
    SleepUntil(lock, [played] { return !played->hang; });
  }
  if (faults.latency_ms > 0) {
    const absl::Time end = absl::Now() + absl::Milliseconds(faults.latency_ms);
    SleepUntil(lock, [end] { return absl::Now() >= end; });
  }
  cut = faults.cut;
  if (faults.status == 0) {
    return std::nullopt;
  }
  return faults.html ? HtmlAnswer(faults.status) : Fail(faults.status);
}

void Account::Send(Webhook webhook) {
  if (silent_ || webhook.url.empty() || webhooks_ == nullptr) {
    return;
  }
  if (side_random_.Chance(faults_.drop_webhooks)) {
    ++counters_.webhooks_dropped;
    return;
  }
  if (side_random_.Chance(faults_.duplicate_webhooks)) {
    Enqueue(webhook);
  }
  Enqueue(std::move(webhook));
}

void Account::Enqueue(Webhook webhook) {
  absl::Time due = absl::Now() + absl::Milliseconds(faults_.delay_webhooks_ms);
  if (faults_.reorder) {
    due += absl::Milliseconds(side_random_.Below(1000));
  }
  if (webhooks_->Push(*this, std::move(webhook), due)) {
    ++counters_.webhooks_pending;
  } else {
    ++counters_.webhooks_sent;
    ++counters_.webhooks_lost;
  }
}

std::string Account::WebhookUrl(const std::string& purpose) const {
  const auto found = webhook_urls_.find(purpose);
  return !webhooks_enabled_ || found == webhook_urls_.end() ? "" : found->second;
}

Status Account::SetWebhook(const std::string& purpose, const std::string& url, bool enabled) {
  webhooks_enabled_ = enabled;
  if (!url.empty()) {
    webhook_urls_[purpose] = url;
  }
  return absl::OkStatus();
}

absl::Duration Account::WaitForLimit(absl::Time now) const {
  const Limits allowed = limits();
  return allowed.requests == 0 ? absl::ZeroDuration()
                               : meter_.Wait(allowed.requests, allowed.window, now);
}

http::ServerResponse Account::Refuse(const std::string&) { return Fail(429); }

std::optional<http::ServerResponse> Account::Admit(absl::Time now) {
  const Limits allowed = limits();
  std::string limit;
  if (allowed.parallel > 0 && running_ >= allowed.parallel) {
    limit = "parallel";
  } else if (allowed.requests > 0 && !meter_.Take(allowed.requests, allowed.window, now)) {
    limit = "rate";
  } else {
    return std::nullopt;
  }
  Violation(limit);
  return Refuse(limit);
}

Result<DealTruth> Account::MoveDeal(const std::string&, const Json&) {
  return NoSuchStep(*this, "move");
}

Result<DealTruth> Account::PayDeal(const std::string&, const Json&) {
  return NoSuchStep(*this, "pay");
}

Result<DealTruth> Account::RefundDeal(const std::string&, const Json&) {
  return NoSuchStep(*this, "refund");
}

Result<DealTruth> Account::DeleteDeal(const std::string&, const Json&) {
  return NoSuchStep(*this, "delete");
}

Result<DealTruth> Account::NotifyDeal(const std::string&, const Json&) {
  return NoSuchStep(*this, "notify");
}

Result<DealTruth> Account::OwnDealStep(const std::string& step, const std::string&, const Json&) {
  return NoSuchStep(*this, step);
}

Result<Json> Account::CreateRequest(const Json&) {
  return absl::UnimplementedError(fmt::format("{}: this CRM has no requests", name_));
}

Result<Json> Account::Requests() const {
  return absl::UnimplementedError(fmt::format("{}: this CRM has no requests", name_));
}

Result<Json> Account::OwnControl(const std::string&, const std::string& path, const Json&) {
  return absl::NotFoundError(fmt::format("no such thing: /_sim/{}", path));
}

Status Account::SetOwnFault(const std::string& name, const Json&) {
  return absl::InvalidArgumentError(fmt::format("{}: no such fault", name));
}

}  // namespace dealstream::crm::simkit
