#include "libs/crm/moysklad/sim/limits.h"

#include <algorithm>

namespace dealstream::crm::moysklad::sim {

bool Basket::Take(const LimitSettings& settings, int units, absl::Time now) {
  if (now - begin_ >= settings.interval) {
    begin_ = now;
    spent_ = 0;
  }
  if (spent_ + units > settings.units) {
    return false;
  }
  spent_ += units;
  return true;
}

http::Headers Basket::HeadersOf(const LimitSettings& settings, bool refused, absl::Time now) const {
  const int64_t left =
      std::max<int64_t>(1,
                        absl::ToInt64Milliseconds(
                            absl::Ceil(begin_ + settings.interval - now, absl::Milliseconds(1))));
  const std::string wait = refused ? std::to_string(left) : "0";
  return {
      {"X-RateLimit-Limit", std::to_string(settings.units)},
      {"X-RateLimit-Remaining",
       refused ? "0" : std::to_string(std::max(0, settings.units - spent_))},
      {"X-Lognex-Retry-TimeInterval", std::to_string(absl::ToInt64Milliseconds(settings.interval))},
      {"X-Lognex-Reset", wait},
      {"X-Lognex-Retry-After", wait}};
}

bool Basket::Refused(const LimitSettings& settings, absl::Time now) {
  if (now - minute_ >= absl::Minutes(1)) {
    minute_ = now;
    refusals_ = 0;
  }
  ++refusals_;
  return settings.refusals_to_block > 0 && refusals_ > settings.refusals_to_block;
}

}  // namespace dealstream::crm::moysklad::sim
