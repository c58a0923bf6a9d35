#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "prometheus/counter.h"
#include "prometheus/gauge.h"

#include "libs/kafka/client.h"
#include "libs/kafka/consumer_access.h"
#include "libs/kafka/kafka.h"
#include "libs/kafka/testing_hooks.h"
#include "libs/obs/log.h"

namespace dealstream::kafka {
namespace {

using internal::Handle;
using internal::List;

constexpr int kSeekMs = 10'000;
constexpr int kCommittedMs = 10'000;
// On assignment only: where the lag is counted from before the first record has come.
constexpr int kPositionMs = 3'000;
constexpr int64_t kUnknown = -1;
// Of keys and values given out by one Poll: records are of up to 3 MiB, and callers ask for many.
constexpr size_t kPollBytes = 16 << 20;

class ConsumerImpl final : public Consumer, private internal::Events {
 public:
  ConsumerImpl(Options options, obs::Metrics& metrics)
      : internal::Events(internal::Role::kConsumer, &metrics),
        options_(std::move(options)),
        group_(internal::FullName(options_.client, options_.group)),
        metrics_(metrics),
        rebalances_(metrics.GetCounter("kafka_rebalances_total")) {
    for (const std::string& topic : options_.topics) {
      topics_.emplace(internal::FullName(options_.client, topic),
                      Topic{topic, metrics.GetCounter("kafka_consumed_total", {{"topic", topic}})});
    }
  }

