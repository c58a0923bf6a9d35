#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>

#include "absl/time/time.h"

#include "libs/obs/metrics.h"

namespace dealstream::reader {

// The closed set of reasons in labels; anything else is "other" (its text stands in dead letters
// and logs).
std::string_view ReasonLabel(std::string_view reason);

// Handles of the reader's metrics for one CRM. Thread-safe.
class ReaderMetrics {
 public:
  ReaderMetrics(obs::Metrics& metrics, std::string_view crm);

  // The books. What comes in is counted once, by kind: notice, tick, object (of a page, parked for
  // itself) or retry (parked by another process, or in an earlier life of this one).
  void In(std::string_view kind);
  void Done(std::string_view outcome, std::string_view reason, int64_t count = 1);
  void InProgress(int64_t by);
  void Parked(std::string_view reason, int64_t by);

  void Request(std::string_view operation, std::string_view outcome, absl::Duration took);
  void RateLimited();
  void Coalesced();
  void AuthFailure();
  void CircuitsOpen(int64_t accounts);
  void DeadLetter(std::string_view stage, std::string_view reason);
  void PollEnded(std::string_view outcome);
  void PollSucceeded(absl::Time at);
  void Queue(int64_t depth);
  void Waited(absl::Duration in_queue);
  void Event(absl::Time at);

 private:
  prometheus::Counter& Counter(std::string_view name, std::initializer_list<obs::Label> labels);
  prometheus::Gauge& Gauge(std::string_view name, std::initializer_list<obs::Label> labels);

  obs::Metrics& metrics_;
  const std::string crm_;
  std::mutex mutex_;
  std::map<std::string, prometheus::Counter*, std::less<>> counters_;
  std::map<std::string, prometheus::Gauge*, std::less<>> gauges_;
};

}  // namespace dealstream::reader
