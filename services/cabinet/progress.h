#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/time.h"

#include "dealstream/raw/v1/raw.pb.h"
#include "libs/kafka/kafka.h"

namespace prometheus {
class Counter;
class Gauge;
}  // namespace prometheus
namespace dealstream::obs {
class Metrics;
}

namespace dealstream::cabinet {

// The read model of one CRM's cursor topic: how far sweeps and backfills have come. In memory, fed
// by a kafka::TableReader. Thread-safe.
class ProgressTable {
 public:
  // Passes that ended before `started_at` are not counted.
  ProgressTable(const std::string& crm, absl::Time started_at, obs::Metrics& metrics);

  // A record of the topic. A value that can't be read is logged and left out.
  void Apply(const kafka::InRecord& record);

  std::optional<raw::v1::PollProgress> Backfill(const std::string& integration_id,
                                                const std::string& backfill_id) const;
  // When the integration's last POLL or RECONCILIATION ended well.
  std::optional<absl::Time> LastSweep(const std::string& integration_id) const;

 private:
  void CountLocked(const raw::v1::PollProgress& progress);

  const absl::Time started_at_;
  prometheus::Counter& done_;
  prometheus::Counter& failed_;
  prometheus::Gauge& last_success_;

  mutable std::mutex mutex_;  // guards all below
  // Of backfills only.
  std::map<std::string, raw::v1::PollProgress> backfills_;
  std::map<std::pair<std::string, std::string>, std::string> backfill_keys_;
  std::map<std::string, absl::Time> last_sweeps_;
};

}  // namespace dealstream::cabinet
