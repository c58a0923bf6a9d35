#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "librdkafka/rdkafka.h"

#include "libs/base/status.h"
#include "libs/kafka/kafka.h"
#include "libs/obs/metrics.h"

// What all clients share: the table of settings, callbacks, errors as statuses. Private to
// libs/kafka.
namespace dealstream::kafka::internal {

struct HandleDeleter {
  void operator()(rd_kafka_t* handle) const { rd_kafka_destroy(handle); }
};
using Handle = std::unique_ptr<rd_kafka_t, HandleDeleter>;

struct TopicDeleter {
  void operator()(rd_kafka_topic_t* topic) const { rd_kafka_topic_destroy(topic); }
};
using Topic = std::unique_ptr<rd_kafka_topic_t, TopicDeleter>;

struct QueueDeleter {
  void operator()(rd_kafka_queue_t* queue) const { rd_kafka_queue_destroy(queue); }
};
using Queue = std::unique_ptr<rd_kafka_queue_t, QueueDeleter>;

struct ListDeleter {
  void operator()(rd_kafka_topic_partition_list_t* list) const {
    rd_kafka_topic_partition_list_destroy(list);
  }
};
using List = std::unique_ptr<rd_kafka_topic_partition_list_t, ListDeleter>;

struct MessageDeleter {
  void operator()(rd_kafka_message_t* message) const { rd_kafka_message_destroy(message); }
};
using Message = std::unique_ptr<rd_kafka_message_t, MessageDeleter>;

enum class Role { kProducer, kTransactional, kConsumer, kTable };

// What happens to a client beside records; its opaque pointer. Outlives the handle. Its callbacks
// run on the thread that polls, `OnLog` on any.
class Events {
 public:
  Events(Role role, obs::Metrics* metrics);
  virtual ~Events() = default;
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;

  virtual void OnDelivery(const rd_kafka_message_t& /*message*/) {}
  virtual void OnRebalance(rd_kafka_t* /*handle*/,
                           rd_kafka_resp_err_t /*err*/,
                           rd_kafka_topic_partition_list_t* /*partitions*/) {}
  // After the broker figures of a statistics report have been taken.
  virtual void OnStatistics() {}

  void HandleError(rd_kafka_t* handle, int err, const char* reason);
  void HandleStatistics(std::string_view json);

  // A fatal error has been seen since ClearFatal.
  bool fatal() const { return fatal_.load(std::memory_order_acquire); }
  void SetFatal() { fatal_.store(true, std::memory_order_release); }
  void ClearFatal() { fatal_.store(false, std::memory_order_release); }
  bool all_brokers_down() const { return all_down_.load(std::memory_order_relaxed); }
  void SetBrokerSeen() {
    if (all_down_.load(std::memory_order_relaxed)) {
      all_down_.store(false, std::memory_order_relaxed);
    }
  }

 private:
  std::atomic<bool> fatal_ = false;
  // Until the first statistics or delivery report say otherwise.
  std::atomic<bool> all_down_ = true;
  prometheus::Gauge* rtt_ = nullptr;
};

// Settings under construction. The first refused one makes Build fail.
class Conf {
 public:
  // The common table of `role` (ops.md, 5), and the callbacks, with `events` as opaque (may be
  // null).
  Conf(Role role, const ClientConfig& config, Events* events);
  ~Conf();
  Conf(const Conf&) = delete;
  Conf& operator=(const Conf&) = delete;

  void Set(const char* key, const std::string& value);
  void Set(const char* key, int64_t value);
  Result<Handle> Build();

 private:
  Role role_;
  rd_kafka_conf_t* conf_;
  Status status_;
};

// Prefix added; partition list of it.
std::string FullName(const ClientConfig& config, std::string_view topic);
// Prefix taken away.
std::string ShortName(const ClientConfig& config, std::string_view full);

// Status of a client error, with the stable reason "kafka_<name of the error>".
Status ToStatus(rd_kafka_resp_err_t err, std::string_view where);
// Takes ownership.
Status ToStatus(rd_kafka_error_t* error, std::string_view where);

InRecord ToRecord(const rd_kafka_message_t& message, std::string topic);

// Partition count of one topic; NotFound when it doesn't exist. Blocks.
Result<int> PartitionCount(rd_kafka_t* handle, const std::string& full_topic, int timeout_ms);

// Figures of a statistics report.
struct Statistics {
  // The largest mean round trip over the brokers that answered; 0 when none did.
  double rtt_seconds = 0;
  bool any_broker_up = false;
};
Result<Statistics> ParseStatistics(std::string_view json);

}  // namespace dealstream::kafka::internal
