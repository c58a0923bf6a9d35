#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "libs/base/clock.h"
#include "libs/kafka/kafka.h"

namespace dealstream::reader {

// Sends until it is durable or can never be: what a broker that is away has not taken is sent again
// every half a second. Thread-safe.
class Outbox {
 public:
  // ok: durable. An error: the broker will never take it (too large).
  using Done = std::function<void(const Result<kafka::Position>&)>;

  // Both outlive this object's use; the producer must be gone, or flushed, before what the
  // callbacks refer to.
  Outbox(kafka::Producer& producer, const Clock& clock) : producer_(producer), clock_(clock) {}

  void Send(kafka::OutRecord record, Done done);
  // Sends again what is due; call it several times a second.
  void Tick();
  // Sent or to be sent, and not reported.
  size_t pending() const;

 private:
  struct Entry {
    kafka::OutRecord record;
    Done done;
  };
  void Try(const std::shared_ptr<Entry>& entry);
  void Finish(const std::shared_ptr<Entry>& entry, const Result<kafka::Position>& result);

  kafka::Producer& producer_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  size_t pending_ = 0;
  // Shared with the producer's report.
  std::deque<std::pair<absl::Time, std::shared_ptr<Entry>>> again_;
};

}  // namespace dealstream::reader
