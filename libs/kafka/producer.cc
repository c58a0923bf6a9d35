#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/time/clock.h"
#include "fmt/format.h"
#include "prometheus/counter.h"

#include "libs/kafka/client.h"
#include "libs/kafka/kafka.h"
#include "libs/kafka/outgoing.h"
#include "libs/kafka/testing_hooks.h"
#include "libs/obs/log.h"

namespace dealstream::kafka {
namespace {

using internal::Handle;
using internal::Topic;

// How long the delivery thread sleeps at most before it looks whether it must stop.
constexpr int kServeMs = 100;
// Reporting what a dropped client had under way takes milliseconds; this bounds a fault.
constexpr absl::Duration kDrainLimit = absl::Seconds(5);
// A cause that lasts (rights that are missing, say) must not keep the thread busy with new clients.
constexpr absl::Duration kRemakeInterval = absl::Seconds(1);

class ProducerImpl final : public Producer, private internal::Events {
 public:
  ProducerImpl(Options options, obs::Metrics& metrics)
      : internal::Events(internal::Role::kProducer, &metrics),
        options_(std::move(options)),
        metrics_(metrics),
        restarts_(metrics.GetCounter("kafka_client_restarts_total", {{"reason", "fatal"}})) {}

  ~ProducerImpl() override {
    stopping_.store(true);
    if (delivery_thread_.joinable()) {
      delivery_thread_.join();
    }
    Drop(std::move(client_), /*last=*/true);
    if (reaper_.joinable()) {
      reaper_.join();
    }
  }

  Status Start() {
    DEALSTREAM_ASSIGN_OR_RETURN(client_, MakeClient());
    if (!options_.manual_poll) {
      delivery_thread_ = std::thread([this] {
        while (!stopping_.load(std::memory_order_relaxed)) {
          Serve(kServeMs);
        }
      });
    }
    return absl::OkStatus();
  }

  Status Send(OutRecord record, Done done) override { return SendCopy(record, std::move(done)); }

  // The client copies the record in any case.
  Status SendCopy(const OutRecord& record, Done done) override {
    std::shared_lock lock(mutex_);
    TopicEntry* entry = FindTopic(record.topic);
    if (entry == nullptr) {
      lock.unlock();
      DEALSTREAM_RETURN_IF_ERROR(AddTopic(record.topic));
      lock.lock();
      entry = FindTopic(record.topic);
    }
    auto pending = std::make_unique<Pending>(Pending{std::move(done), entry});
    under_way_.fetch_add(1, std::memory_order_relaxed);
    const rd_kafka_resp_err_t err =
        internal::Produce(client_.handle.get(), entry->topic.get(), record, pending.get());
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      // Owned by the client until its delivery report.
      static_cast<void>(pending.release());
      return absl::OkStatus();
    }
    under_way_.fetch_sub(1, std::memory_order_relaxed);
    lock.unlock();
    entry->refused.Increment();
    return Refusal(err, record.topic);
  }

  int Poll() override { return options_.manual_poll ? Serve(0) : 0; }

  Status Flush(absl::Time deadline) override {
    while (under_way_.load() > 0) {
      if (absl::Now() >= deadline) {
        return absl::DeadlineExceededError(
            fmt::format("kafka producer: {} records are still under way", under_way_.load()));
      }
      if (options_.manual_poll) {
        Serve(1);
      } else {
        absl::SleepFor(absl::Milliseconds(1));
      }
    }
    return absl::OkStatus();
  }

  bool Connected() const override { return !all_brokers_down() && !fatal(); }

  // For tests: as if the broker had given a reason to stop for good.
  void FailFatally() {
    std::shared_lock lock(mutex_);
    rd_kafka_test_fatal_error(client_.handle.get(),
                              RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                              "asked for by a test");
  }

 private:
  struct TopicEntry {
    // Of the present client.
    Topic topic;
    prometheus::Counter& delivered;
    prometheus::Counter& failed;
    prometheus::Counter& refused;
  };

  // What comes back with a record's delivery report. Outlives a client, not the producer.
  struct Pending {
    Done done;
    TopicEntry* topic;
  };

  struct Client {
    Handle handle;
    // Keeps the event descriptor's wake-up alive.
    internal::Queue events;
  };

  Result<Client> MakeClient() {
    internal::Conf conf(internal::Role::kProducer, options_.client, this);
    conf.Set("linger.ms", options_.linger_ms);
    conf.Set("delivery.timeout.ms", absl::ToInt64Milliseconds(options_.delivery_timeout));
    conf.Set("queue.buffering.max.messages", options_.max_queued_records);
    conf.Set("queue.buffering.max.kbytes", (options_.max_queued_bytes + 1023) / 1024);
    Client client;
    DEALSTREAM_ASSIGN_OR_RETURN(client.handle, conf.Build());
    if (options_.manual_poll && options_.notify_fd >= 0) {
      static constexpr uint64_t kOne = 1;
      client.events.reset(rd_kafka_queue_get_main(client.handle.get()));
      rd_kafka_queue_io_event_enable(client.events.get(), options_.notify_fd, &kOne, sizeof(kOne));
    }
    return client;
  }

