#include <algorithm>
#include <memory>
#include <unordered_map>
#include <utility>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "prometheus/counter.h"
#include "prometheus/histogram.h"

#include "libs/kafka/client.h"
#include "libs/kafka/consumer_access.h"
#include "libs/kafka/kafka.h"
#include "libs/kafka/outgoing.h"
#include "libs/obs/log.h"

namespace dealstream::kafka {
namespace {

using internal::List;
using internal::Topic;

constexpr absl::Duration kStepLimit = absl::Seconds(10);

int ToMillis(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(duration));
}

// A delivery report's opaque: the transaction it belongs to and the record's place in it.
void* ToOpaque(uint32_t transaction, uint32_t index) {
  return reinterpret_cast<void*>((static_cast<uint64_t>(transaction) << 32) | index);  // NOLINT
}

class TransactionalProducerImpl final : public TransactionalProducer, private internal::Events {
 public:
  TransactionalProducerImpl(Options options, obs::Metrics& metrics)
      : internal::Events(internal::Role::kTransactional, &metrics),
        options_(std::move(options)),
        metrics_(metrics),
        restarts_(metrics.GetCounter("kafka_client_restarts_total", {{"reason", "transaction"}})),
        committed_(metrics.GetCounter("kafka_transactions_total", {{"outcome", "committed"}})),
        aborted_(metrics.GetCounter("kafka_transactions_total", {{"outcome", "aborted"}})),
        seconds_(metrics.GetHistogram("kafka_transaction_seconds")) {}

  ~TransactionalProducerImpl() override { Drop(); }

  Status CheckOptions() {
    // A bad setting shows at once, a broker that is away only in Begin.
    return Make();
  }

  Status Begin() override {
    if (handle_ == nullptr) {
      DEALSTREAM_RETURN_IF_ERROR(Make());
    }
    if (!initialised_) {
      DEALSTREAM_RETURN_IF_ERROR(Initialise());
    }
    const Status status =
        internal::ToStatus(rd_kafka_begin_transaction(handle_.get()), "kafka begin transaction");
    if (!status.ok()) {
      // Whatever state it is in, a new client settles it.
      unsure_ = true;
      return status;
    }
    ++transaction_;
    positions_.clear();
    failure_ = absl::OkStatus();
    began_ = absl::Now();
    in_transaction_ = true;
    return absl::OkStatus();
  }

