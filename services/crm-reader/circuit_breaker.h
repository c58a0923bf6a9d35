#pragma once

#include <mutex>

#include "absl/time/time.h"

namespace dealstream::reader {

// Stops calls to a CRM account that fails: opens after so many failures in a row, lets one call
// through when its time is over (half open), and closes when that one succeeds. Each opening in a
// row lasts twice as long. Thread-safe.
class CircuitBreaker {
 public:
  struct Options {
    int failures = 5;
    absl::Duration first_open = absl::Seconds(5);
    absl::Duration longest_open = absl::Minutes(2);
  };

  explicit CircuitBreaker(Options options) : options_(options) {}

  // How long it stays open; zero: calls may be made.
  absl::Duration OpenFor(absl::Time now) const;
  // An answer came, whatever it says, or none / a failure of the CRM's.
  void Succeeded();
  void Failed(absl::Time now);

  // Not closed: open, or waiting for the outcome of the trial call.
  bool tripped() const;
  int failures_in_a_row() const;

 private:
  const Options options_;
  mutable std::mutex mutex_;
  int failures_ = 0;
  int openings_ = 0;
  absl::Time open_until_ = absl::InfinitePast();
};

}  // namespace dealstream::reader
