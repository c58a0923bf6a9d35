#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "libs/base/clock.h"
#include "libs/crm/api/adapter.h"
#include "libs/http/transport.h"
#include "services/crm-reader/access_cache.h"
#include "services/crm-reader/circuit_breaker.h"
#include "services/crm-reader/metrics.h"
#include "services/crm-reader/notes.h"
#include "services/crm-reader/rate_limiter.h"

namespace dealstream::reader {

// What all integrations that one customer has with one CRM account share towards the CRM.
struct AccountLimits {
  explicit AccountLimits(CircuitBreaker::Options options) : breaker(options) {}
  RateLimiter limiter;
  CircuitBreaker breaker;
  // Of the worker whose turn it is.
  Notes notes;
};

// Reason of a wait that our own limiter asks for, lest it be taken for the CRM's word.
inline constexpr std::string_view kOwnLimit = "own_limit";

// One read's conversation with the CRM: breaker, rate limit, access, one quick second try, metrics,
// all around the transport. Adds to the errors of http::Transport: Unavailable "circuit_open" and
// ResourceExhausted kOwnLimit, both with RetryAfter, and Cancelled when we are stopping. One
// thread.
class CallSession final : public crm::Session {
 public:
  struct Options {
    // Longest wait for the rate limit within a read; giving up wastes what the read has spent.
    absl::Duration longest_wait = absl::Seconds(5);
    // Bound of every call's own timeout.
    absl::Duration longest_call = absl::Seconds(10);
  };

  // All outlive the session.
  struct Deps {
    Clock& clock;
    http::Transport& transport;
    AccountLimits& limits;
    const IssuedAccess& access;
    ReaderMetrics& metrics;
    const std::atomic<bool>& stopping;
  };

  CallSession(Options options, const Deps& deps) : options_(options), deps_(deps) {}

  Result<http::Response> Send(const Call& call) override;
  absl::Time Now() const override { return deps_.clock.Now(); }
  const std::string* Noted(std::string_view key, absl::Duration at_most) override {
    return deps_.limits.notes.Find(key, Now(), at_most);
  }
  void Note(std::string_view key, std::string value) override {
    deps_.limits.notes.Put(key, std::move(value), Now());
  }

  // Units asked for so far.
  double units() const { return units_; }

 private:
  Status WaitForTurn(double units);
  Result<http::Request> MakeRequest(const Call& call) const;
  Result<http::Response> SendOnce(const Call& call, const http::Request& request);

  const Options options_;
  const Deps deps_;
  double units_ = 0;
};

// Percent-encodes everything but unreserved characters (RFC 3986).
std::string PercentEncode(std::string_view text);

}  // namespace dealstream::reader
