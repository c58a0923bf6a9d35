#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "absl/time/time.h"

#include "libs/base/clock.h"
#include "libs/base/status.h"
#include "libs/kafka/kafka.h"
#include "libs/obs/health.h"
#include "services/cabinet/store.h"

namespace dealstream::cabinet {

// Carries the store's outbox to Kafka. A record leaves the outbox only after Kafka has acknowledged
// it; killed in between, it is written once more (the same key, content and event id). Of each
// topic and key at most one record is under way, so that a failed one can't be overtaken by the
// next.
//
// One thread, one publisher for a database: two would break the order.
class OutboxPublisher {
 public:
  struct Options {
    int64_t batch = 500;
    // How long to wait after a failure, and between looks at an outbox that was empty.
    absl::Duration pause = absl::Seconds(1);
    // For the reports of one batch; over the producer's delivery timeout.
    absl::Duration delivery_timeout = absl::Seconds(40);
  };

  OutboxPublisher(Options options, Store& store, kafka::Producer& producer, obs::Health& health);
  // Stops without waiting for what is under way.
  ~OutboxPublisher();
  OutboxPublisher(const OutboxPublisher&) = delete;
  OutboxPublisher& operator=(const OutboxPublisher&) = delete;

  // Something was written: look at once. Thread-safe.
  void Wake();
  // Publishes what is there until the deadline, and stops. What is left stays in the store.
  // DeadlineExceeded when something is left.
  Status Stop(absl::Time deadline);

 private:
  void Run();
  // Publishes one batch; how many records it took out of the outbox. An error: pause.
  Result<size_t> PublishOnce();
  // Sends and waits; the seqs that were acknowledged.
  std::vector<int64_t> Deliver(std::vector<OutboxRecord> batch);
  // False: stopping.
  bool Pause(absl::Duration duration);

  const Options options_;
  Store& store_;
  kafka::Producer& producer_;
  obs::Health::Heartbeat& heartbeat_;

  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  bool woken_ = false;
  bool stopping_ = false;
  // While stopping: nothing more is tried after.
  absl::Time give_up_at_ = absl::InfiniteFuture();
  bool finished_ = false;

  std::thread thread_;  // last: uses all above
};

}  // namespace dealstream::cabinet
