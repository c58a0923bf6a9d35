#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "libs/kafka/kafka.h"
#include "libs/kv/key_value.h"
#include "services/deal-normalizer/clients.h"

namespace dealstream::normalizer {

// Thrown by a fake where a test wants the process to end on the spot.
struct Killed {};

// What happens at one operation of a client.
enum class Fault {
  kNone,
  // Not done, and said so.
  kFails,
  // Done, but reported as failed.
  kDoneButFails,
  // The process ends before it, or after it.
  kKilledBefore,
  kKilledAfter,
};

// Kafka in memory, with transactions: what a committed-reader sees, offsets that move with the
// transaction, fencing by transactional id and by group generation. Outlives the clients.
// Thread-safe.
class FakeKafka {
 public:
  // Asked before each operation of the clients ("begin", "send", "commit", "abort", "committed",
  // "seek", "read_range").
  std::function<Fault(std::string_view operation)> on_operation;

  void AddTopic(const std::string& name, int partitions);
  // Records that are committed at once.
  void Append(kafka::InRecord record);
  // As after a deletion and a new creation.
  void Recreate(const std::string& topic);
  // The broker drops what lies before the offset.
  void Truncate(const kafka::TopicPartition& partition, int64_t earliest);

  // Committed records, without markers.
  std::vector<kafka::InRecord> Read(const std::string& topic) const;
  // -1: none.
  int64_t CommittedOffset(const kafka::TopicPartition& partition) const;
  int64_t End(const kafka::TopicPartition& partition) const;

  // The clients of one process. Every partition of the topic is assigned to the member that was
  // made last.
  Clients MakeClients(const std::string& transactional_id, const std::string& topic);
  // The members are told to give up and take up all partitions again.
  void Rebalance();
  // Larger records are refused when sent or, with `late`, when committed.
  void SetMaxBytes(const std::string& topic, size_t bytes, bool late);

 private:
  friend class FakeConsumer;
  friend class FakeProducer;

  enum class Kind { kCommitted, kOpen, kAborted, kMarker };
  struct Entry {
    kafka::InRecord record;
    Kind kind;
    // Producer epoch that wrote it; 0 for Append.
    int64_t writer = 0;
  };
  struct Log {
    // Its first entry's offset.
    int64_t earliest = 0;
    std::vector<Entry> entries;
    int64_t end() const { return earliest + static_cast<int64_t>(entries.size()); }
    // First offset of an open transaction, or the end.
    int64_t stable_end() const;
  };

  // Carries out `action` as the fault says.
  template <typename Action>
  auto Operate(std::string_view operation, Action action) -> decltype(action());
  Log& LogOf(const kafka::TopicPartition& partition) { return logs_.at(partition); }
  void EndTransaction(int64_t writer, bool commit);

  mutable std::mutex mutex_;
  std::map<std::string, int> topics_;
  std::map<kafka::TopicPartition, Log> logs_;
  std::map<kafka::TopicPartition, int64_t> committed_;
  // Latest epoch of each transactional id; an older one is fenced.
  std::map<std::string, int64_t> epochs_;
  int64_t last_epoch_ = 0;
  int64_t generation_ = 0;
  // The member that owns all partitions.
  int64_t owner_ = 0;
  int64_t last_member_ = 0;
  std::map<std::string, size_t> max_bytes_;
  bool refuse_late_ = false;
};

// A store that outlives its users, as a disk does; `on_apply` may throw Killed or give an error.
class FakeDisk {
 public:
  FakeDisk();
  std::function<Fault()> on_apply;
  std::unique_ptr<kv::Store> Open();
  kv::Store& store() { return *store_; }
  void Wipe();

 private:
  std::unique_ptr<kv::Store> store_;
};

}  // namespace dealstream::normalizer
