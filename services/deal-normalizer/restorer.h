#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"

#include "libs/base/clock.h"
#include "libs/base/status.h"
#include "services/deal-normalizer/clients.h"
#include "services/deal-normalizer/state_store.h"

namespace dealstream::normalizer {

struct Restored {
  int64_t records = 0;
  absl::Duration took;
};

// Brings one partition's local state up to the end of the state topic: reads what is newer than the
// checkpoint, or all of it when there is none, or when the topic ends before it or no longer
// reaches back to it (then it is another topic: what is kept locally is forgotten). What has been
// read is kept even when this fails half-way. DeadlineExceeded: go on by calling again.
Result<Restored> RestorePartition(StateStore& store,
                                  const Clients& clients,
                                  const std::string& state_topic,
                                  int32_t partition,
                                  absl::Duration limit,
                                  const Clock& clock);

// Restores partitions one after the other on a thread of its own, for the polling thread must poll.
// Tries again until it succeeds, or is told that nobody waits for it any more.
class Restorer {
 public:
  // All outlive it. `pause` after a failure.
  Restorer(StateStore& store,
           const Clients& clients,
           std::string state_topic,
           absl::Duration pause,
           const Clock& clock);
  ~Restorer();
  Restorer(const Restorer&) = delete;
  Restorer& operator=(const Restorer&) = delete;

  void Add(int32_t partition);
  // Whatever was added before is no longer waited for.
  void Cancel();

  struct Done {
    int32_t partition = 0;
    Restored restored;
  };
  // Those done since the last call, without the cancelled ones.
  std::vector<Done> TakeDone();

 private:
  struct Job {
    int32_t partition = 0;
    int64_t generation = 0;
  };

  void Run();
  void Restore(const Job& job);
  bool Wanted(const Job& job);

  StateStore& store_;
  const Clients& clients_;
  const std::string state_topic_;
  const absl::Duration pause_;
  const Clock& clock_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  int64_t generation_ = 0;
  std::deque<Job> jobs_;
  std::vector<Done> done_;
  // The thread last. Add new fields above.
  std::thread thread_;
};

}  // namespace dealstream::normalizer
