#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"

#include "libs/base/status.h"

namespace dealstream::config {
class Schema;
}
namespace dealstream::obs {
class Metrics;
}

// Kafka as the services see it, over librdkafka. Client settings follow one table (client.cc).
namespace dealstream::kafka {

struct ClientConfig {
  // "host:port,host:port".
  std::string brokers;
  // Put before every topic name and group.
  std::string topic_prefix;
  // client.id: service, crm, pod.
  std::string client_id;
  // Development: the embedded broker's clients fetch with fetch.wait.max.ms=5.
  bool embedded_broker = false;
  // "plaintext" or "ssl"; files for the latter.
  std::string security_protocol = "plaintext";
  std::string ca_file;
  std::string certificate_file;
  std::string key_file;
  // "any", "v4" or "v6".
  std::string address_family = "any";
  // Of what is produced: "zstd", "lz4", "snappy", "gzip" or "none".
  std::string compression = "zstd";
  // What a consumer may hold fetched and not yet polled; it must hold more than is worked off in a
  // second (a full queue is refilled in steps of 1 s).
  int64_t fetch_queue_mib = 256;
};

// Adds kafka.* keys to a service's configuration; `required`: kafka.brokers must be given.
void AddConfig(config::Schema& schema, ClientConfig* config, bool required = true);

using Header = std::pair<std::string, std::string>;
using Headers = std::vector<Header>;

// A record to be written. Topic without the prefix.
struct OutRecord {
  std::string topic;
  // -1: by the key, murmur2.
  int32_t partition = -1;
  std::string key;
  // Absent: a tombstone.
  std::optional<std::string> value;
  Headers headers;
};

struct Position {
  int32_t partition = 0;
  int64_t offset = 0;
};

struct TopicPartition {
  std::string topic;
  int32_t partition = 0;
  auto operator<=>(const TopicPartition&) const = default;
};

// A record that was read. Topic without the prefix.
struct InRecord {
  std::string topic;
  int32_t partition = 0;
  int64_t offset = 0;
  std::string key;
  // Absent: a tombstone.
  std::optional<std::string> value;
  Headers headers;
  // Set by the producer or the broker.
  absl::Time timestamp;
};

std::string_view FindHeader(const Headers& headers, std::string_view key);

// Idempotent producer with acks=all. Its queue is bounded: ResourceExhausted when full, at once. A
// fatal client error is normal life: what was under way is reported as failed (Unavailable), the
// client is remade by itself and counted. Thread-safe.
class Producer {
 public:
  // ok: acknowledged by all in-sync replicas. Called once, from the delivery thread, or from Poll
  // with manual_poll.
  using Done = std::function<void(const Result<Position>&)>;

  struct Options {
    ClientConfig client;
    // linger.ms; 0 against a local broker.
    int linger_ms = 5;
    // A record is given up after; reported as DeadlineExceeded.
    absl::Duration delivery_timeout = absl::Seconds(30);
    int64_t max_queued_records = 100'000;
    int64_t max_queued_bytes = 256 << 20;
    // Delivery reports are served by Poll only, and `notify_fd` (an eventfd, say) gets 8 bytes
    // written whenever there are some. For event loops that want no second thread.
    bool manual_poll = false;
    int notify_fd = -1;
  };

  static Result<std::unique_ptr<Producer>> Create(Options options, obs::Metrics& metrics);
  virtual ~Producer() = default;

  // Doesn't block. `done` isn't called when this returns an error.
  virtual Status Send(OutRecord record, Done done) = 0;
  // As Send, for a record that the caller keeps to use again, so that hot paths allocate nothing.
  virtual Status SendCopy(const OutRecord& record, Done done) {
    return Send(record, std::move(done));
  }
  // Serves delivery reports (manual_poll); returns how many.
  virtual int Poll() = 0;
  // Waits until everything sent has been reported.
  virtual Status Flush(absl::Time deadline) = 0;
  // True while a broker can be reached.
  virtual bool Connected() const = 0;
};

// Offsets of the group to be committed: the next offset to read.
using Offsets = std::vector<std::pair<TopicPartition, int64_t>>;

// Member of a consumer group: read_committed, no auto commit, earliest, range assignor. Every
// method is called from one thread (the polling thread) unless it says otherwise; work is done
// elsewhere.
class Consumer {
 public:
  struct Options {
    ClientConfig client;
    std::string group;
    std::vector<std::string> topics;
    // group.instance.id; empty: none.
    std::string instance_id;
    // Called from Poll. Assigned partitions start to be read when the callback returns. Revoked:
    // finish or forget their work and commit before returning; `lost` means that committing is too
    // late. Whatever is assigned when the consumer ends is revoked by its destructor.
    std::function<void(const std::vector<TopicPartition>&)> on_assigned;
    std::function<void(const std::vector<TopicPartition>&, bool lost)> on_revoked;
  };

