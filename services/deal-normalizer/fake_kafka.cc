#include "services/deal-normalizer/fake_kafka.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

namespace dealstream::normalizer {
namespace {

Status Failure() { return absl::UnavailableError("fake: told to fail"); }

template <typename T>
T MakeFailure() {
  return Failure();
}

}  // namespace

int64_t FakeKafka::Log::stable_end() const {
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].kind == Kind::kOpen) {
      return earliest + static_cast<int64_t>(i);
    }
  }
  return end();
}

template <typename Action>
auto FakeKafka::Operate(std::string_view operation, Action action) -> decltype(action()) {
  using Answer = decltype(action());
  const Fault fault = on_operation ? on_operation(operation) : Fault::kNone;
  if (fault == Fault::kKilledBefore) {
    throw Killed();
  }
  if (fault == Fault::kFails) {
    return MakeFailure<Answer>();
  }
  Answer answer = action();
  if (fault == Fault::kKilledAfter) {
    throw Killed();
  }
  if (fault == Fault::kDoneButFails) {
    return MakeFailure<Answer>();
  }
  return answer;
}

void FakeKafka::AddTopic(const std::string& name, int partitions) {
  const std::lock_guard lock(mutex_);
  topics_[name] = partitions;
  for (int32_t partition = 0; partition < partitions; ++partition) {
    logs_[{name, partition}];
  }
}

void FakeKafka::Append(kafka::InRecord record) {
  const std::lock_guard lock(mutex_);
  Log& log = LogOf({record.topic, record.partition});
  record.offset = log.end();
  log.entries.push_back({std::move(record), Kind::kCommitted, 0});
}

void FakeKafka::Recreate(const std::string& topic) {
  const std::lock_guard lock(mutex_);
  for (auto& [partition, log] : logs_) {
    if (partition.topic == topic) {
      log = Log();
    }
  }
}

void FakeKafka::Truncate(const kafka::TopicPartition& partition, int64_t earliest) {
  const std::lock_guard lock(mutex_);
  Log& log = LogOf(partition);
  log.entries.erase(log.entries.begin(), log.entries.begin() + (earliest - log.earliest));
  log.earliest = earliest;
}

std::vector<kafka::InRecord> FakeKafka::Read(const std::string& topic) const {
  const std::lock_guard lock(mutex_);
  std::vector<kafka::InRecord> records;
  for (const auto& [partition, log] : logs_) {
    if (partition.topic != topic) {
      continue;
    }
    for (const Entry& entry : log.entries) {
      if (entry.kind == Kind::kCommitted) {
        records.push_back(entry.record);
      }
    }
  }
  return records;
}

int64_t FakeKafka::CommittedOffset(const kafka::TopicPartition& partition) const {
  const std::lock_guard lock(mutex_);
  const auto found = committed_.find(partition);
  return found == committed_.end() ? -1 : found->second;
}

int64_t FakeKafka::End(const kafka::TopicPartition& partition) const {
  const std::lock_guard lock(mutex_);
  return logs_.at(partition).end();
}

void FakeKafka::Rebalance() {
  const std::lock_guard lock(mutex_);
  ++generation_;
}

void FakeKafka::SetMaxBytes(const std::string& topic, size_t bytes, bool late) {
  const std::lock_guard lock(mutex_);
  max_bytes_[topic] = bytes;
  refuse_late_ = late;
}

void FakeKafka::EndTransaction(int64_t writer, bool commit) {
  for (auto& [partition, log] : logs_) {
    bool touched = false;
    for (Entry& entry : log.entries) {
      if (entry.writer == writer && entry.kind == Kind::kOpen) {
        entry.kind = commit ? Kind::kCommitted : Kind::kAborted;
        touched = true;
      }
    }
    if (touched) {
      log.entries.push_back({{}, Kind::kMarker, writer});
    }
  }
}

// ---- Clients -----------------------------------------------------------------------------------

class FakeConsumer final : public kafka::Consumer {
 public:
  FakeConsumer(FakeKafka& kafka,
               std::string topic,
               int64_t member,
               Clients::OnAssigned on_assigned,
               Clients::OnRevoked on_revoked)
      : kafka_(kafka),
        topic_(std::move(topic)),
        member_(member),
        on_assigned_(std::move(on_assigned)),
        on_revoked_(std::move(on_revoked)) {}

