// Reading without a group: tables, ranges, and what topics there are.
#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "prometheus/counter.h"

#include "libs/kafka/client.h"
#include "libs/kafka/kafka.h"
#include "libs/obs/log.h"

namespace dealstream::kafka {
namespace {

using internal::Handle;
using internal::Message;
using internal::Queue;
using internal::Topic;

constexpr int kMetadataMs = 10'000;
constexpr int kPollMs = 100;
// How long the broker holds an empty fetch, after which the end is known.
constexpr int kEmbeddedWaitMs = 5;
constexpr int kFollowWaitMs = 100;
constexpr int kRangeWaitMs = 10;

struct MetadataDeleter {
  void operator()(const rd_kafka_metadata_t* metadata) const {
    rd_kafka_metadata_destroy(metadata);
  }
};
using Metadata = std::unique_ptr<const rd_kafka_metadata_t, MetadataDeleter>;

// Of all topics: asking for a named one may make it (the embedded broker does).
Result<Metadata> ReadMetadata(rd_kafka_t* handle, int timeout_ms) {
  const rd_kafka_metadata_t* raw = nullptr;
  const rd_kafka_resp_err_t err =
      rd_kafka_metadata(handle, /*all_topics=*/1, nullptr, &raw, timeout_ms);
  DEALSTREAM_RETURN_IF_ERROR(internal::ToStatus(err, "kafka metadata"));
  return Metadata(raw);
}

Result<int> CountIn(const rd_kafka_metadata_t& metadata, const std::string& full_topic) {
  for (int i = 0; i < metadata.topic_cnt; ++i) {
    const rd_kafka_metadata_topic& topic = metadata.topics[i];
    if (full_topic != topic.topic) {
      continue;
    }
    if (topic.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
      break;
    }
    DEALSTREAM_RETURN_IF_ERROR(
        internal::ToStatus(topic.err, fmt::format("kafka topic {}", full_topic)));
    return topic.partition_cnt;
  }
  return absl::NotFoundError(fmt::format("kafka: topic \"{}\" doesn't exist", full_topic));
}

// Partitions of one topic that are being read into one queue, with an event at each end.
class SimpleReader {
 public:
  static Result<std::unique_ptr<SimpleReader>> Make(const ClientConfig& config,
                                                    internal::Events* events,
                                                    int wait_ms) {
    internal::Conf conf(internal::Role::kTable, config, events);
    conf.Set("enable.partition.eof", "true");
    conf.Set("fetch.wait.max.ms", config.embedded_broker ? kEmbeddedWaitMs : wait_ms);
    auto reader = std::make_unique<SimpleReader>();
    DEALSTREAM_ASSIGN_OR_RETURN(reader->handle_, conf.Build());
    reader->queue_.reset(rd_kafka_queue_new(reader->handle_.get()));
    return reader;
  }

  SimpleReader() = default;
  SimpleReader(const SimpleReader&) = delete;
  SimpleReader& operator=(const SimpleReader&) = delete;
  ~SimpleReader() {
    for (const int32_t partition : started_) {
      rd_kafka_consume_stop(topic_.get(), partition);
    }
  }

  Status Start(const std::string& full_topic, int32_t partition, int64_t offset) {
    if (topic_ == nullptr) {
      topic_.reset(rd_kafka_topic_new(handle_.get(), full_topic.c_str(), nullptr));
    }
    if (topic_ == nullptr ||
        rd_kafka_consume_start_queue(topic_.get(), partition, offset, queue_.get()) != 0) {
      return internal::ToStatus(rd_kafka_last_error(), fmt::format("kafka topic {}", full_topic));
    }
    started_.insert(partition);
    return absl::OkStatus();
  }

  // Null: nothing within the time.
  Message Next(int timeout_ms) {
    // Errors and statistics come by another queue.
    if (++turns_ % 1024 == 0 || timeout_ms > 0) {
      rd_kafka_poll(handle_.get(), 0);
    }
    return Message(rd_kafka_consume_queue(queue_.get(), timeout_ms));
  }

  rd_kafka_t* handle() { return handle_.get(); }

 private:
  Handle handle_;
  Queue queue_;
  Topic topic_;
  std::set<int32_t> started_;
  uint64_t turns_ = 0;
};

class TableReaderImpl final : public TableReader, private internal::Events {
 public:
  TableReaderImpl(Options options, obs::Metrics& metrics)
      : internal::Events(internal::Role::kTable, &metrics),
        options_(std::move(options)),
        full_topic_(internal::FullName(options_.client, options_.topic)),
        consumed_(metrics.GetCounter("kafka_consumed_total", {{"topic", options_.topic}})) {}

  ~TableReaderImpl() override {
    stopping_.store(true);
    if (thread_.joinable()) {
      thread_.join();
    }
  }

  Status Start() {
    DEALSTREAM_ASSIGN_OR_RETURN(reader_, SimpleReader::Make(options_.client, this, kFollowWaitMs));
    thread_ = std::thread([this] { Run(); });
    return absl::OkStatus();
  }

 private:
  void Run() {
    if (!StartPartitions()) {
      return;
    }
    while (!stopping_.load(std::memory_order_relaxed)) {
      const Message message = reader_->Next(kPollMs);
      if (message == nullptr) {
        continue;
      }
      if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        MarkEnd(message->partition);
      } else if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        obs::Warn(
            "kafka_table_read", rd_kafka_message_errstr(message.get()), {{"topic", full_topic_}});
      } else {
        consumed_.Increment();
        options_.on_record(internal::ToRecord(*message, options_.topic));
      }
    }
  }

