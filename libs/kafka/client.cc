#include "libs/kafka/client.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "fmt/format.h"
#include "prometheus/gauge.h"

#include "libs/obs/log.h"

namespace dealstream::kafka::internal {
namespace {

void OnLog(const rd_kafka_t* handle, int level, const char* facility, const char* text) {
  // syslog levels. A lost connection is level 3 there, but passing here: the error callback and the
  // metrics say what it means.
  const obs::Level ours = level <= 2   ? obs::Level::kError
                          : level <= 4 ? obs::Level::kWarn
                          : level <= 6 ? obs::Level::kInfo
                                       : obs::Level::kDebug;
  obs::Log(ours,
           "kafka_client",
           text,
           {{"facility", facility}, {"client", handle != nullptr ? rd_kafka_name(handle) : ""}});
}

void OnError(rd_kafka_t* handle, int err, const char* reason, void* opaque) {
  if (opaque != nullptr) {
    static_cast<Events*>(opaque)->HandleError(handle, err, reason);
  }
}

int OnStatisticsJson(rd_kafka_t* /*handle*/, char* json, size_t size, void* opaque) {
  if (opaque != nullptr) {
    static_cast<Events*>(opaque)->HandleStatistics({json, size});
  }
  return 0;
}

void OnDeliveryReport(rd_kafka_t* /*handle*/, const rd_kafka_message_t* message, void* opaque) {
  static_cast<Events*>(opaque)->OnDelivery(*message);
}

void OnRebalanceEvent(rd_kafka_t* handle,
                      rd_kafka_resp_err_t err,
                      rd_kafka_topic_partition_list_t* partitions,
                      void* opaque) {
  static_cast<Events*>(opaque)->OnRebalance(handle, err, partitions);
}

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kProducer:
      return "producer";
    case Role::kTransactional:
      return "transactional";
    case Role::kConsumer:
      return "consumer";
    case Role::kTable:
      return "table";
  }
  return "";
}

bool IsProducer(Role role) { return role == Role::kProducer || role == Role::kTransactional; }