  // Under the lock, shared.
  TopicEntry* FindTopic(const std::string& name) {
    const auto found = topics_.find(name);
    return found == topics_.end() ? nullptr : found->second.get();
  }

  Status AddTopic(const std::string& name) {
    const std::unique_lock lock(mutex_);
    if (FindTopic(name) != nullptr) {
      return absl::OkStatus();
    }
    Topic topic(MakeTopic(client_, name));
    if (topic == nullptr) {
      return absl::InvalidArgumentError(fmt::format("kafka producer: bad topic name \"{}\"", name));
    }
    const auto counter = [&](std::string_view outcome) -> prometheus::Counter& {
      return metrics_.GetCounter("kafka_produced_total", {{"topic", name}, {"outcome", outcome}});
    };
    topics_.emplace(name,
                    std::make_unique<TopicEntry>(TopicEntry{
                        std::move(topic), counter("ok"), counter("failed"), counter("refused")}));
    return absl::OkStatus();
  }

  rd_kafka_topic_t* MakeTopic(const Client& client, const std::string& name) const {
    return rd_kafka_topic_new(
        client.handle.get(), internal::FullName(options_.client, name).c_str(), nullptr);
  }

  Status Refusal(rd_kafka_resp_err_t err, const std::string& topic) {
    if (err == RD_KAFKA_RESP_ERR__FATAL) {
      return WithReason(
          absl::UnavailableError(fmt::format("kafka {}: the client is being made anew", topic)),
          "kafka__fatal");
    }
    return internal::ToStatus(err, fmt::format("kafka {}", topic));
  }

  void OnDelivery(const rd_kafka_message_t& message) override {
    const std::unique_ptr<Pending> pending(static_cast<Pending*>(message._private));
    ++reported_;
    if (message.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      SetBrokerSeen();
      pending->topic->delivered.Increment();
      pending->done(Position{message.partition, message.offset});
    } else {
      pending->topic->failed.Increment();
      pending->done(Refusal(message.err, rd_kafka_topic_name(message.rkt)));
    }
    // Only now: who flushes may end what `done` refers to.
    under_way_.fetch_sub(1, std::memory_order_release);
  }

  // On the delivery thread, or the one that calls Poll.
  int Serve(int timeout_ms) {
    reported_ = 0;
    rd_kafka_poll(client_.handle.get(), timeout_ms);
    if (fatal() && absl::Now() >= next_remake_) {
      Remake();
    }
    return reported_;
  }

  void Remake() {
    next_remake_ = absl::Now() + kRemakeInterval;
    Result<Client> fresh = MakeClient();
    if (!fresh.ok()) {
      obs::Error("kafka_client_not_made", fresh.status().ToString());
      return;
    }
    Client old;
    {
      const std::unique_lock lock(mutex_);
      old = std::exchange(client_, *std::move(fresh));
      for (auto& [name, entry] : topics_) {
        entry->topic.reset(MakeTopic(client_, name));
      }
    }
    Drop(std::move(old), /*last=*/false);
    ClearFatal();
    restarts_.Increment();
    obs::Warn("kafka_client_restarted", "The producer's client has been made anew.");
  }

  // Reports what the client has under way as failed and ends it. Nobody else uses it any more.
  void Drop(Client client, bool last) {
    if (client.handle == nullptr) {
      return;
    }
    rd_kafka_purge(client.handle.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    const absl::Time limit = absl::Now() + kDrainLimit;
    while (rd_kafka_outq_len(client.handle.get()) > 0 && absl::Now() < limit) {
      rd_kafka_poll(client.handle.get(), 10);
    }
    if (last) {
      topics_.clear();
    }
    if (reaper_.joinable()) {
      reaper_.join();
    }
    // Ending waits for the client's threads: not on an event loop's time.
    reaper_ = std::thread([dropped = std::move(client)]() mutable {
      dropped.events.reset();
      dropped.handle.reset();
    });
  }

  const Options options_;
  obs::Metrics& metrics_;
  prometheus::Counter& restarts_;
  std::atomic<int64_t> under_way_ = 0;
  std::atomic<bool> stopping_ = false;
  // Delivery reports of the present turn; serving thread only.
  int reported_ = 0;
  absl::Time next_remake_ = absl::InfinitePast();

  // Shared to send, exclusive to change client_ or topics_. Only the serving thread changes
  // client_, so it reads it without.
  mutable std::shared_mutex mutex_;
  Client client_;
  absl::flat_hash_map<std::string, std::unique_ptr<TopicEntry>> topics_;

  // Threads last. Add new fields above.
  std::thread reaper_;
  std::thread delivery_thread_;
};

}  // namespace

Result<std::unique_ptr<Producer>> Producer::Create(Options options, obs::Metrics& metrics) {
  if (options.notify_fd >= 0 && !options.manual_poll) {
    return absl::InvalidArgumentError("kafka producer: notify_fd wants manual_poll");
  }
  auto producer = std::make_unique<ProducerImpl>(std::move(options), metrics);
  DEALSTREAM_RETURN_IF_ERROR(producer->Start());
  return producer;
}

namespace internal {

void FailFatallyForTest(Producer& producer) { static_cast<ProducerImpl&>(producer).FailFatally(); }

}  // namespace internal

}  // namespace dealstream::kafka
