#include "services/crm-reader/circuit_breaker.h"

#include <algorithm>

namespace dealstream::reader {

absl::Duration CircuitBreaker::OpenFor(absl::Time now) const {
  std::lock_guard lock(mutex_);
  return std::max(open_until_ - now, absl::ZeroDuration());
}

void CircuitBreaker::Succeeded() {
  std::lock_guard lock(mutex_);
  failures_ = 0;
  openings_ = 0;
  open_until_ = absl::InfinitePast();
}

void CircuitBreaker::Failed(absl::Time now) {
  std::lock_guard lock(mutex_);
  ++failures_;
  // Half open: the trial failed.
  if (failures_ < options_.failures && openings_ == 0) {
    return;
  }
  absl::Duration duration = options_.first_open;
  for (int i = 0; i < openings_ && duration < options_.longest_open; ++i) {
    duration *= 2;
  }
  ++openings_;
  open_until_ = now + std::min(duration, options_.longest_open);
}

bool CircuitBreaker::tripped() const {
  std::lock_guard lock(mutex_);
  return openings_ > 0;
}

int CircuitBreaker::failures_in_a_row() const {
  std::lock_guard lock(mutex_);
  return failures_;
}

}  // namespace dealstream::reader
