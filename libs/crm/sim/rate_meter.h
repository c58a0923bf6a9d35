#pragma once

#include <deque>

#include "absl/time/time.h"

namespace dealstream::crm::simkit {

// Lets through so many requests within any stretch of time of the window's length: exact, with no
// fixed intervals whose borders a client could use. A client with a token bucket of burst B and R a
// second sends up to B + R * window requests in a window. Not thread-safe.
class RateMeter {
 public:
  // Counts a request and lets it through, or refuses it and counts nothing. `requests` and
  // `window` may change from call to call.
  bool Take(int requests, absl::Duration window, absl::Time now);
  // How long until Take would let the next one through; zero: now.
  absl::Duration Wait(int requests, absl::Duration window, absl::Time now) const;

 private:
  // When those let through came, oldest first.
  std::deque<absl::Time> taken_;
};

}  // namespace dealstream::crm::simkit
