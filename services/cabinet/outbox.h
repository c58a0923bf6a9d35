#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"

#include "libs/base/clock.h"
#include "libs/base/status.h"
#include "libs/kafka/kafka.h"
#include "libs/obs/health.h"
#include "libs/obs/metrics.h"
#include "services/cabinet/store.h"

namespace dealstream::cabinet {

// Carries the store's outbox to Kafka. A record leaves the outbox only after Kafka has acknowledged
// it; killed in between, it is written once more (the same key, content and event id). Of each
// topic and key at most one record is under way, so that a failed one can't be overtaken by the
// next. What has failed is tried again only after all others have been tried, so that it holds up
// nothing but its own key; what Kafka refuses for good (too large, an unknown topic) less often.
//
// One thread, one publisher for a database: two would break the order.
class OutboxPublisher {
 public:
  struct Options {
    int64_t batch = 500;
    // Between looks at an outbox in which nothing is left to be tried: it is empty, or all of it
    // has failed.
    absl::Duration pause = absl::Seconds(1);
    // A record that Kafka refuses for good is tried again after; an operator may mend the topic.
    absl::Duration refused_pause = absl::Minutes(1);
    // For the reports of one batch; over the producer's delivery timeout.
    absl::Duration delivery_timeout = absl::Seconds(40);
  };

  OutboxPublisher(Options options,
                  Store& store,
                  kafka::Producer& producer,
                  obs::Health& health,
                  obs::Metrics& metrics);
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
  struct Delivery {
    std::vector<int64_t> acknowledged;
    // By seq, with the reason.
    std::map<int64_t, Status> failed;
  };
  struct Failure {
    // Not tried again before; and not before all that hasn't failed has been tried.
    absl::Time until;
    bool refused = false;
  };

  void Run();
  // Tries one batch of what hasn't failed; how many records those were.
  Result<size_t> PublishOnce();
  // Sends and waits.
  Delivery Deliver(std::vector<OutboxRecord> batch);
  void Remember(const OutboxRecord& head, const Status& status);
  // Those whose time has come may be tried again.
  void ForgetFailures();
  // False: stopping.
  bool Pause(absl::Duration duration);

  const Options options_;
  Store& store_;
  kafka::Producer& producer_;
  obs::Health::Heartbeat& heartbeat_;
  prometheus::Gauge& refused_;

  // Of the thread: heads that failed, by seq.
  std::map<int64_t, Failure> failed_;

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
