#include "services/crm-reader/rate_limiter.h"

#include <algorithm>

namespace dealstream::reader {
namespace {

// Calls take different times to reach the CRM: two that we spread over an interval may arrive
// closer together.
constexpr double kMargin = 1.05;
// Once there are this many, spendings are put to the one before, at the later time, as long as that
// one spans less than an interval divided by this.
constexpr size_t kMostSpendings = 256;

}  // namespace

void RateLimiter::Configure(const crm::RateLimit& limit) {
  std::lock_guard lock(mutex_);
  capacity_ = std::max(limit.units * limit.reader_share, 1e-6);
  unit_price_ = limit.unit_price;
  interval_ = limit.interval * kMargin;
}

double RateLimiter::Price(double units) const {
  // A call dearer than the whole limit waits until nothing else has been spent.
  return std::min(units * unit_price_, capacity_);
}

absl::Duration RateLimiter::WaitLocked(double price, absl::Time now) const {
  absl::Duration wait = std::max(paused_until_ - now, absl::ZeroDuration());
  double sum = 0;
  for (const Spent& spent : spent_) {
    sum += spent.at + interval_ > now ? spent.units : 0;
  }
  constexpr double kEpsilon = 1e-9;
  for (const Spent& spent : spent_) {
    if (sum + price <= capacity_ + kEpsilon) {
      break;
    }
    if (spent.at + interval_ > now) {
      sum -= spent.units;
      wait = std::max(wait, spent.at + interval_ - now);
    }
  }
  return wait;
}

absl::Duration RateLimiter::Take(double units, absl::Time now) {
  std::lock_guard lock(mutex_);
  while (!spent_.empty() && spent_.front().at + interval_ <= now) {
    spent_.pop_front();
  }
  double price = Price(units);
  absl::Duration wait = WaitLocked(price, now);
  if (wait > absl::ZeroDuration()) {
    return wait;
  }
  bool merge = spent_.size() >= kMostSpendings &&
               now - spent_.back().first < interval_ / static_cast<double>(kMostSpendings);
  if (merge) {
    spent_.back().at = now;
    spent_.back().units += price;
  } else {
    spent_.push_back({now, now, price});
  }
  return absl::ZeroDuration();
}

absl::Duration RateLimiter::Wait(double units, absl::Time now) const {
  std::lock_guard lock(mutex_);
  return WaitLocked(Price(units), now);
}

void RateLimiter::PauseUntil(absl::Time until) {
  std::lock_guard lock(mutex_);
  paused_until_ = std::max(paused_until_, until);
}

absl::Duration RateLimiter::DurationOf(double units) const {
  std::lock_guard lock(mutex_);
  return interval_ * (units * unit_price_ / capacity_);
}

}  // namespace dealstream::reader