  ~ConsumerImpl() override {
    if (handle_ == nullptr) {
      return;
    }
    // Calls OnRebalance for the last time.
    const Status closed =
        internal::ToStatus(rd_kafka_consumer_close(handle_.get()), "kafka consumer close");
    if (closed.ok()) {
      return;
    }
    obs::Warn("kafka_consumer_close", closed.ToString());
    // After a fatal error the client refuses to close: there is no last rebalance, and a plain
    // destroy would wait for one for ever.
    ForgetAssigned();
    rd_kafka_destroy_flags(handle_.release(), RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  }

  // For tests: as if the broker had given a reason to stop for good.
  void FailFatally() {
    rd_kafka_test_fatal_error(
        handle_.get(), RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, "asked for by a test");
  }

  Status Start() {
    internal::Conf conf(internal::Role::kConsumer, options_.client, this);
    conf.Set("group.id", group_);
    // cooperative-sticky has faults in this version of the library.
    conf.Set("partition.assignment.strategy", "range");
    conf.Set("max.poll.interval.ms", 300'000);
    if (options_.client.embedded_broker) {
      // It knows no static members, and each rebalance waits out the session less a second.
      conf.Set("session.timeout.ms", 4'000);
      conf.Set("heartbeat.interval.ms", 500);
    } else if (options_.instance_id.empty()) {
      conf.Set("session.timeout.ms", 45'000);
    } else {
      conf.Set("group.instance.id", options_.instance_id);
      conf.Set("session.timeout.ms", 20'000);
    }
    DEALSTREAM_ASSIGN_OR_RETURN(handle_, conf.Build());
    rd_kafka_poll_set_consumer(handle_.get());
    const List list(rd_kafka_topic_partition_list_new(static_cast<int>(topics_.size())));
    for (const auto& [full, topic] : topics_) {
      rd_kafka_topic_partition_list_add(list.get(), full.c_str(), RD_KAFKA_PARTITION_UA);
    }
    return internal::ToStatus(rd_kafka_subscribe(handle_.get(), list.get()), "kafka subscribe");
  }

  Result<std::vector<InRecord>> Poll(size_t max, absl::Duration wait) override {
    std::vector<InRecord> records;
    if (error_.has_value()) {
      return *std::exchange(error_, std::nullopt);
    }
    const absl::Time until = absl::Now() + wait;
    size_t bytes = 0;
    while (records.size() < max && bytes < kPollBytes) {
      const int timeout_ms = records.empty() ? static_cast<int>(absl::ToInt64Milliseconds(std::max(
                                                   absl::ZeroDuration(), until - absl::Now())))
                                             : 0;
      const internal::Message message(rd_kafka_consumer_poll(handle_.get(), timeout_ms));
      if (fatal()) {
        KeepError(absl::AbortedError("kafka consumer: a fatal error; make the client anew"));
        break;
      }
      if (message == nullptr) {
        break;
      }
      if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        KeepError(internal::ToStatus(
            message->err,
            fmt::format("kafka consumer {}: {}", group_, rd_kafka_message_errstr(message.get()))));
        break;
      }
      bytes += message->key_len + message->len;
      Take(*message, records);
    }
    Publish(records);
    if (records.empty() && error_.has_value()) {
      return *std::exchange(error_, std::nullopt);
    }
    return records;
  }

  Status Pause(const TopicPartition& partition) override {
    if (assigning_) {
      pause_when_assigned_.push_back(partition);
      return absl::OkStatus();
    }
    const List list = OneList(partition, RD_KAFKA_OFFSET_INVALID);
    return PartitionStatus(rd_kafka_pause_partitions(handle_.get(), list.get()), *list, "pause");
  }

  Status Resume(const TopicPartition& partition) override {
    if (assigning_) {
      pause_when_assigned_.erase(
          std::remove(pause_when_assigned_.begin(), pause_when_assigned_.end(), partition),
          pause_when_assigned_.end());
      return absl::OkStatus();
    }
    const List list = OneList(partition, RD_KAFKA_OFFSET_INVALID);
    return PartitionStatus(rd_kafka_resume_partitions(handle_.get(), list.get()), *list, "resume");
  }

  Status Seek(const TopicPartition& partition, int64_t offset) override {
    if (assigning_) {
      start_[partition] = offset;
      return absl::OkStatus();
    }
    const List list = OneList(partition, offset);
    DEALSTREAM_RETURN_IF_ERROR(internal::ToStatus(
        rd_kafka_seek_partitions(handle_.get(), list.get(), kSeekMs), "kafka seek"));
    DEALSTREAM_RETURN_IF_ERROR(PartitionStatus(RD_KAFKA_RESP_ERR_NO_ERROR, *list, "seek"));
    const std::lock_guard lock(mutex_);
    if (const auto found = assigned_.find(partition); found != assigned_.end()) {
      found->second.position = offset;
    }
    return absl::OkStatus();
  }

  Status Commit(const Offsets& offsets) override {
    if (offsets.empty()) {
      return absl::OkStatus();
    }
    const List list = ToList(offsets);
    DEALSTREAM_RETURN_IF_ERROR(internal::ToStatus(
        rd_kafka_commit(handle_.get(), list.get(), /*async=*/0), "kafka commit"));
    return PartitionStatus(RD_KAFKA_RESP_ERR_NO_ERROR, *list, "commit");
  }

  std::vector<std::pair<TopicPartition, int64_t>> Lag() override {
    std::vector<std::pair<TopicPartition, int64_t>> lags;
    const std::lock_guard lock(mutex_);
    for (const auto& [partition, state] : assigned_) {
      lags.emplace_back(partition, LagOf(partition, state));
    }
    return lags;
  }

  Result<Offsets> Committed(const std::vector<TopicPartition>& partitions) override {
    return ReadCommitted(partitions, kCommittedMs);
  }

  const std::string& group() const override { return options_.group; }

 private:
  struct Topic {
    std::string name;
    prometheus::Counter& consumed;
  };
  struct Assigned {
    // Next offset to be given out by Poll; kUnknown before the first record of a new group.
    int64_t position = kUnknown;
    prometheus::Gauge* lag = nullptr;
  };

  void* Handle() override { return handle_.get(); }

  void KeepError(Status status) { error_ = std::move(status); }

  void Take(const rd_kafka_message_t& message, std::vector<InRecord>& records) {
    const auto topic = topics_.find(rd_kafka_topic_name(message.rkt));
    if (topic == topics_.end()) {
      return;
    }
    records.push_back(internal::ToRecord(message, topic->second.name));
  }

  // Counters and positions, once a batch.
  void Publish(const std::vector<InRecord>& records) {
    const std::lock_guard lock(mutex_);
    for (size_t i = 0; i < records.size();) {
      // Records of one partition mostly come in a row.
      size_t end = i + 1;
      while (end < records.size() && records[end].partition == records[i].partition &&
             records[end].topic == records[i].topic) {
        ++end;
      }
      topics_.find(internal::FullName(options_.client, records[i].topic))
          ->second.consumed.Increment(static_cast<double>(end - i));
      const auto found = assigned_.find({records[i].topic, records[i].partition});
      if (found != assigned_.end()) {
        found->second.position = records[end - 1].offset + 1;
      }
      i = end;
    }
  }

  List ToList(const Offsets& offsets) const {
    List list(rd_kafka_topic_partition_list_new(static_cast<int>(offsets.size())));
    for (const auto& [partition, offset] : offsets) {
      rd_kafka_topic_partition_list_add(
          list.get(),
          internal::FullName(options_.client, partition.topic).c_str(),
          partition.partition)
          ->offset = offset;
    }
    return list;
  }

  List OneList(const TopicPartition& partition, int64_t offset) const {
    return ToList({{partition, offset}});
  }

  static Status PartitionStatus(rd_kafka_resp_err_t err,
                                const rd_kafka_topic_partition_list_t& list,
                                std::string_view what) {
    for (int i = 0; i < list.cnt && err == RD_KAFKA_RESP_ERR_NO_ERROR; ++i) {
      err = list.elems[i].err;
    }
    return internal::ToStatus(err, fmt::format("kafka {}", what));
  }

  std::vector<TopicPartition> FromList(const rd_kafka_topic_partition_list_t& list) const {
    std::vector<TopicPartition> partitions;
    for (int i = 0; i < list.cnt; ++i) {
      partitions.push_back(
          {internal::ShortName(options_.client, list.elems[i].topic), list.elems[i].partition});
    }
    return partitions;
  }

  Result<Offsets> ReadCommitted(const std::vector<TopicPartition>& partitions, int timeout_ms) {
    Offsets wanted;
    for (const TopicPartition& partition : partitions) {
      wanted.emplace_back(partition, RD_KAFKA_OFFSET_INVALID);
    }
    const List list = ToList(wanted);
    DEALSTREAM_RETURN_IF_ERROR(internal::ToStatus(
        rd_kafka_committed(handle_.get(), list.get(), timeout_ms), "kafka committed"));
    DEALSTREAM_RETURN_IF_ERROR(PartitionStatus(RD_KAFKA_RESP_ERR_NO_ERROR, *list, "committed"));
    Offsets offsets;
    for (int i = 0; i < list->cnt; ++i) {
      offsets.emplace_back(partitions[static_cast<size_t>(i)],
                           std::max<int64_t>(kUnknown, list->elems[i].offset));
    }
    return offsets;
  }

  int64_t LagOf(const TopicPartition& partition, const Assigned& state) const {
    int64_t low = 0;
    int64_t high = 0;
    const rd_kafka_resp_err_t err =
        rd_kafka_get_watermark_offsets(handle_.get(),
                                       internal::FullName(options_.client, partition.topic).c_str(),
                                       partition.partition,
                                       &low,
                                       &high);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR || high < 0) {
      // Not fetched from yet.
      return 0;
    }
    return std::max<int64_t>(0, high - std::max(state.position, std::max<int64_t>(low, 0)));
  }

  void OnStatistics() override {
    const std::lock_guard lock(mutex_);
    for (auto& [partition, state] : assigned_) {
      state.lag->Set(static_cast<double>(LagOf(partition, state)));
    }
  }

  void OnRebalance(rd_kafka_t* handle,
                   rd_kafka_resp_err_t err,
                   rd_kafka_topic_partition_list_t* partitions) override {
    if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
      rebalances_.Increment();
      Assign(partitions);
      return;
    }
    if (err != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
      obs::Warn("kafka_rebalance_failed", rd_kafka_err2str(err), {{"group", group_}});
    }
    Revoke(handle, partitions);
  }

  void Assign(rd_kafka_topic_partition_list_t* partitions) {
    const std::vector<TopicPartition> assigned = FromList(*partitions);
    obs::Info("kafka_assigned",
              "Partitions have been assigned.",
              {{"group", group_}, {"partitions", assigned.size()}});
    Remember(assigned);
    assigning_ = true;
    start_.clear();
    pause_when_assigned_.clear();
    if (options_.on_assigned) {
      options_.on_assigned(assigned);
    }
    assigning_ = false;
    for (int i = 0; i < partitions->cnt; ++i) {
      const auto start = start_.find(assigned[static_cast<size_t>(i)]);
      if (start != start_.end()) {
        partitions->elems[i].offset = start->second;
        const std::lock_guard lock(mutex_);
        assigned_[start->first].position = start->second;
      }
    }
    const Status status =
        internal::ToStatus(rd_kafka_assign(handle_.get(), partitions), "kafka assign");
    if (!status.ok()) {
      KeepError(status);
      return;
    }
    for (const TopicPartition& partition : pause_when_assigned_) {
      if (const Status paused = Pause(partition); !paused.ok()) {
        KeepError(paused);
      }
    }
  }

  void Remember(const std::vector<TopicPartition>& assigned) {
    const Result<Offsets> committed = ReadCommitted(assigned, kPositionMs);
    const std::lock_guard lock(mutex_);
    assigned_.clear();
    for (size_t i = 0; i < assigned.size(); ++i) {
      Assigned state;
      state.position = committed.ok() ? (*committed)[i].second : kUnknown;
      state.lag = &metrics_.GetGauge(
          "kafka_consumer_lag_messages",
          {{"topic", assigned[i].topic}, {"partition", std::to_string(assigned[i].partition)}});
      assigned_[assigned[i]] = state;
    }
  }

  void Revoke(rd_kafka_t* handle, rd_kafka_topic_partition_list_t* partitions) {
    const std::vector<TopicPartition> revoked = FromList(*partitions);
    const bool lost = rd_kafka_assignment_lost(handle) != 0;
    obs::Info("kafka_revoked",
              lost ? "Partitions have been lost." : "Partitions have been revoked.",
              {{"group", group_}, {"partitions", revoked.size()}});
    if (options_.on_revoked) {
      options_.on_revoked(revoked, lost);
    }
    rd_kafka_assign(handle, nullptr);
    const std::lock_guard lock(mutex_);
    for (auto& [partition, state] : assigned_) {
      state.lag->Set(0);
    }
    assigned_.clear();
  }

  // What no rebalance has taken away is lost: the caller must not go on with it.
  void ForgetAssigned() {
    std::vector<TopicPartition> left;
    {
      const std::lock_guard lock(mutex_);
      for (auto& [partition, state] : assigned_) {
        state.lag->Set(0);
        left.push_back(partition);
      }
      assigned_.clear();
    }
    if (!left.empty() && options_.on_revoked) {
      options_.on_revoked(left, /*lost=*/true);
    }
  }

  const Options options_;
  const std::string group_;
  obs::Metrics& metrics_;
  prometheus::Counter& rebalances_;
  // By full name.
  std::map<std::string, Topic, std::less<>> topics_;
  // Given out by the next Poll.
  std::optional<Status> error_;
  // Within on_assigned: what the callback asks for is done when it returns.
  bool assigning_ = false;
  std::map<TopicPartition, int64_t> start_;
  std::vector<TopicPartition> pause_when_assigned_;

  std::mutex mutex_;
  std::map<TopicPartition, Assigned> assigned_;

  // The client last. Add new fields above.
  internal::Handle handle_;
};

}  // namespace

Result<std::unique_ptr<Consumer>> Consumer::Create(Options options, obs::Metrics& metrics) {
  auto consumer = std::make_unique<ConsumerImpl>(std::move(options), metrics);
  DEALSTREAM_RETURN_IF_ERROR(consumer->Start());
  return consumer;
}

namespace internal {

void FailFatallyForTest(Consumer& consumer) { static_cast<ConsumerImpl&>(consumer).FailFatally(); }

}  // namespace internal

}  // namespace dealstream::kafka
