#pragma once

#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/time/time.h"

#include "libs/obs/metrics.h"
#include "services/deal-normalizer/batch.h"

namespace dealstream::normalizer {

// The service's metrics. Records are counted as taken in and as done when their transaction is
// committed, so the books balance whatever is done twice; events_in_progress is 0.
class Counters {
 public:
  Counters(std::string_view crm, obs::Metrics& metrics);

  void CountCommitted(const std::vector<Ended>& ended, absl::Time now);
  void SetRestoreTime(absl::Duration took);
  void SetStateKeys(int64_t keys);

 private:
  // Reasons come from a closed set, but for those of mappers, which are kept to this many.
  static constexpr size_t kMostReasons = 64;

  prometheus::Counter& Done(Outcome outcome, const std::string& reason);
  prometheus::Counter& DeadLetters(const std::string& stage, const std::string& reason);

  const std::string crm_;
  obs::Metrics& metrics_;
  std::map<std::string_view, prometheus::Counter*> in_;
  std::map<std::pair<Outcome, std::string>, prometheus::Counter*> done_;
  std::map<std::pair<std::string, std::string>, prometheus::Counter*> dead_letters_;
  prometheus::Histogram& age_;
  prometheus::Gauge& last_event_;
  prometheus::Gauge& restore_seconds_;
  prometheus::Gauge& state_keys_;
};

}  // namespace dealstream::normalizer
