#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "absl/time/time.h"

#include "libs/base/status.h"

namespace dealstream::service {

// Why and when the process stops. Takes SIGTERM and SIGINT for itself: make it before any other
// thread, for threads inherit the blocked signals. Works as process 1 of a container.
class Stopper {
 public:
  Stopper();
  // Signals are given back as they were.
  ~Stopper();
  Stopper(const Stopper&) = delete;
  Stopper& operator=(const Stopper&) = delete;

  // Asks for a stop because of a failure. Thread-safe; the first reason stays.
  void Fail(const Status& why);
  // Blocks until a stop is asked for: ok for a signal, else the failure. Calls `tick` every second.
  Status Wait(const std::function<void()>& tick);
  // Once a stop has been asked for, a further signal ends the process at once with exit code 1; so
  // does this moment.
  void SetDeadline(absl::Time deadline);

 private:
  void Watch();

  int signals_ = -1;
  int wake_ = -1;
  std::mutex mutex_;  // guards the four below
  std::condition_variable asked_;
  std::optional<Status> reason_;
  absl::Time deadline_ = absl::InfiniteFuture();
  bool over_ = false;

  std::thread watcher_;  // last: uses all above
};

}  // namespace dealstream::service
