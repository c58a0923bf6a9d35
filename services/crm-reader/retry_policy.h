#pragma once

#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace dealstream::reader {

// When something that couldn't be done comes back. Items wait in topics of one delay each, so that
// a topic's records are due in the order in which they lie.
struct RetryPolicy {
  // Failures of one item after which it is a dead letter ("retries_exhausted").
  int max_attempts = 12;
  // The same for notices of an integration that isn't known (yet).
  int max_unknown_attempts = 4;
  // After so many retries an object that isn't there is gone, where the CRM's notices may come
  // before it can be read.
  int max_looks = 3;
  // However little an item is to blame for (rate limit, breaker, credential): a dead letter after.
  absl::Duration give_up_after = absl::Hours(72);

  // Delay after the given number of failures, 1 being the first.
  static absl::Duration AfterFailure(int attempt);
  // The shortest delay that is long enough; the longest there is otherwise.
  static absl::Duration AtLeast(absl::Duration wait);

  // "crm.retry.<crm>.<delay>"; `delay` is one of the above.
  static std::string Topic(std::string_view crm, absl::Duration delay);
};

// The delays as they stand in topic names, shortest first.
inline constexpr std::string_view kRetryDelays[] = {"5s", "30s", "2m", "10m", "1h"};

}  // namespace dealstream::reader
