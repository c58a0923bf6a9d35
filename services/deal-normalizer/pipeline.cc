#include "services/deal-normalizer/pipeline.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "fmt/format.h"

#include "libs/base/strings.h"
#include "libs/obs/log.h"

namespace dealstream::normalizer {
namespace {

// librdkafka's name for the beginning of a partition.
constexpr int64_t kBeginning = -2;
constexpr absl::Duration kKeysInterval = absl::Seconds(5);
// The clock is looked at once for so many records.
constexpr size_t kClockStride = 32;

}  // namespace

Pipeline::Pipeline(const crm::Adapter& adapter,
                   PipelineOptions options,
                   Clients clients,
                   StateStore& store,
                   Clock& clock,
                   obs::Metrics& metrics,
                   obs::Health& health,
                   std::function<void(const Status&)> fail)
    : options_(options),
      clients_(std::move(clients)),
      store_(store),
      clock_(clock),
      health_(health),
      fail_(std::move(fail)),
      normalizer_(adapter, CurrentShape()),
      batch_(adapter.id(), normalizer_, store, clock),
      counters_(adapter.id(), metrics),
      heartbeat_(health.AddLoop("records")),
      batch_limit_(options.batch_records),
      restorer_(store, clients_, batch_.topics().state, options.pause, clock) {
  health_.SetReady("topics", false, "not looked at yet");
  ShowReadiness();
}

Pipeline::~Pipeline() {
  stopping_.store(true);
  if (thread_.joinable()) {
    thread_.join();
  }
}

void Pipeline::Start() {
  thread_ = std::thread([this] {
    while (!stopping_.load()) {
      if (const Status status = Step(); !status.ok()) {
        obs::Error("normalizer_stopped", status.ToString());
        fail_(status);
        break;
      }
    }
    // Leaves the group; nothing is under way between two steps.
    consumer_.reset();
    producer_.reset();
    const std::lock_guard lock(mutex_);
    has_ended_ = true;
    ended_.notify_all();
  });
}

Status Pipeline::Stop(absl::Time deadline) {
  stopping_.store(true);
  if (!thread_.joinable()) {
    return absl::OkStatus();
  }
  {
    std::unique_lock lock(mutex_);
    if (!ended_.wait_until(lock, absl::ToChronoTime(deadline), [this] { return has_ended_; })) {
      return absl::DeadlineExceededError("deal-normalizer: a batch is still under way");
    }
  }
  thread_.join();
  return absl::OkStatus();
}

Status Pipeline::Step() {
  heartbeat_.Beat();
  if (!topics_checked_) {
    DEALSTREAM_ASSIGN_OR_RETURN(topics_checked_, CheckTopics());
    if (!topics_checked_) {
      return absl::OkStatus();
    }
  }
  if (!Connect()) {
    return absl::OkStatus();
  }
  if (!settled_) {
    Settle();
  }
  if (settled_) {
    BeginRestores();
  }
  EndRestores();
  if (consumer_ == nullptr) {
    // Dropped; made anew in the next round.
    return absl::OkStatus();
  }
  if (clock_.Now() - keys_shown_ >= kKeysInterval) {
    keys_shown_ = clock_.Now();
    counters_.SetStateKeys(store_.EstimateKeys());
  }
  return PollAndProcess();
}

bool Pipeline::Ready() const {
  return assigned_ && settled_ &&
         std::all_of(partitions_.begin(), partitions_.end(), [](const auto& partition) {
           return partition.second.phase == Phase::kReady;
         });
}

// ---- Clients -----------------------------------------------------------------------------------

Result<bool> Pipeline::CheckTopics() {
  const Topics& topics = batch_.topics();
  const Result<std::vector<int>> counts = clients_.partition_counts({topics.records,
                                                                     topics.state,
                                                                     topics.deals,
                                                                     topics.snapshots,
                                                                     topics.requests,
                                                                     topics.dead_letters});
  if (!counts.ok()) {
    health_.SetReady("topics", false, ToStd(counts.status().message()));
    Wait("topics_missing", counts.status());
    return false;
  }
  if ((*counts)[0] != (*counts)[1]) {
    return absl::FailedPreconditionError(fmt::format(
        "topic {} has {} partitions, {} has {}: the state topic must have exactly those "
        "of the record topic; make it anew with that number (deploy/topics.yaml), it is "
        "filled again from the records",
        topics.records,
        (*counts)[0],
        topics.state,
        (*counts)[1]));
  }
  partition_count_ = (*counts)[0];
  health_.SetReady("topics", true);
  return true;
}

bool Pipeline::Connect() {
  if (producer_ == nullptr) {
    auto producer = clients_.make_producer();
    if (!producer.ok()) {
      Wait("kafka_producer_failed", producer.status());
      return false;
    }
    producer_ = *std::move(producer);
    settled_ = false;
  }
  if (consumer_ == nullptr) {
    auto consumer = clients_.make_consumer(
        [this](const std::vector<kafka::TopicPartition>& partitions) { OnAssigned(partitions); },
        [this](const std::vector<kafka::TopicPartition>&, bool) { OnRevoked(); });
    if (!consumer.ok()) {
      Wait("kafka_consumer_failed", consumer.status());
      return false;
    }
    consumer_ = *std::move(consumer);
  }
  return true;
}

// A begun transaction means that the broker has ended what this id left open: committed, if its
// commit had begun, else aborted.
void Pipeline::Settle() {
  Status status = producer_->Abort();
  if (status.ok()) {
    status = producer_->Begin();
  }
  if (status.ok()) {
    status = producer_->Abort();
  }
  if (!status.ok()) {
    return Wait("kafka_transaction_unsettled", status);
  }
  settled_ = true;
  ShowReadiness();
}

void Pipeline::DropConsumer(std::string_view event, const Status& status) {
  OnRevoked();
  consumer_.reset();
  Wait(event, status);
}

void Pipeline::Wait(std::string_view event, const Status& status) {
  obs::Warn(event, status.ToString());
  clock_.Sleep(options_.pause);
}

// ---- Partitions --------------------------------------------------------------------------------

kafka::TopicPartition Pipeline::Input(int32_t partition) const {
  return {batch_.topics().records, partition};
}

void Pipeline::OnAssigned(const std::vector<kafka::TopicPartition>& partitions) {
  restorer_.Cancel();
  partitions_.clear();
  assigned_ = true;
  for (const kafka::TopicPartition& partition : partitions) {
    partitions_[partition.partition] = {};
    if (const Status status = consumer_->Pause(partition); !status.ok()) {
      // Its records are put back until it is ready.
      obs::Warn("kafka_pause_failed", status.ToString());
    }
  }
  if (!partitions_.empty()) {
    restore_began_ = clock_.Now();
    restored_records_ = 0;
  }
  ShowReadiness();
}

// Between two steps nothing is under way: what was read and not committed is with the next owner.
void Pipeline::OnRevoked() {
  restorer_.Cancel();
  partitions_.clear();
  assigned_ = false;
  restore_began_.reset();
  ShowReadiness();
}

void Pipeline::BeginRestores() {
  std::vector<kafka::TopicPartition> waiting;
  for (const auto& [partition, state] : partitions_) {
    if (state.phase == Phase::kAssigned) {
      waiting.push_back(Input(partition));
    }
  }
  if (waiting.empty()) {
    return;
  }
  const Result<kafka::Offsets> committed = consumer_->Committed(waiting);
  if (!committed.ok()) {
    return Wait("kafka_committed_failed", committed.status());
  }
  for (const auto& [partition, offset] : *committed) {
    Partition& state = partitions_[partition.partition];
    if (state.rewind) {
      const Status status = consumer_->Seek(partition, offset < 0 ? kBeginning : offset);
      if (!status.ok()) {
        return DropConsumer("kafka_seek_failed", status);
      }
      state.rewind = false;
    }
    state.phase = Phase::kRestoring;
    restorer_.Add(partition.partition);
  }
}

void Pipeline::EndRestores() {
  for (const Restorer::Done& done : restorer_.TakeDone()) {
    const auto found = partitions_.find(done.partition);
    if (found == partitions_.end() || found->second.phase != Phase::kRestoring) {
      continue;
    }
    if (found->second.rewind) {
      // Records came although it was paused.
      found->second.phase = Phase::kAssigned;
      continue;
    }
    if (const Status status = consumer_->Resume(Input(done.partition)); !status.ok()) {
      return DropConsumer("kafka_resume_failed", status);
    }
    found->second.phase = Phase::kReady;
    restored_records_ += done.restored.records;
  }
  if (restore_began_.has_value() && Ready()) {
    const absl::Duration took = clock_.Now() - *restore_began_;
    restore_began_.reset();
    counters_.SetRestoreTime(took);
    obs::Info("state_restored",
              "The state of all assigned partitions is restored.",
              {{"partitions", partitions_.size()},
               {"records", restored_records_},
               {"milliseconds", absl::ToInt64Milliseconds(took)}});
    ShowReadiness();
  }
}

void Pipeline::ShowReadiness() {
  health_.SetReady("assigned", assigned_, "no partitions have been assigned yet");
  health_.SetReady("restored", Ready(), "the state is being restored");
}

// ---- Records -----------------------------------------------------------------------------------

Status Pipeline::PollAndProcess() {
  // While something is being restored, its end is looked for more often.
  const absl::Duration wait =
      Ready() ? options_.poll_wait : std::min(options_.poll_wait, absl::Milliseconds(20));
  const Result<std::vector<kafka::InRecord>> records = consumer_->Poll(batch_limit_, wait);
  if (!records.ok()) {
    if (absl::IsUnavailable(records.status())) {
      Wait("kafka_poll_failed", records.status());
    } else {
      DropConsumer("kafka_poll_failed", records.status());
    }
    return absl::OkStatus();
  }
  for (size_t done = 0; done < records->size();) {
    DEALSTREAM_ASSIGN_OR_RETURN(done, ProcessSome(*records, done));
  }
  return absl::OkStatus();
}

bool Pipeline::IsReady(const kafka::InRecord& record) {
  const auto found = partitions_.find(record.partition);
  if (found == partitions_.end()) {
    return false;
  }
  if (found->second.phase != Phase::kReady) {
    found->second.rewind = true;
    return false;
  }
  return true;
}

Result<size_t> Pipeline::Fill(const std::vector<kafka::InRecord>& records, size_t begin) {
  const absl::Time limit = clock_.Now() + options_.batch_time;
  batch_.Clear();
  sources_.clear();
  size_t i = begin;
  for (; i < records.size() && batch_.size() < batch_limit_; ++i) {
    if (batch_.size() % kClockStride == kClockStride - 1 && clock_.Now() >= limit) {
      break;
    }
    const kafka::InRecord& record = records[i];
    if (!IsReady(record)) {
      continue;
    }
    std::string_view refused;
    if (!refused_.empty()) {
      if (const auto found = refused_.find({record.partition, record.offset});
          found != refused_.end()) {
        refused = found->second;
      }
    }
    DEALSTREAM_RETURN_IF_ERROR(batch_.Add(record, refused));
    sources_.emplace_back(record.partition, record.offset);
  }
  return i;
}

Result<size_t> Pipeline::ProcessSome(const std::vector<kafka::InRecord>& records, size_t begin) {
  DEALSTREAM_ASSIGN_OR_RETURN(const size_t end, Fill(records, begin));
  if (batch_.size() == 0) {
    return end;
  }
  const Result<bool> sent = Send(batch_.TakeOutputs());
  if (sent.ok() && !*sent) {
    return begin;
  }
  Status status = sent.status();
  if (status.ok()) {
    const Result<std::vector<kafka::Position>> positions =
        producer_->Commit(*consumer_, batch_.NextOffsets());
    if (positions.ok()) {
      DEALSTREAM_RETURN_IF_ERROR(KeepCommitted(*positions));
      counters_.CountCommitted(batch_.ended(), clock_.Now());
      batch_limit_ = std::min(2 * batch_limit_, options_.batch_records);
      for (const auto& source : sources_) {
        refused_.erase(source);
      }
      return end;
    }
    status = positions.status();
  }
  AfterFailure(status);
  return records.size();
}

Result<bool> Pipeline::Send(std::vector<Batch::Output> outputs) {
  state_begin_ = outputs.size();
  DEALSTREAM_RETURN_IF_ERROR(producer_->Begin());
  for (size_t i = 0; i < outputs.size(); ++i) {
    const size_t source = outputs[i].source;
    if (source == std::string::npos) {
      state_begin_ = std::min(state_begin_, i);
    }
    const Status status = producer_->Send(std::move(outputs[i].record));
    if (absl::IsInvalidArgument(status) && source != std::string::npos) {
      const auto& [partition, offset] = sources_[source];
      obs::Error(
          "output_refused", status.ToString(), {{"partition", partition}, {"offset", offset}});
      const bool was_letter = !refused_.emplace(sources_[source], ToStd(status.message())).second;
      DEALSTREAM_RETURN_IF_ERROR(producer_->Abort());
      if (was_letter) {
        // There is no way past it: tried again after a pause, as whatever fails.
        return absl::InternalError(fmt::format(
            "the dead letter of a refused output was refused, too: {}", ToStd(status.message())));
      }
      return false;
    }
    DEALSTREAM_RETURN_IF_ERROR(status);
  }
  return true;
}

Status Pipeline::KeepCommitted(const std::vector<kafka::Position>& positions) {
  std::map<int32_t, int64_t> next;
  for (size_t i = state_begin_; i < positions.size(); ++i) {
    int64_t& offset = next[positions[i].partition];
    offset = std::max(offset, positions[i].offset + 1);
  }
  std::vector<kafka::Position> checkpoints;
  for (const auto& [partition, offset] : next) {
    checkpoints.push_back({partition, offset});
  }
  return store_.Apply(batch_.TakeWrites(), checkpoints);
}

void Pipeline::AfterFailure(const Status& status) {
  if (absl::IsInvalidArgument(status)) {
    // The brokers refuse one of the records: find it, and let it pass as a dead letter.
    if (batch_.size() == 1) {
      refused_[sources_.front()] = ToStd(status.message());
    }
    batch_limit_ = std::max<size_t>(1, batch_.size() / 2);
  }
  restorer_.Cancel();
  for (auto& [partition, state] : partitions_) {
    state = {.phase = Phase::kAssigned, .rewind = true};
    if (const Status paused = consumer_->Pause(Input(partition)); !paused.ok()) {
      obs::Warn("kafka_pause_failed", paused.ToString());
    }
  }
  settled_ = false;
  restore_began_ = clock_.Now();
  restored_records_ = 0;
  ShowReadiness();
  Wait("transaction_failed", status);
}

}  // namespace dealstream::normalizer
