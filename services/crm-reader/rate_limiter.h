#pragma once

#include <deque>
#include <mutex>

#include "absl/time/time.h"

#include "libs/crm/api/adapter.h"

namespace dealstream::reader {

// The limit of one CRM account: so many units in any stretch of `interval`, and no call at all
// until a pause that the CRM asked for is over. Stricter than a bucket that refills evenly, which
// lets twice the units through in the stretch after a rest: a CRM that counts baskets would refuse
// the second half. Thread-safe; all integrations that one customer has with
// the account share one.
class RateLimiter {
 public:
  // Takes the adapter's limit into force; what was spent stays spent.
  void Configure(const crm::RateLimit& limit);

  // Takes `units` (not yet multiplied by the unit price) and returns zero, or returns how long to
  // wait before asking again.
  absl::Duration Take(double units, absl::Time now);
  // How long Take would make one wait.
  absl::Duration Wait(double units, absl::Time now) const;
  // The CRM said: slower.
  void PauseUntil(absl::Time until);

  // How long `units` last at the full rate.
  absl::Duration DurationOf(double units) const;

 private:
  // One or more spendings, the first and the last of them.
  struct Spent {
    absl::Time first;
    absl::Time at;
    double units;
  };
  absl::Duration WaitLocked(double price, absl::Time now) const;
  double Price(double units) const;

  mutable std::mutex mutex_;
  double capacity_ = 1;
  double unit_price_ = 1;
  absl::Duration interval_ = absl::Seconds(1);
  absl::Time paused_until_ = absl::InfinitePast();
  std::deque<Spent> spent_;
};

}  // namespace dealstream::reader
