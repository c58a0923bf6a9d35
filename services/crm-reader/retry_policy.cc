#include "services/crm-reader/retry_policy.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

namespace dealstream::reader {
namespace {

// In the order of kRetryDelays.
const absl::Duration kDelays[] = {
    absl::Seconds(5), absl::Seconds(30), absl::Minutes(2), absl::Minutes(10), absl::Hours(1)};
constexpr int kCount = static_cast<int>(std::size(kRetryDelays));

}  // namespace

absl::Duration RetryPolicy::AfterFailure(int attempt) {
  return kDelays[std::clamp(attempt - 1, 0, kCount - 1)];
}

absl::Duration RetryPolicy::AtLeast(absl::Duration wait) {
  const auto* found = std::find_if(
      std::begin(kDelays), std::end(kDelays), [&](absl::Duration delay) { return delay >= wait; });
  return found == std::end(kDelays) ? kDelays[kCount - 1] : *found;
}

std::string RetryPolicy::Topic(std::string_view crm, absl::Duration delay) {
  const auto* found = std::find(std::begin(kDelays), std::end(kDelays), delay);
  return fmt::format("crm.retry.{}.{}", crm, kRetryDelays[found - std::begin(kDelays)]);
}

}  // namespace dealstream::reader
