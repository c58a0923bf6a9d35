#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace dealstream::vault {

// Threads for work that waits (the store's disk, a CRM's login), so that gRPC's own don't. Bounded.
// Thread-safe.
class WorkerPool {
 public:
  WorkerPool(int threads, size_t most_waiting);
  // Does what waits, then ends.
  ~WorkerPool();

  // False: too much waits already; the work is not taken.
  bool Submit(std::function<void()> work);
  size_t waiting() const;

 private:
  void Run();

  const size_t most_waiting_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::deque<std::function<void()>> queue_;
  // Last, so that they stop first.
  std::vector<std::thread> threads_;
};

}  // namespace dealstream::vault