  Result<std::vector<kafka::InRecord>> Poll(size_t max, absl::Duration) override {
    ServeRebalance();
    std::vector<kafka::InRecord> records;
    {
      const std::lock_guard lock(kafka_.mutex_);
      for (auto& [partition, position] : positions_) {
        const FakeKafka::Log& log = kafka_.LogOf(partition);
        position = std::max(position, log.earliest);
        while (!paused_.contains(partition) && position < log.stable_end() &&
               records.size() < max) {
          const auto& entry = log.entries[static_cast<size_t>(position - log.earliest)];
          if (entry.kind == FakeKafka::Kind::kCommitted) {
            records.push_back(entry.record);
          }
          ++position;
        }
      }
    }
    if (records.empty()) {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    return records;
  }

  Status Pause(const kafka::TopicPartition& partition) override {
    paused_.insert(partition);
    return absl::OkStatus();
  }
  Status Resume(const kafka::TopicPartition& partition) override {
    paused_.erase(partition);
    return absl::OkStatus();
  }
  Status Seek(const kafka::TopicPartition& partition, int64_t offset) override {
    return kafka_.Operate("seek", [&]() -> Status {
      positions_[partition] = offset;
      return absl::OkStatus();
    });
  }
  Status Commit(const kafka::Offsets&) override { return absl::UnimplementedError("fake"); }
  std::vector<std::pair<kafka::TopicPartition, int64_t>> Lag() override { return {}; }
  Result<kafka::Offsets> Committed(const std::vector<kafka::TopicPartition>& partitions) override {
    return kafka_.Operate("committed", [&]() -> Result<kafka::Offsets> {
      kafka::Offsets offsets;
      for (const auto& partition : partitions) {
        offsets.emplace_back(partition, kafka_.CommittedOffset(partition));
      }
      return offsets;
    });
  }
  const std::string& group() const override { return topic_; }

  // Of the transaction's group metadata.
  bool IsMember() const { return kafka_.owner_ == member_ && kafka_.generation_ == generation_; }

 private:
  void* Handle() override { return nullptr; }

  void ServeRebalance() {
    std::vector<kafka::TopicPartition> revoked;
    std::vector<kafka::TopicPartition> assigned;
    {
      const std::lock_guard lock(kafka_.mutex_);
      if (kafka_.generation_ == generation_) {
        return;
      }
      for (const auto& [partition, position] : positions_) {
        revoked.push_back(partition);
      }
      generation_ = kafka_.generation_;
      positions_.clear();
      paused_.clear();
      if (kafka_.owner_ == member_) {
        for (int32_t i = 0; i < kafka_.topics_.at(topic_); ++i) {
          const kafka::TopicPartition partition{topic_, i};
          const auto found = kafka_.committed_.find(partition);
          positions_[partition] = found == kafka_.committed_.end() ? 0 : found->second;
          assigned.push_back(partition);
        }
      }
    }
    if (!revoked.empty()) {
      on_revoked_(revoked, false);
    }
    if (!assigned.empty()) {
      on_assigned_(assigned);
    }
  }

  FakeKafka& kafka_;
  const std::string topic_;
  const int64_t member_;
  const Clients::OnAssigned on_assigned_;
  const Clients::OnRevoked on_revoked_;
  int64_t generation_ = 0;
  std::map<kafka::TopicPartition, int64_t> positions_;
  std::set<kafka::TopicPartition> paused_;
};

class FakeProducer final : public kafka::TransactionalProducer {
 public:
  FakeProducer(FakeKafka& kafka, std::string id) : kafka_(kafka), id_(std::move(id)) {}

  Status Begin() override {
    return kafka_.Operate("begin", [this]() -> Status {
      const std::lock_guard lock(kafka_.mutex_);
      if (epoch_ == 0) {
        // The initialisation: ends what an earlier client of this id left open.
        int64_t& epoch = kafka_.epochs_[id_];
        kafka_.EndTransaction(epoch, /*commit=*/false);
        epoch = epoch_ = ++kafka_.last_epoch_;
      }
      positions_.clear();
      refused_ = false;
      return Fenced();
    });
  }

  Status Send(kafka::OutRecord record) override {
    return kafka_.Operate("send", [&]() -> Status {
      const std::lock_guard lock(kafka_.mutex_);
      const auto most = kafka_.max_bytes_.find(record.topic);
      if (most != kafka_.max_bytes_.end() && record.value.has_value() &&
          record.value->size() > most->second) {
        if (!kafka_.refuse_late_) {
          return absl::InvalidArgumentError("fake: too large");
        }
        refused_ = true;
      }
      DEALSTREAM_RETURN_IF_ERROR(Fenced());
      const int32_t partitions = kafka_.topics_.at(record.topic);
      const int32_t partition = record.partition >= 0
                                    ? record.partition
                                    : static_cast<int32_t>(std::hash<std::string>()(record.key) %
                                                           static_cast<size_t>(partitions));
      FakeKafka::Log& log = kafka_.LogOf({record.topic, partition});
      positions_.push_back({partition, log.end()});
      log.entries.push_back({{record.topic,
                              partition,
                              log.end(),
                              std::move(record.key),
                              std::move(record.value),
                              std::move(record.headers),
                              absl::UnixEpoch()},
                             FakeKafka::Kind::kOpen,
                             epoch_});
      return absl::OkStatus();
    });
  }