  static Result<std::unique_ptr<Consumer>> Create(Options options, obs::Metrics& metrics);
  // Leaves the group.
  virtual ~Consumer() = default;

  // Up to `max` records, and no more once they hold 16 MiB, waiting at most `wait` for the first.
  // Among them may be some of partitions that on_revoked has just been told of: leave them alone.
  // Unavailable is passing; anything else means that the client must be made anew.
  virtual Result<std::vector<InRecord>> Poll(size_t max, absl::Duration wait) = 0;
  // Backpressure: a paused partition is not fetched. Keeps its position.
  virtual Status Pause(const TopicPartition& partition) = 0;
  virtual Status Resume(const TopicPartition& partition) = 0;
  virtual Status Seek(const TopicPartition& partition, int64_t offset) = 0;
  // Synchronous.
  virtual Status Commit(const Offsets& offsets) = 0;
  // Watermark less position, summed over each topic-partition that is assigned. Thread-safe.
  virtual std::vector<std::pair<TopicPartition, int64_t>> Lag() = 0;
  // Where the group's committed offsets are, or -1. Blocks up to 10 s.
  virtual Result<Offsets> Committed(const std::vector<TopicPartition>& partitions) = 0;
  virtual const std::string& group() const = 0;

 private:
  friend class TransactionalProducer;
  friend struct ConsumerAccess;
  // rd_kafka_t*, for the group metadata of a transaction.
  virtual void* Handle() = 0;
};

// Producer of transactions: outputs and input offsets become visible together or not at all. One
// thread. Any error but InvalidArgument of Send means: the transaction is lost; Abort (which
// remakes the client when it must) and rewind the inputs to the committed offsets.
class TransactionalProducer {
 public:
  struct Options {
    ClientConfig client;
    std::string transactional_id;
    absl::Duration transaction_timeout = absl::Seconds(15);
  };

  static Result<std::unique_ptr<TransactionalProducer>> Create(Options options,
                                                               obs::Metrics& metrics);
  virtual ~TransactionalProducer() = default;

  virtual Status Begin() = 0;
  virtual Status Send(OutRecord record) = 0;
  // Sends the offsets with the consumer's group metadata and commits; gives back where each record
  // of the transaction landed, in the order of Send.
  virtual Result<std::vector<Position>> Commit(Consumer& consumer, const Offsets& offsets) = 0;
  virtual Status Abort() = 0;
};

// Reads a compacted topic whole and follows it, on a thread of its own: for tables of integrations,
// cursors and the like. No group; read_committed.
class TableReader {
 public:
  struct Options {
    ClientConfig client;
    std::string topic;
    // Only what is written from now on (tail), instead of the whole topic.
    bool from_now = false;
    // Called for each record in order, on the reader's thread; value absent: removed.
    std::function<void(const InRecord&)> on_record;
    // Called once, when the end as of the start has been reached.
    std::function<void()> on_caught_up;
  };
  static Result<std::unique_ptr<TableReader>> Create(Options options, obs::Metrics& metrics);
  virtual ~TableReader() = default;
};

// Reads one partition from an offset to its end (of committed records) and returns; for state
// restore.
struct ReadRangeOptions {
  ClientConfig client;
  TopicPartition partition;
  // Negative: from the beginning.
  int64_t from = -1;
  std::function<void(const InRecord&)> on_record;
  absl::Duration timeout = absl::Minutes(10);
  // The end is where the partition ended when it was first reached, transactions that were open
  // then included: waits until they have ended.
  bool past_open_transactions = false;
};
struct ReadRangeResult {
  // The next offset to read, and the earliest that the broker still has.
  int64_t next = 0;
  int64_t earliest = 0;
};
Result<ReadRangeResult> ReadRange(const ReadRangeOptions& options);

// Number of partitions of each topic; NotFound names the first topic that doesn't exist.
// Unavailable: no broker has answered within `patience`.
Result<std::vector<int>> PartitionCounts(const ClientConfig& client,
                                         const std::vector<std::string>& topics,
                                         absl::Duration patience = absl::Seconds(10));

}  // namespace dealstream::kafka