absl::StatusCode CodeOf(rd_kafka_resp_err_t err) {
  switch (err) {
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
      return absl::StatusCode::kResourceExhausted;
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
      return absl::StatusCode::kDeadlineExceeded;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
      return absl::StatusCode::kInvalidArgument;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
      return absl::StatusCode::kPermissionDenied;
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
      return absl::StatusCode::kAborted;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
      return absl::StatusCode::kOutOfRange;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

Status MakeStatus(rd_kafka_resp_err_t err, std::string_view where, std::string_view text) {
  std::string reason = fmt::format("kafka_{}", rd_kafka_err2name(err));
  std::transform(reason.begin(), reason.end(), reason.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  return WithReason(Status(CodeOf(err), fmt::format("{}: {}", where, text)), reason);
}

}  // namespace

Events::Events(Role role, obs::Metrics* metrics) {
  if (metrics != nullptr) {
    rtt_ = &metrics->GetGauge("kafka_broker_rtt_seconds", {{"client", RoleName(role)}});
  }
}

void Events::HandleError(rd_kafka_t* handle, int err, const char* reason) {
  const auto code = static_cast<rd_kafka_resp_err_t>(err);
  if (code == RD_KAFKA_RESP_ERR__FATAL) {
    std::array<char, 512> text{};
    const rd_kafka_resp_err_t cause = rd_kafka_fatal_error(handle, text.data(), text.size());
    obs::Error("kafka_client_fatal",
               "The client can't go on and is made anew.",
               {{"error", rd_kafka_err2name(cause)}, {"text", text.data()}});
    SetFatal();
    return;
  }
  if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
    all_down_.store(true, std::memory_order_relaxed);
  }
  obs::Warn("kafka_client_error", reason, {{"error", rd_kafka_err2name(code)}});
}

void Events::HandleStatistics(std::string_view json) {
  const Result<Statistics> statistics = ParseStatistics(json);
  if (!statistics.ok()) {
    obs::Warn("kafka_statistics_unread", "The client's statistics can't be read.");
    return;
  }
  all_down_.store(!statistics->any_broker_up, std::memory_order_relaxed);
  if (rtt_ != nullptr) {
    rtt_->Set(statistics->rtt_seconds);
  }
  OnStatistics();
}

Conf::Conf(Role role, const ClientConfig& config, Events* events)
    : role_(role), conf_(rd_kafka_conf_new()) {
  rd_kafka_conf_set_opaque(conf_, events);
  rd_kafka_conf_set_log_cb(conf_, OnLog);
  rd_kafka_conf_set_error_cb(conf_, OnError);
  if (events != nullptr) {
    rd_kafka_conf_set_stats_cb(conf_, OnStatisticsJson);
    Set("statistics.interval.ms", IsProducer(role) ? 1000 : 5000);
  }

  Set("bootstrap.servers", config.brokers);
  Set("client.id", config.client_id);
  Set("security.protocol", config.security_protocol);
  if (config.security_protocol == "ssl") {
    Set("ssl.ca.location", config.ca_file);
    Set("ssl.certificate.location", config.certificate_file);
    Set("ssl.key.location", config.key_file);
  }
  Set("broker.address.family", config.address_family);
  // The embedded broker doesn't know the setting, which would be logged by every client.
  Set("allow.auto.create.topics", config.embedded_broker ? "true" : "false");
  // Else an answer waits 40 ms for the other side's delayed acknowledgement.
  Set("socket.nagle.disable", "true");
  Set("socket.keepalive.enable", "true");
  // A broker that came back is found within a second.
  Set("reconnect.backoff.max.ms", 1000);
  Set("log.connection.close", "false");
  Set("topic.metadata.propagation.max.ms", 5000);

  if (IsProducer(role)) {
    rd_kafka_conf_set_dr_msg_cb(conf_, OnDeliveryReport);
    // Keeps a connection from idling away, which would look like a broker that is gone.
    Set("topic.metadata.refresh.interval.ms", 60'000);
    Set("acks", "all");
    Set("enable.idempotence", "true");
    Set("compression.codec", config.compression);
    if (config.compression == "zstd") {
      Set("compression.level", 1);
    }
    // Java and Go writers must find the same partition for a key.
    Set("partitioner", "murmur2_random");
    // The topics decide (max.message.bytes, of what is compressed); retry and dead-letter topics
    // take 3 MiB. Who works in transactions wraps whole records of others in dead letters.
    Set("message.max.bytes", role == Role::kTransactional ? 6 << 20 : 4 << 20);
    return;
  }
  Set("isolation.level", "read_committed");
  Set("enable.auto.commit", "false");
  Set("enable.auto.offset.store", "false");
  Set("auto.offset.reset", "earliest");
  // A local queue that fills makes this version fetch in steps of 1 s: it must hold more than is
  // worked off in one.
  Set("queued.min.messages", 1'000'000);
  Set("queued.max.messages.kbytes", config.fetch_queue_mib << 10);
  Set("fetch.error.backoff.ms", 100);
  if (config.embedded_broker) {
    // Its empty fetch sleeps the whole wait.
    Set("fetch.wait.max.ms", 5);
  }
  if (role == Role::kConsumer && events != nullptr) {
    rd_kafka_conf_set_rebalance_cb(conf_, OnRebalanceEvent);
  }
}

Conf::~Conf() {
  if (conf_ != nullptr) {
    rd_kafka_conf_destroy(conf_);
  }
}

void Conf::Set(const char* key, const std::string& value) {
  if (!status_.ok()) {
    return;
  }
  std::array<char, 512> text{};
  if (rd_kafka_conf_set(conf_, key, value.c_str(), text.data(), text.size()) != RD_KAFKA_CONF_OK) {
    status_ = absl::InvalidArgumentError(fmt::format("kafka client: {}", text.data()));
  }
}

void Conf::Set(const char* key, int64_t value) { Set(key, std::to_string(value)); }

Result<Handle> Conf::Build() {
  DEALSTREAM_RETURN_IF_ERROR(status_);
  std::array<char, 512> text{};
  const rd_kafka_type_t type = IsProducer(role_) ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER;
  Handle handle(rd_kafka_new(type, conf_, text.data(), text.size()));
  if (handle == nullptr) {
    return absl::InvalidArgumentError(fmt::format("kafka client: {}", text.data()));
  }
  // The client owns the settings now.
  conf_ = nullptr;
  return handle;
}

std::string FullName(const ClientConfig& config, std::string_view topic) {
  std::string full;
  full.reserve(config.topic_prefix.size() + topic.size());
  full.append(config.topic_prefix).append(topic);
  return full;
}

std::string ShortName(const ClientConfig& config, std::string_view full) {
  if (full.substr(0, config.topic_prefix.size()) == config.topic_prefix) {
    full.remove_prefix(config.topic_prefix.size());
  }
  return std::string(full);
}

Status ToStatus(rd_kafka_resp_err_t err, std::string_view where) {
  if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    return absl::OkStatus();
  }
  return MakeStatus(err, where, rd_kafka_err2str(err));
}

Status ToStatus(rd_kafka_error_t* error, std::string_view where) {
  if (error == nullptr) {
    return absl::OkStatus();
  }
  const Status status = MakeStatus(rd_kafka_error_code(error), where, rd_kafka_error_string(error));
  rd_kafka_error_destroy(error);
  return status;
}

InRecord ToRecord(const rd_kafka_message_t& message, std::string topic) {
  InRecord record;
  record.topic = std::move(topic);
  record.partition = message.partition;
  record.offset = message.offset;
  if (message.key != nullptr) {
    record.key.assign(static_cast<const char*>(message.key), message.key_len);
  }
  if (message.payload != nullptr) {
    record.value.emplace(static_cast<const char*>(message.payload), message.len);
  }
  rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
  record.timestamp = absl::FromUnixMillis(rd_kafka_message_timestamp(&message, &type));
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    record.headers.reserve(rd_kafka_header_cnt(headers));
    const char* name = nullptr;
    const void* value = nullptr;
    size_t size = 0;
    for (size_t i = 0;
         rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
         ++i) {
      record.headers.emplace_back(
          name,
          value == nullptr ? std::string() : std::string(static_cast<const char*>(value), size));
    }
  }
  return record;
}

}  // namespace dealstream::kafka::internal
