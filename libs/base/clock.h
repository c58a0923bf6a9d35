#pragma once

#include "absl/time/time.h"

namespace dealstream {

// Where the time comes from. Everything that looks at the time takes one, so that tests own it.
// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;

  // Wall time, UTC.
  virtual absl::Time Now() const = 0;
  // Blocks the calling thread.
  virtual void Sleep(absl::Duration duration) = 0;

  // The machine's clock; lives as long as the process.
  static Clock& System();
};

// Stands still until told to move. Sleep moves it.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(absl::Time now) : now_(now) {}

  absl::Time Now() const override { return now_; }
  void Sleep(absl::Duration duration) override { now_ += duration; }
  void Advance(absl::Duration duration) { now_ += duration; }

 private:
  absl::Time now_;
};

}  // namespace dealstream