  // Waits for the broker and the topic. False: stopping.
  bool StartPartitions() {
    while (!stopping_.load(std::memory_order_relaxed)) {
      const Result<int> count = internal::PartitionCount(reader_->handle(), full_topic_, 1000);
      if (count.ok()) {
        for (int32_t partition = 0; partition < *count; ++partition) {
          ends_missing_.insert(partition);
          if (const Status status = reader_->Start(
                  full_topic_,
                  partition,
                  options_.from_now ? RD_KAFKA_OFFSET_END : RD_KAFKA_OFFSET_BEGINNING);
              !status.ok()) {
            obs::Error("kafka_table_start", status.ToString(), {{"topic", full_topic_}});
          }
        }
        return true;
      }
      obs::Warn("kafka_table_waits", count.status().ToString(), {{"topic", full_topic_}});
      rd_kafka_poll(reader_->handle(), 200);
    }
    return false;
  }

  void MarkEnd(int32_t partition) {
    if (ends_missing_.erase(partition) > 0 && ends_missing_.empty() && options_.on_caught_up) {
      options_.on_caught_up();
    }
  }

  const Options options_;
  const std::string full_topic_;
  prometheus::Counter& consumed_;
  std::unique_ptr<SimpleReader> reader_;
  // Partitions whose end hasn't been reached yet.
  std::set<int32_t> ends_missing_;
  std::atomic<bool> stopping_ = false;
  // The thread last. Add new fields above.
  std::thread thread_;
};

}  // namespace

namespace internal {

Result<int> PartitionCount(rd_kafka_t* handle, const std::string& full_topic, int timeout_ms) {
  DEALSTREAM_ASSIGN_OR_RETURN(const Metadata metadata, ReadMetadata(handle, timeout_ms));
  return CountIn(*metadata, full_topic);
}

}  // namespace internal

Result<std::unique_ptr<TableReader>> TableReader::Create(Options options, obs::Metrics& metrics) {
  auto reader = std::make_unique<TableReaderImpl>(std::move(options), metrics);
  DEALSTREAM_RETURN_IF_ERROR(reader->Start());
  return reader;
}

namespace {

// The end with open transactions, as the last fetch said.
int64_t HighWatermark(SimpleReader& reader, const std::string& topic, int32_t partition) {
  int64_t low = 0;
  int64_t high = 0;
  const rd_kafka_resp_err_t err =
      rd_kafka_get_watermark_offsets(reader.handle(), topic.c_str(), partition, &low, &high);
  return err == RD_KAFKA_RESP_ERR_NO_ERROR ? high : 0;
}

}  // namespace

Result<ReadRangeResult> ReadRange(const ReadRangeOptions& options) {
  const absl::Time limit = absl::Now() + options.timeout;
  const std::string topic = internal::FullName(options.client, options.partition.topic);
  const int32_t partition = options.partition.partition;
  DEALSTREAM_ASSIGN_OR_RETURN(const auto reader,
                              SimpleReader::Make(options.client, nullptr, kRangeWaitMs));
  ReadRangeResult result;
  int64_t high = 0;
  const auto wait_ms =
      static_cast<int>(std::min<int64_t>(kMetadataMs, absl::ToInt64Milliseconds(options.timeout)));
  DEALSTREAM_RETURN_IF_ERROR(internal::ToStatus(
      rd_kafka_query_watermark_offsets(
          reader->handle(), topic.c_str(), partition, &result.earliest, &high, wait_ms),
      fmt::format("kafka topic {} partition {}", topic, partition)));
  if (options.from > high) {
    return absl::OutOfRangeError(fmt::format(
        "kafka topic {} partition {}: ends at {}, want {}", topic, partition, high, options.from));
  }
  result.next = std::max(options.from, result.earliest);
  DEALSTREAM_RETURN_IF_ERROR(reader->Start(topic, partition, result.next));
  // With past_open_transactions, where the partition ended at first sight.
  std::optional<int64_t> end;
  while (true) {
    if (absl::Now() >= limit) {
      return absl::DeadlineExceededError(fmt::format(
          "kafka topic {} partition {}: read to {} only in time", topic, partition, result.next));
    }
    const Message message = reader->Next(kPollMs);
    if (message == nullptr) {
      continue;
    }
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      // The end of what is committed: also when only markers and aborted records lie before it.
      result.next = message->offset;
      if (options.past_open_transactions && !end.has_value()) {
        end = HighWatermark(*reader, topic, partition);
      }
      if (result.next >= end.value_or(0)) {
        return result;
      }
      continue;
    }
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return internal::ToStatus(message->err,
                                fmt::format("kafka topic {} partition {}", topic, partition));
    }
    result.next = message->offset + 1;
    options.on_record(internal::ToRecord(*message, options.partition.topic));
  }
}

Result<std::vector<int>> PartitionCounts(const ClientConfig& client,
                                         const std::vector<std::string>& topics,
                                         absl::Duration patience) {
  internal::Conf conf(internal::Role::kTable, client, nullptr);
  DEALSTREAM_ASSIGN_OR_RETURN(const Handle handle, conf.Build());
  DEALSTREAM_ASSIGN_OR_RETURN(
      const Metadata metadata,
      ReadMetadata(handle.get(), static_cast<int>(absl::ToInt64Milliseconds(patience))));
  std::vector<int> counts;
  for (const std::string& topic : topics) {
    DEALSTREAM_ASSIGN_OR_RETURN(const int count,
                                CountIn(*metadata, internal::FullName(client, topic)));
    counts.push_back(count);
  }
  return counts;
}

}  // namespace dealstream::kafka