  Status Send(OutRecord record) override {
    if (!in_transaction_) {
      return absl::FailedPreconditionError("kafka transaction: Send without Begin");
    }
    DEALSTREAM_ASSIGN_OR_RETURN(TopicEntry * topic, FindTopic(record.topic));
    const absl::Time limit = absl::Now() + kStepLimit;
    while (true) {
      const rd_kafka_resp_err_t err =
          internal::Produce(handle_.get(),
                            topic->topic.get(),
                            record,
                            ToOpaque(transaction_, static_cast<uint32_t>(positions_.size())));
      if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        positions_.push_back({record.partition, kNotReported});
        ++topic->sent;
        return absl::OkStatus();
      }
      if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL || absl::Now() >= limit) {
        return internal::ToStatus(err, fmt::format("kafka transaction: {}", record.topic));
      }
      rd_kafka_poll(handle_.get(), 10);
    }
  }

  Result<std::vector<Position>> Commit(Consumer& consumer, const Offsets& offsets) override {
    if (!in_transaction_) {
      return absl::FailedPreconditionError("kafka transaction: Commit without Begin");
    }
    DEALSTREAM_RETURN_IF_ERROR(SendOffsets(consumer, offsets));
    DEALSTREAM_RETURN_IF_ERROR(CommitTransaction());
    in_transaction_ = false;
    committed_.Increment();
    Count(&TopicEntry::delivered);
    seconds_.Observe(absl::ToDoubleSeconds(absl::Now() - began_));
    if (options_.client.embedded_broker) {
      // It forgets a transaction's offsets.
      DEALSTREAM_RETURN_IF_ERROR(consumer.Commit(offsets));
    }
    return std::exchange(positions_, {});
  }

  Status Abort() override {
    const bool open = std::exchange(in_transaction_, false);
    if (open) {
      aborted_.Increment();
      Count(&TopicEntry::failed);
    }
    if (handle_ == nullptr) {
      return absl::OkStatus();
    }
    if (!unsure_ && rd_kafka_fatal_error(handle_.get(), nullptr, 0) == RD_KAFKA_RESP_ERR_NO_ERROR) {
      if (!open) {
        return absl::OkStatus();
      }
      const Status status = internal::ToStatus(
          rd_kafka_abort_transaction(handle_.get(), ToMillis(kStepLimit)), "kafka abort");
      if (status.ok()) {
        return status;
      }
      obs::Warn("kafka_abort_failed", status.ToString());
    }
    // The next Begin makes the client anew; its initialisation settles what this one left open.
    restarts_.Increment();
    obs::Warn("kafka_client_restarted", "The transactional client is made anew.");
    Drop();
    return absl::OkStatus();
  }

 private:
  static constexpr int64_t kNotReported = -1;

  struct TopicEntry {
    Topic topic;
    prometheus::Counter* delivered;
    prometheus::Counter* failed;
    // Records of the present transaction.
    int64_t sent = 0;
  };

  // Adds the transaction's records to one of their topics' counters.
  void Count(prometheus::Counter* TopicEntry::*counter) {
    for (auto& [name, topic] : topics_) {
      (topic.*counter)->Increment(static_cast<double>(std::exchange(topic.sent, 0)));
    }
  }

  Status Make() {
    internal::Conf conf(internal::Role::kTransactional, options_.client, this);
    conf.Set("transactional.id", internal::FullName(options_.client, options_.transactional_id));
    conf.Set("transaction.timeout.ms", absl::ToInt64Milliseconds(options_.transaction_timeout));
    // A commit flushes without waiting; until then records gather.
    conf.Set("linger.ms", 5);
    DEALSTREAM_ASSIGN_OR_RETURN(handle_, conf.Build());
    ClearFatal();
    unsure_ = false;
    initialised_ = false;
    return absl::OkStatus();
  }

  void Drop() {
    topics_.clear();
    if (handle_ != nullptr) {
      rd_kafka_purge(handle_.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
      rd_kafka_poll(handle_.get(), 0);
    }
    handle_.reset();
    initialised_ = false;
  }

  // Fences an earlier instance of this id and ends what it left open.
  Status Initialise() {
    rd_kafka_error_t* error = rd_kafka_init_transactions(handle_.get(), ToMillis(kStepLimit));
    if (error == nullptr) {
      initialised_ = true;
      return absl::OkStatus();
    }
    const bool again = rd_kafka_error_is_retriable(error) != 0;
    const Status status = internal::ToStatus(error, "kafka init transactions");
    if (!again) {
      Drop();
    }
    return status;
  }

  Result<TopicEntry*> FindTopic(const std::string& name) {
    const auto found = topics_.find(name);
    if (found != topics_.end()) {
      return &found->second;
    }
    Topic topic(rd_kafka_topic_new(
        handle_.get(), internal::FullName(options_.client, name).c_str(), nullptr));
    if (topic == nullptr) {
      return absl::InvalidArgumentError(fmt::format("kafka transaction: bad topic \"{}\"", name));
    }
    const auto counter = [&](std::string_view outcome) {
      return &metrics_.GetCounter("kafka_produced_total", {{"topic", name}, {"outcome", outcome}});
    };
    return &topics_.emplace(name, TopicEntry{std::move(topic), counter("ok"), counter("failed"), 0})
                .first->second;
  }

  Status SendOffsets(Consumer& consumer, const Offsets& offsets) {
    if (offsets.empty()) {
      return absl::OkStatus();
    }
    const List list(rd_kafka_topic_partition_list_new(static_cast<int>(offsets.size())));
    for (const auto& [partition, offset] : offsets) {
      rd_kafka_topic_partition_list_add(
          list.get(),
          internal::FullName(options_.client, partition.topic).c_str(),
          partition.partition)
          ->offset = offset;
    }
    rd_kafka_consumer_group_metadata_t* group =
        rd_kafka_consumer_group_metadata(ConsumerAccess::Handle(consumer));
    if (group == nullptr) {
      return absl::UnavailableError("kafka transaction: the consumer is in no group");
    }
    return Finish(
        "kafka send offsets",
        [&](int timeout_ms) {
          return rd_kafka_send_offsets_to_transaction(handle_.get(), list.get(), group, timeout_ms);
        },
        [&] { rd_kafka_consumer_group_metadata_destroy(group); });
  }

  Status CommitTransaction() {
    // From here on an error leaves open whether it was committed.
    const Status status = Finish(
        "kafka commit transaction",
        [&](int timeout_ms) { return rd_kafka_commit_transaction(handle_.get(), timeout_ms); },
        [] {});
    if (!status.ok()) {
      return status;
    }
    const bool all =
        std::all_of(positions_.begin(), positions_.end(), [](const Position& position) {
          return position.offset != kNotReported;
        });
    if (!all || !failure_.ok()) {
      unsure_ = true;
      return failure_.ok() ? absl::InternalError("kafka commit: a record has no delivery report")
                           : failure_;
    }
    return absl::OkStatus();
  }

  // Repeats a call that may be repeated until the transaction has timed out.
  template <typename Call, typename Cleanup>
  Status Finish(std::string_view what, Call call, Cleanup cleanup) {
    const absl::Time limit = began_ + options_.transaction_timeout;
    while (true) {
      rd_kafka_error_t* error = call(ToMillis(kStepLimit));
      if (error == nullptr) {
        cleanup();
        return absl::OkStatus();
      }
      const bool again = rd_kafka_error_is_retriable(error) != 0 && absl::Now() < limit;
      const bool abortable = rd_kafka_error_txn_requires_abort(error) != 0;
      if (again) {
        rd_kafka_error_destroy(error);
        continue;
      }
      unsure_ = unsure_ || !abortable;
      cleanup();
      return internal::ToStatus(error, what);
    }
  }

  void OnDelivery(const rd_kafka_message_t& message) override {
    const auto opaque = reinterpret_cast<uint64_t>(message._private);  // NOLINT
    const auto index = static_cast<uint32_t>(opaque);
    if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      if (static_cast<uint32_t>(opaque >> 32) == transaction_) {
        failure_ = internal::ToStatus(message.err, "kafka transaction: a record");
      }
      return;
    }
    SetBrokerSeen();
    // A report of an earlier transaction, which was aborted, is of no interest.
    if (static_cast<uint32_t>(opaque >> 32) == transaction_ && index < positions_.size()) {
      positions_[index] = {message.partition, message.offset};
    }
  }

  const Options options_;
  obs::Metrics& metrics_;
  prometheus::Counter& restarts_;
  prometheus::Counter& committed_;
  prometheus::Counter& aborted_;
  prometheus::Histogram& seconds_;

  uint32_t transaction_ = 0;
  bool initialised_ = false;
  bool in_transaction_ = false;
  // How the last commit ended isn't known: only a new client's initialisation settles it.
  bool unsure_ = false;
  absl::Time began_;
  std::vector<Position> positions_;
  // Of the present transaction's records.
  Status failure_;
  internal::Handle handle_;
  // Of handle_; end before it.
  std::unordered_map<std::string, TopicEntry> topics_;
};

}  // namespace

Result<std::unique_ptr<TransactionalProducer>> TransactionalProducer::Create(
    Options options, obs::Metrics& metrics) {
  auto producer = std::make_unique<TransactionalProducerImpl>(std::move(options), metrics);
  DEALSTREAM_RETURN_IF_ERROR(producer->CheckOptions());
  return producer;
}

}  // namespace dealstream::kafka
