#include "services/deal-normalizer/restorer.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "libs/obs/log.h"

namespace dealstream::normalizer {
namespace {

constexpr size_t kChunk = 2'000;
// One reading lasts at most this long, so that stopping doesn't wait for a long one; it grows when
// nothing came of it.
constexpr absl::Duration kFirstLimit = absl::Seconds(5);
constexpr absl::Duration kMostLimit = absl::Minutes(2);

// Gathers what is read and writes it in chunks, each with how far it has come.
class Writer {
 public:
  Writer(StateStore& store, int32_t partition) : store_(store), partition_(partition) {}

  void Take(const kafka::InRecord& record) {
    ++records_;
    next_ = record.offset + 1;
    if (!record.key.empty()) {
      writes_.push_back({StateStore::EntityKey(partition_, record.key), record.value});
    }
    if (writes_.size() >= kChunk && status_.ok()) {
      status_ = Flush();
    }
  }

  Status Flush() {
    if (next_ < 0) {
      return absl::OkStatus();
    }
    return store_.Apply(std::exchange(writes_, {}), {{partition_, next_}});
  }

  // Markers of transactions lie behind the last record.
  void SetNext(int64_t next) { next_ = next; }
  const Status& status() const { return status_; }
  int64_t records() const { return records_; }

 private:
  StateStore& store_;
  const int32_t partition_;
  std::vector<kv::Write> writes_;
  int64_t next_ = -1;
  int64_t records_ = 0;
  Status status_;
};

}  // namespace

Result<Restored> RestorePartition(StateStore& store,
                                  const Clients& clients,
                                  const std::string& state_topic,
                                  int32_t partition,
                                  absl::Duration limit,
                                  const Clock& clock) {
  const absl::Time start = clock.Now();
  DEALSTREAM_ASSIGN_OR_RETURN(const std::optional<int64_t> checkpoint, store.Checkpoint(partition));
  Writer writer(store, partition);
  kafka::ReadRangeOptions range;
  range.partition = {state_topic, partition};
  range.from = checkpoint.value_or(-1);
  range.on_record = [&writer](const kafka::InRecord& record) { writer.Take(record); };
  range.timeout = limit;
  // The former owner's offsets are known to be committed, but the same transaction's end may reach
  // this partition a moment later.
  range.past_open_transactions = true;
  const Result<kafka::ReadRangeResult> read = clients.read_range(range);
  const bool other_topic = checkpoint.has_value() &&
                           (read.ok() ? read->earliest > *checkpoint || read->next < *checkpoint
                                      : absl::IsOutOfRange(read.status()));
  if (other_topic) {
    obs::Warn("state_forgotten",
              "The state topic doesn't continue the local state: it is read from its beginning.",
              {{"topic", state_topic}, {"partition", partition}, {"checkpoint", *checkpoint}});
    DEALSTREAM_RETURN_IF_ERROR(store.Forget(partition));
    return absl::DeadlineExceededError("state restore: begins anew");
  }
  DEALSTREAM_RETURN_IF_ERROR(writer.status());
  if (read.ok()) {
    writer.SetNext(read->next);
  }
  DEALSTREAM_RETURN_IF_ERROR(writer.Flush());
  DEALSTREAM_RETURN_IF_ERROR(read.status());
  return Restored{writer.records(), clock.Now() - start};
}

Restorer::Restorer(StateStore& store,
                   const Clients& clients,
                   std::string state_topic,
                   absl::Duration pause,
                   const Clock& clock)
    : store_(store),
      clients_(clients),
      state_topic_(std::move(state_topic)),
      pause_(pause),
      clock_(clock),
      thread_([this] { Run(); }) {}

Restorer::~Restorer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Restorer::Add(int32_t partition) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back({partition, generation_});
  }
  changed_.notify_all();
}

void Restorer::Cancel() {
  const std::lock_guard lock(mutex_);
  ++generation_;
  jobs_.clear();
  done_.clear();
}

std::vector<Restorer::Done> Restorer::TakeDone() {
  const std::lock_guard lock(mutex_);
  return std::exchange(done_, {});
}

void Restorer::Run() {
  while (true) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) {
        return;
      }
      job = jobs_.front();
      jobs_.pop_front();
    }
    Restore(job);
  }
}

bool Restorer::Wanted(const Job& job) {
  const std::lock_guard lock(mutex_);
  return !stopping_ && job.generation == generation_;
}

void Restorer::Restore(const Job& job) {
  absl::Duration limit = kFirstLimit;
  while (Wanted(job)) {
    const Result<Restored> restored =
        RestorePartition(store_, clients_, state_topic_, job.partition, limit, clock_);
    if (restored.ok()) {
      const std::lock_guard lock(mutex_);
      if (job.generation == generation_) {
        done_.push_back({job.partition, *restored});
      }
      return;
    }
    if (absl::IsDeadlineExceeded(restored.status())) {
      limit = std::min(2 * limit, kMostLimit);
      continue;
    }
    obs::Warn("state_restore_failed",
              restored.status().ToString(),
              {{"topic", state_topic_}, {"partition", job.partition}});
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, absl::ToChronoMilliseconds(pause_), [this] { return stopping_; });
  }
}

}  // namespace dealstream::normalizer
