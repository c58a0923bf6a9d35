#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"

#include "libs/base/clock.h"
#include "libs/crm/api/adapter.h"
#include "libs/kafka/kafka.h"
#include "libs/obs/health.h"
#include "libs/obs/metrics.h"
#include "services/deal-normalizer/batch.h"
#include "services/deal-normalizer/clients.h"
#include "services/deal-normalizer/counters.h"
#include "services/deal-normalizer/normalizer.h"
#include "services/deal-normalizer/restorer.h"
#include "services/deal-normalizer/state_store.h"

namespace dealstream::normalizer {

struct PipelineOptions {
  size_t batch_records = 1'000;
  absl::Duration batch_time = absl::Milliseconds(100);
  // How long one look for new records lasts.
  absl::Duration poll_wait = absl::Milliseconds(100);
  // After a failure, before it is tried again.
  absl::Duration pause = absl::Milliseconds(500);
};

// The shell around the core: reads records, decides about them, writes what comes of it and the
// offsets in one transaction, then brings the local state to where the transaction left the topic.
//
// A partition goes through: assigned (paused) -> committed offset asked for -> state restored ->
// ready (resumed). The offset is asked for first: its answer waits until the transactions of the
// partition's former owner have ended, so that the state read after it is what they left.
//
// When anything fails between begin and commit, the transaction is aborted, the clients settle what
// is left of it, and every partition goes through the same again, with its position put back to the
// committed offset: whether the transaction came through after all is then read from the broker.
//
// Everything but the restoring runs on one thread; tests call Step by themselves.
class Pipeline {
 public:
  // All outlive it. `fail` is called when it can't go on.
  Pipeline(const crm::Adapter& adapter,
           PipelineOptions options,
           Clients clients,
           StateStore& store,
           Clock& clock,
           obs::Metrics& metrics,
           obs::Health& health,
           std::function<void(const Status&)> fail);
  ~Pipeline();
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  // Runs Step on a thread until Stop.
  void Start();
  // Finishes the batch under way, commits it, leaves the group. DeadlineExceeded: still busy.
  Status Stop(absl::Time deadline);

  // One round of the loop. Not ok: it can't go on.
  Status Step();
  // Partitions are assigned, and their state is restored.
  bool Ready() const;

 private:
  enum class Phase {
    // The committed offset is not known yet.
    kAssigned,
    kRestoring,
    kReady,
  };
  struct Partition {
    Phase phase = Phase::kAssigned;
    // The position must be put back to the committed offset.
    bool rewind = false;
  };

  // False: tried again in the next round.
  Result<bool> CheckTopics();
  bool Connect();
  void Settle();
  void BeginRestores();
  void EndRestores();
  void OnAssigned(const std::vector<kafka::TopicPartition>& partitions);
  void OnRevoked();
  Status PollAndProcess();
  // Both give back where to go on in `records`.
  Result<size_t> ProcessSome(const std::vector<kafka::InRecord>& records, size_t begin);
  Result<size_t> Fill(const std::vector<kafka::InRecord>& records, size_t begin);
  // Not ok: the transaction is lost. False: a record was refused and remembered; begin anew.
  Result<bool> Send(std::vector<Batch::Output> outputs);
  Status KeepCommitted(const std::vector<kafka::Position>& positions);
  void AfterFailure(const Status& status);
  bool IsReady(const kafka::InRecord& record);
  void DropConsumer(std::string_view event, const Status& status);
  void Wait(std::string_view event, const Status& status);
  void ShowReadiness();
  kafka::TopicPartition Input(int32_t partition) const;

  const PipelineOptions options_;
  const Clients clients_;
  StateStore& store_;
  Clock& clock_;
  obs::Health& health_;
  const std::function<void(const Status&)> fail_;
  Normalizer normalizer_;
  Batch batch_;
  Counters counters_;
  obs::Health::Heartbeat& heartbeat_;

  bool topics_checked_ = false;
  int partition_count_ = 0;
  std::unique_ptr<kafka::TransactionalProducer> producer_;
  // What a transaction of this id may have left open has ended.
  bool settled_ = false;
  bool assigned_ = false;
  std::map<int32_t, Partition> partitions_;
  std::optional<absl::Time> restore_began_;
  int64_t restored_records_ = 0;
  absl::Time keys_shown_ = absl::InfinitePast();
  // Of the batch under way: which record each is, and where the state begins in its outputs.
  std::vector<std::pair<int32_t, int64_t>> sources_;
  size_t state_begin_ = 0;

  // Fewer after a refusal, to find the record that is refused; back to full by doubling.
  size_t batch_limit_;
  // Records (partition, offset) that Kafka refuses, and why.
  std::map<std::pair<int32_t, int64_t>, std::string> refused_;

  std::atomic<bool> stopping_ = false;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool has_ended_ = false;
  Restorer restorer_;
  std::unique_ptr<kafka::Consumer> consumer_;
  // The thread last. Add new fields above.
  std::thread thread_;
};

}  // namespace dealstream::normalizer
