#include "libs/crm/sim/rate_meter.h"

#include <algorithm>

namespace dealstream::crm::simkit {

bool RateMeter::Take(int requests, absl::Duration window, absl::Time now) {
  while (!taken_.empty() && taken_.front() + window <= now) {
    taken_.pop_front();
  }
  if (taken_.size() >= static_cast<size_t>(std::max(0, requests))) {
    return false;
  }
  taken_.push_back(now);
  return true;
}

absl::Duration RateMeter::Wait(int requests, absl::Duration window, absl::Time now) const {
  const auto allowed = static_cast<size_t>(std::max(1, requests));
  if (taken_.size() < allowed) {
    return absl::ZeroDuration();
  }
  return std::max(taken_[taken_.size() - allowed] + window - now, absl::ZeroDuration());
}

}  // namespace dealstream::crm::simkit
