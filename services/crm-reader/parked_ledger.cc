#include "services/crm-reader/parked_ledger.h"

#include <algorithm>

namespace dealstream::reader {
namespace {

constexpr std::string_view kHandedOver = "handed_over";
constexpr std::string_view kRebalanced = "rebalanced";

template <typename Waiting>
auto Place(Waiting& waiting, int64_t offset) {
  return std::lower_bound(
      waiting.begin(), waiting.end(), offset, [](const auto& entry, int64_t wanted) {
        return entry.first < wanted;
      });
}

}  // namespace

void ParkedLedger::Assign(const kafka::TopicPartition& partition) { pages_.try_emplace(partition); }

void ParkedLedger::Revoke(const kafka::TopicPartition& partition) {
  auto page = pages_.find(partition);
  if (page == pages_.end()) {
    return;
  }
  for (const auto& [offset, reason] : page->second.waiting) {
    metrics_.Parked(reason, -1);
    metrics_.Done(kHandedOver, kRebalanced);
  }
  pages_.erase(page);
}

void ParkedLedger::Parked(const kafka::TopicPartition& partition,
                          int64_t offset,
                          const std::string& reason) {
  auto page = pages_.find(partition);
  if (page == pages_.end() || offset <= page->second.last_seen) {
    metrics_.Done(kHandedOver, kRebalanced);
    return;
  }
  auto& waiting = page->second.waiting;
  waiting.insert(Place(waiting, offset), {offset, ReasonLabel(reason)});
  metrics_.Parked(reason, 1);
}

void ParkedLedger::Seen(const kafka::TopicPartition& partition,
                        int64_t offset,
                        const std::string& reason) {
  Page& page = pages_[partition];
  page.last_seen = std::max(page.last_seen, offset);
  auto at = Place(page.waiting, offset);
  if (at != page.waiting.end() && at->first == offset) {
    return;
  }
  page.waiting.insert(at, {offset, ReasonLabel(reason)});
  metrics_.In("retry");
  metrics_.Parked(reason, 1);
}

void ParkedLedger::Taken(const kafka::TopicPartition& partition, int64_t offset) {
  auto page = pages_.find(partition);
  if (page == pages_.end()) {
    return;
  }
  auto at = Place(page->second.waiting, offset);
  if (at != page->second.waiting.end() && at->first == offset) {
    metrics_.Parked(at->second, -1);
    page->second.waiting.erase(at);
  }
}

}  // namespace dealstream::reader
