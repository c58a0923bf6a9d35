#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"

#include "libs/http/transport.h"

namespace dealstream::crm::moysklad::sim {

// How much a user may ask. Defaults from the sheet: from 1 Sep 2026 a request with login and
// password costs 3 of the 45 units that may be spent in 3 s.
struct LimitSettings {
  int units = 45;
  int unit_price = 3;
  absl::Duration interval = absl::Seconds(3);
  int parallel = 5;
  // More 429 than that within a minute switch the API off for the user, for good. 0: never.
  int refusals_to_block = 200;
};

// The units of one user: an interval begins with the first request after the last one has ended.
// Not thread-safe.
class Basket {
 public:
  // Takes `units` or refuses.
  bool Take(const LimitSettings& settings, int units, absl::Time now);
  // X-RateLimit-… and X-Lognex-…, after Take.
  http::Headers HeadersOf(const LimitSettings& settings, bool refused, absl::Time now) const;
  // Counts a refusal; true when there were too many within the last minute.
  bool Refused(const LimitSettings& settings, absl::Time now);

 private:
  absl::Time begin_ = absl::InfinitePast();
  int spent_ = 0;
  absl::Time minute_ = absl::InfinitePast();
  int refusals_ = 0;
};

}  // namespace dealstream::crm::moysklad::sim