  Result<std::vector<kafka::Position>> Commit(kafka::Consumer& consumer,
                                              const kafka::Offsets& offsets) override {
    return kafka_.Operate("commit", [&]() -> Result<std::vector<kafka::Position>> {
      const std::lock_guard lock(kafka_.mutex_);
      DEALSTREAM_RETURN_IF_ERROR(Fenced());
      if (refused_) {
        return absl::InvalidArgumentError("fake: a record was too large");
      }
      if (!static_cast<const FakeConsumer&>(consumer).IsMember()) {
        return absl::AbortedError("fake: not the group's generation");
      }
      kafka_.EndTransaction(epoch_, /*commit=*/true);
      for (const auto& [partition, offset] : offsets) {
        kafka_.committed_[partition] = offset;
      }
      return std::exchange(positions_, {});
    });
  }

  Status Abort() override {
    return kafka_.Operate("abort", [this]() -> Status {
      const std::lock_guard lock(kafka_.mutex_);
      if (Fenced().ok()) {
        kafka_.EndTransaction(epoch_, /*commit=*/false);
      }
      // A client made anew.
      epoch_ = 0;
      return absl::OkStatus();
    });
  }

 private:
  Status Fenced() const {
    return kafka_.epochs_[id_] == epoch_ ? absl::OkStatus() : absl::AbortedError("fake: fenced");
  }

  FakeKafka& kafka_;
  const std::string id_;
  int64_t epoch_ = 0;
  bool refused_ = false;
  std::vector<kafka::Position> positions_;
};

Clients FakeKafka::MakeClients(const std::string& transactional_id, const std::string& topic) {
  Clients clients;
  clients.make_consumer =
      [this, topic](Clients::OnAssigned on_assigned,
                    Clients::OnRevoked on_revoked) -> Result<std::unique_ptr<kafka::Consumer>> {
    const std::lock_guard lock(mutex_);
    owner_ = ++last_member_;
    ++generation_;
    return std::make_unique<FakeConsumer>(
        *this, topic, owner_, std::move(on_assigned), std::move(on_revoked));
  };
  clients.make_producer =
      [this, transactional_id]() -> Result<std::unique_ptr<kafka::TransactionalProducer>> {
    return std::make_unique<FakeProducer>(*this, transactional_id);
  };
  clients.read_range = [this](const kafka::ReadRangeOptions& options) {
    return Operate("read_range", [&]() -> Result<kafka::ReadRangeResult> {
      const std::lock_guard lock(mutex_);
      const Log& log = LogOf(options.partition);
      if (options.from > log.end()) {
        return absl::OutOfRangeError("fake: ends before");
      }
      kafka::ReadRangeResult result;
      result.earliest = log.earliest;
      result.next = std::max(options.from, log.earliest);
      for (; result.next < log.stable_end(); ++result.next) {
        const Entry& entry = log.entries[static_cast<size_t>(result.next - log.earliest)];
        if (entry.kind == Kind::kCommitted) {
          options.on_record(entry.record);
        }
      }
      return result;
    });
  };
  clients.partition_counts =
      [this](const std::vector<std::string>& topics) -> Result<std::vector<int>> {
    const std::lock_guard lock(mutex_);
    std::vector<int> counts;
    for (const std::string& name : topics) {
      const auto found = topics_.find(name);
      if (found == topics_.end()) {
        return absl::NotFoundError("fake: no topic " + name);
      }
      counts.push_back(found->second);
    }
    return counts;
  };
  return clients;
}

// ---- Disk --------------------------------------------------------------------------------------

namespace {

class DiskUser final : public kv::Store {
 public:
  explicit DiskUser(FakeDisk& disk) : disk_(disk) {}
  Result<bool> Get(std::string_view key, std::string& value) const override {
    return disk_.store().Get(key, value);
  }
  Status Apply(const std::vector<kv::Write>& writes) override {
    const Fault fault = disk_.on_apply ? disk_.on_apply() : Fault::kNone;
    if (fault == Fault::kKilledBefore) {
      throw Killed();
    }
    if (fault == Fault::kFails) {
      return Failure();
    }
    const Status status = disk_.store().Apply(writes);
    if (fault == Fault::kKilledAfter) {
      throw Killed();
    }
    return status;
  }
  Status RemovePrefix(std::string_view prefix) override {
    return disk_.store().RemovePrefix(prefix);
  }
  Status Scan(std::string_view prefix,
              const std::function<bool(std::string_view, std::string_view)>& visit) const override {
    return disk_.store().Scan(prefix, visit);
  }
  int64_t EstimateKeys() const override { return disk_.store().EstimateKeys(); }

 private:
  FakeDisk& disk_;
};

}  // namespace

FakeDisk::FakeDisk() : store_(kv::MakeMemoryStore()) {}

std::unique_ptr<kv::Store> FakeDisk::Open() { return std::make_unique<DiskUser>(*this); }

void FakeDisk::Wipe() { store_ = kv::MakeMemoryStore(); }

}  // namespace dealstream::normalizer
