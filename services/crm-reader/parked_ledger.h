#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "libs/kafka/kafka.h"
#include "services/crm-reader/metrics.h"

namespace dealstream::reader {

// The page of the books for what waits in the retry topics: which offsets of the assigned
// partitions hold an item that this process has counted in. Keeps events_parked. Not thread-safe.
class ParkedLedger {
 public:
  explicit ParkedLedger(ReaderMetrics& metrics) : metrics_(metrics) {}

  void Assign(const kafka::TopicPartition& partition);
  // All that is parked there is handed over to whoever reads it next.
  void Revoke(const kafka::TopicPartition& partition);

  // This process has parked an item there. Whoever reads the partition may have seen it already,
  // or be another process: then it's handed over at once.
  void Parked(const kafka::TopicPartition& partition, int64_t offset, const std::string& reason);
  // A retry was read. What this process didn't park is counted in ("retry") and as parked.
  void Seen(const kafka::TopicPartition& partition, int64_t offset, const std::string& reason);
  // It waits no more: it's in progress now.
  void Taken(const kafka::TopicPartition& partition, int64_t offset);

 private:
  struct Page {
    // Offset and reason label, ascending.
    std::deque<std::pair<int64_t, std::string_view>> waiting;
    int64_t last_seen = -1;
  };

  ReaderMetrics& metrics_;
  std::map<kafka::TopicPartition, Page> pages_;
};

}  // namespace dealstream::reader
