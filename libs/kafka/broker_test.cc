// The library against a broker: the embedded one, and Apache Kafka where DEALSTREAM_KAFKA_BROKERS
// names it. Transactions and durability are judged on the latter only.
#include <atomic>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/counter.h"
#include "prometheus/gauge.h"
#include <sys/eventfd.h>
#include <unistd.h>

#include "libs/base/clock.h"
#include "libs/base/ids.h"
#include "libs/kafka/admin.h"
#include "libs/kafka/kafka.h"
#include "libs/kafka/testing/embedded_broker.h"
#include "libs/kafka/testing_hooks.h"
#include "libs/kafka/topics_watch.h"
#include "libs/obs/metrics.h"

namespace dealstream::kafka {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

enum class Kind { kEmbedded, kApache };

constexpr absl::Duration kLimit = absl::Seconds(20);

bool Eventually(const std::function<bool()>& holds, absl::Duration limit = kLimit) {
  const absl::Time until = absl::Now() + limit;
  while (!holds()) {
    if (absl::Now() > until) {
      return false;
    }
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

class BrokerTest : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (GetParam() == Kind::kApache) {
      const char* brokers = std::getenv("DEALSTREAM_KAFKA_BROKERS");
      if (brokers == nullptr) {
        GTEST_SKIP() << "DEALSTREAM_KAFKA_BROKERS isn't set: Apache Kafka is not tested here";
      }
      config_.brokers = brokers;
    } else {
      auto broker = testing::EmbeddedBroker::Start(DEALSTREAM_BIN_DIR "/embedded-broker");
      ASSERT_TRUE(broker.ok()) << broker.status();
      broker_ = *std::move(broker);
      config_.brokers = broker_->address();
      config_.embedded_broker = true;
    }
    config_.client_id = "kafka-test";
    config_.topic_prefix = NewId("t", Clock::System()) + ".";
  }

  void MakeTopic(const std::string& name,
                 int partitions,
                 const std::map<std::string, std::string>& settings = {}) {
    const std::string full = config_.topic_prefix + name;
    if (broker_ != nullptr) {
      ASSERT_TRUE(broker_->Tell("topic " + full + " " + std::to_string(partitions)).ok());
      return;
    }
    auto admin = Admin::Create(config_);
    ASSERT_TRUE(admin.ok());
    const Status status = (*admin)->CreateTopic(full, {partitions, 1, settings});
    ASSERT_TRUE(status.ok()) << status;
    // Its leaders are elected a moment later.
    ASSERT_TRUE(Eventually([&] {
      const auto counts = PartitionCounts(config_, {name});
      return counts.ok() && counts->front() == partitions;
    }));
  }

  std::unique_ptr<Producer> MakeProducer(const std::function<void(Producer::Options&)>& change =
                                             [](Producer::Options&) {}) {
    Producer::Options options;
    options.client = config_;
    options.linger_ms = 0;
    change(options);
    auto producer = Producer::Create(std::move(options), metrics_);
    EXPECT_TRUE(producer.ok()) << producer.status();
    return *std::move(producer);
  }

  // Sends and waits; the results in the order of sending.
  std::vector<Result<Position>> SendAll(Producer& producer, const std::vector<OutRecord>& records) {
    std::vector<Result<Position>> results(records.size(), absl::UnknownError("no report"));
    for (size_t i = 0; i < records.size(); ++i) {
      const Status status = producer.Send(
          records[i], [&results, i](const Result<Position>& result) { results[i] = result; });
      if (!status.ok()) {
        results[i] = status;
      }
    }
    EXPECT_TRUE(producer.Flush(absl::Now() + kLimit).ok());
    return results;
  }

  Consumer::Options ConsumerOptions(const std::string& topic) {
    Consumer::Options options;
    options.client = config_;
    options.group = "readers";
    options.topics = {topic};
    return options;
  }

  std::unique_ptr<Consumer> MakeConsumer(Consumer::Options options) {
    auto consumer = Consumer::Create(std::move(options), metrics_);
    EXPECT_TRUE(consumer.ok()) << consumer.status();
    return *std::move(consumer);
  }

  // Polls until `count` records are there, and a little longer in case there are more.
  static std::vector<InRecord> ReadAll(Consumer& consumer, size_t count) {
    std::vector<InRecord> all;
    absl::Time until = absl::Now() + kLimit;
    while (absl::Now() < until) {
      auto records = consumer.Poll(100, absl::Milliseconds(100));
      if (!records.ok()) {
        EXPECT_EQ(records.status().code(), absl::StatusCode::kUnavailable) << records.status();
        continue;
      }
      const bool complete = all.size() >= count;
      all.insert(all.end(), records->begin(), records->end());
      if (all.size() >= count && !complete) {
        until = absl::Now() + absl::Milliseconds(300);
      }
    }
    return all;
  }

  std::unique_ptr<TransactionalProducer> MakeTransactional(const std::string& id) {
    TransactionalProducer::Options options;
    options.client = config_;
    options.transactional_id = id;
    auto producer = TransactionalProducer::Create(std::move(options), metrics_);
    EXPECT_TRUE(producer.ok()) << producer.status();
    return *std::move(producer);
  }

  // All values of a partition, and where it ended.
  std::pair<std::vector<std::string>, ReadRangeResult> ReadPartition(const std::string& topic,
                                                                     int64_t from = -1) {
    std::vector<std::string> values;
    ReadRangeOptions options;
    options.client = config_;
    options.partition = {topic, 0};
    options.from = from;
    options.timeout = kLimit;
    options.on_record = [&](const InRecord& record) {
      values.push_back(record.value.value_or("-"));
    };
    const auto result = ReadRange(options);
    EXPECT_TRUE(result.ok()) << result.status();
    return {values, result.ok() ? *result : ReadRangeResult{}};
  }

  ClientConfig config_;
  std::unique_ptr<testing::EmbeddedBroker> broker_;
  obs::Metrics metrics_{"kafka-test", "0", "0"};
};

OutRecord Text(const std::string& topic, const std::string& key, const std::string& value) {
  return {topic, -1, key, value, {}};
}

class ProducerTest : public BrokerTest {};

TEST_P(ProducerTest, ReportsWhereRecordsLanded) {
  MakeTopic("t", 1);
  const auto producer = MakeProducer();
  const auto results = SendAll(*producer, {Text("t", "a", "1"), Text("t", "a", "2")});
  ASSERT_TRUE(results[0].ok()) << results[0].status();
  ASSERT_TRUE(results[1].ok());
  EXPECT_EQ(results[0]->offset, 0);
  EXPECT_EQ(results[1]->offset, 1);
  EXPECT_TRUE(producer->Connected());
  EXPECT_EQ(
      metrics_.GetCounter("kafka_produced_total", {{"topic", "t"}, {"outcome", "ok"}}).Value(), 2);
}

TEST_P(ProducerTest, KeyFindsItsPartitionAsJavaDoes) {
  MakeTopic("t", 12);
  const auto producer = MakeProducer();
  // Kafka's own test values of murmur2: "21" -973932308, "foobar" -790332482.
  const auto results = SendAll(*producer, {Text("t", "21", "x"), Text("t", "foobar", "x")});
  ASSERT_TRUE(results[0].ok());
  ASSERT_TRUE(results[1].ok());
  EXPECT_EQ(results[0]->partition, 0);
  EXPECT_EQ(results[1]->partition, 6);
}

TEST_P(ProducerTest, RefusesTooLargeRecordAlone) {
  MakeTopic("t", 1);
  const auto producer = MakeProducer();
  const auto results = SendAll(
      *producer,
      {Text("t", "a", "1"), Text("t", "a", std::string(5 << 20, 'x')), Text("t", "a", "3")});
  EXPECT_TRUE(results[0].ok());
  EXPECT_EQ(results[1].status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(results[2].ok());
}

TEST_P(ProducerTest, FullQueueIsAnErrorAtOnce) {
  MakeTopic("t", 1);
  const auto producer = MakeProducer([](Producer::Options& options) {
    options.max_queued_records = 10;
    options.linger_ms = 300;
  });
  int refused = 0;
  for (int i = 0; i < 20; ++i) {
    const Status status = producer->Send(Text("t", "a", "x"), [](const Result<Position>&) {});
    refused += status.code() == absl::StatusCode::kResourceExhausted ? 1 : 0;
  }
  EXPECT_EQ(refused, 10);
  EXPECT_TRUE(producer->Flush(absl::Now() + kLimit).ok());
}

TEST_P(ProducerTest, FatalErrorRemakesTheClient) {
  MakeTopic("t", 1);
  const auto producer = MakeProducer();
  ASSERT_TRUE(SendAll(*producer, {Text("t", "a", "before")})[0].ok());
  internal::FailFatallyForTest(*producer);
  auto& restarts = metrics_.GetCounter("kafka_client_restarts_total", {{"reason", "fatal"}});
  EXPECT_TRUE(Eventually([&] { return restarts.Value() == 1; }));
  const auto results = SendAll(*producer, {Text("t", "a", "after")});
  EXPECT_TRUE(results[0].ok()) << results[0].status();
}

TEST_P(ProducerTest, FatalErrorReportsWhatWasUnderWay) {
  MakeTopic("t", 1);
  const auto producer = MakeProducer([](Producer::Options& options) { options.linger_ms = 2000; });
  std::atomic<int> failed = 0;
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(producer
                    ->Send(Text("t", "a", "x"),
                           [&](const Result<Position>& result) {
                             failed += result.status().code() == absl::StatusCode::kUnavailable;
                           })
                    .ok());
  }
  internal::FailFatallyForTest(*producer);
  EXPECT_TRUE(Eventually([&] { return failed == 5; }));
}

TEST_P(ProducerTest, ManualPollIsWokenThroughTheDescriptor) {
  MakeTopic("t", 1);
  const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  {
    const auto producer = MakeProducer([fd](Producer::Options& options) {
      options.manual_poll = true;
      options.notify_fd = fd;
    });
    const std::thread::id here = std::this_thread::get_id();
    int reported = 0;
    for (int i = 0; i < 100; ++i) {
      ASSERT_TRUE(producer
                      ->Send(Text("t", "a", std::to_string(i)),
                             [&](const Result<Position>& result) {
                               EXPECT_TRUE(result.ok());
                               EXPECT_EQ(std::this_thread::get_id(), here);
                               ++reported;
                             })
                      .ok());
    }
    EXPECT_TRUE(Eventually([&] {
      uint64_t wakeups = 0;
      if (read(fd, &wakeups, sizeof(wakeups)) == sizeof(wakeups)) {
        producer->Poll();
      }
      return reported == 100;
    }));
    // A remade client wakes too.
    internal::FailFatallyForTest(*producer);
    auto& restarts = metrics_.GetCounter("kafka_client_restarts_total", {{"reason", "fatal"}});
    EXPECT_TRUE(Eventually([&] {
      producer->Poll();
      return restarts.Value() == 1;
    }));
    ASSERT_TRUE(producer->Send(Text("t", "a", "z"), [&](const auto&) { ++reported; }).ok());
    EXPECT_TRUE(Eventually([&] {
      uint64_t wakeups = 0;
      if (read(fd, &wakeups, sizeof(wakeups)) == sizeof(wakeups)) {
        producer->Poll();
      }
      return reported == 101;
    }));
  }
  close(fd);
}

TEST_P(ProducerTest, EndingReportsTheRest) {
  MakeTopic("t", 1);
  auto producer = MakeProducer([](Producer::Options& options) { options.linger_ms = 2000; });
  int reported = 0;
  ASSERT_TRUE(producer->Send(Text("t", "a", "x"), [&](const auto&) { ++reported; }).ok());
  producer.reset();
  EXPECT_EQ(reported, 1);
}

TEST_P(ProducerTest, BrokerAwayAndBack) {
  if (broker_ == nullptr) {
    GTEST_SKIP() << "Apache Kafka is stopped and started by the end-to-end tests";
  }
  MakeTopic("t", 1);
  const auto producer =
      MakeProducer([](Producer::Options& options) { options.delivery_timeout = absl::Seconds(1); });
  ASSERT_TRUE(SendAll(*producer, {Text("t", "a", "1")})[0].ok());
  ASSERT_TRUE(broker_->Tell("down").ok());
  const auto lost = SendAll(*producer, {Text("t", "a", "2")});
  EXPECT_FALSE(lost[0].ok());
  EXPECT_EQ(DispositionOf(lost[0].status()), Disposition::kRetry) << lost[0].status();
  EXPECT_TRUE(Eventually([&] { return !producer->Connected(); }));
  ASSERT_TRUE(broker_->Tell("up").ok());
  EXPECT_TRUE(Eventually([&] { return producer->Connected(); }));
  EXPECT_TRUE(SendAll(*producer, {Text("t", "a", "3")})[0].ok());
}

TEST_P(ProducerTest, SequenceFaultOfTheBrokerIsSurvived) {
  if (broker_ == nullptr) {
    GTEST_SKIP() << "faults are pushed into the embedded broker only";
  }
  MakeTopic("t", 1);
  const auto producer = MakeProducer();
  ASSERT_TRUE(SendAll(*producer, {Text("t", "a", "1")})[0].ok());
  // Produce is request 0, OUT_OF_ORDER_SEQUENCE_NUMBER error 45.
  ASSERT_TRUE(broker_->Tell("errors 0 45 1").ok());
  SendAll(*producer, {Text("t", "a", "2")});
  EXPECT_TRUE(Eventually([&] { return SendAll(*producer, {Text("t", "a", "3")})[0].ok(); },
                         absl::Seconds(10)));
}

class ConsumerTest : public BrokerTest {};

TEST_P(ConsumerTest, ReadsWhatWasWritten) {
  MakeTopic("t", 1);
  SendAll(*MakeProducer(),
          {{"t", -1, "a", "1", {{"h", "x"}, {"empty", ""}}}, {"t", -1, "a", std::nullopt, {}}});
  const auto consumer = MakeConsumer(ConsumerOptions("t"));
  const auto records = ReadAll(*consumer, 2);
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_EQ(records[0].topic, "t");
  EXPECT_EQ(records[0].key, "a");
  EXPECT_EQ(records[0].value, "1");
  EXPECT_EQ(records[0].headers, (Headers{{"h", "x"}, {"empty", ""}}));
  EXPECT_LT(absl::AbsDuration(absl::Now() - records[0].timestamp), absl::Minutes(1));
  EXPECT_EQ(records[1].offset, 1);
  EXPECT_FALSE(records[1].value.has_value());
}

TEST_P(ConsumerTest, GoesOnWhereTheGroupCommitted) {
  MakeTopic("t", 1);
  SendAll(*MakeProducer(), {Text("t", "a", "1"), Text("t", "a", "2"), Text("t", "a", "3")});
  {
    const auto consumer = MakeConsumer(ConsumerOptions("t"));
    ASSERT_THAT(ReadAll(*consumer, 3), SizeIs(3));
    const auto none = consumer->Committed({{"t", 0}});
    ASSERT_TRUE(none.ok()) << none.status();
    EXPECT_EQ(none->front().second, -1);
    ASSERT_TRUE(consumer->Commit({{{"t", 0}, 2}}).ok());
    EXPECT_EQ(consumer->Committed({{"t", 0}})->front().second, 2);
  }
  const auto consumer = MakeConsumer(ConsumerOptions("t"));
  const auto records = ReadAll(*consumer, 1);
  ASSERT_THAT(records, SizeIs(1));
  EXPECT_EQ(records[0].value, "3");
}

TEST_P(ConsumerTest, SeeksPausesAndCountsLag) {
  MakeTopic("t", 1);
  const auto producer = MakeProducer();
  SendAll(*producer, {Text("t", "a", "1"), Text("t", "a", "2")});
  const auto consumer = MakeConsumer(ConsumerOptions("t"));
  const TopicPartition partition = {"t", 0};
  ASSERT_THAT(ReadAll(*consumer, 2), SizeIs(2));
  EXPECT_THAT(consumer->Lag(), ElementsAre(std::pair(partition, 0)));

  const Status sought = consumer->Seek(partition, 1);
  ASSERT_TRUE(sought.ok()) << sought;
  EXPECT_THAT(consumer->Lag(), ElementsAre(std::pair(partition, 1)));
  const auto again = ReadAll(*consumer, 1);
  ASSERT_THAT(again, SizeIs(1));
  EXPECT_EQ(again[0].value, "2");

  ASSERT_TRUE(consumer->Pause(partition).ok());
  SendAll(*producer, {Text("t", "a", "3")});
  EXPECT_THAT(*consumer->Poll(10, absl::Milliseconds(500)), IsEmpty());
  ASSERT_TRUE(consumer->Resume(partition).ok());
  const auto resumed = ReadAll(*consumer, 1);
  ASSERT_THAT(resumed, SizeIs(1));
  EXPECT_EQ(resumed[0].value, "3");
}

TEST_P(ConsumerTest, LargeRecordsComeAFewAtATime) {
  MakeTopic("t", 1);
  constexpr size_t kRecords = 40;
  constexpr size_t kSize = 768 << 10;
  SendAll(*MakeProducer(),
          std::vector<OutRecord>(kRecords, Text("t", "a", std::string(kSize, 'x'))));
  const auto consumer = MakeConsumer(ConsumerOptions("t"));
  // Fetched while nobody polls.
  ASSERT_TRUE(Eventually([&] { return !consumer->Poll(1, absl::Milliseconds(50))->empty(); }));
  absl::SleepFor(absl::Seconds(1));
  size_t largest = 0;
  for (size_t read = 1; read < kRecords;) {
    const auto records = consumer->Poll(kRecords, absl::Seconds(5));
    ASSERT_TRUE(records.ok()) << records.status();
    ASSERT_THAT(*records, Not(IsEmpty()));
    largest = std::max(largest, records->size());
    read += records->size();
  }
  EXPECT_LE(largest * kSize, (16 << 20) + kSize);
}

TEST_P(ConsumerTest, AssignmentMayChooseWhereToStart) {
  MakeTopic("t", 2);
  const auto producer = MakeProducer();
  SendAll(*producer, {{"t", 0, "", "0a", {}}, {"t", 0, "", "0b", {}}, {"t", 1, "", "1a", {}}});
  Consumer* self = nullptr;
  std::vector<TopicPartition> assigned;
  int revoked = 0;
  Consumer::Options options = ConsumerOptions("t");
  options.on_assigned = [&](const std::vector<TopicPartition>& partitions) {
    assigned = partitions;
    EXPECT_TRUE(self->Seek({"t", 0}, 1).ok());
    EXPECT_TRUE(self->Pause({"t", 1}).ok());
  };
  options.on_revoked = [&](const std::vector<TopicPartition>& partitions, bool lost) {
    EXPECT_FALSE(lost);
    EXPECT_THAT(partitions, SizeIs(2));
    EXPECT_TRUE(self->Commit({{{"t", 0}, 2}}).ok());
    ++revoked;
  };
  {
    const auto consumer = MakeConsumer(std::move(options));
    self = consumer.get();
    const auto records = ReadAll(*consumer, 1);
    ASSERT_THAT(records, SizeIs(1));
    EXPECT_EQ(records[0].value, "0b");
    EXPECT_THAT(assigned, UnorderedElementsAre(TopicPartition{"t", 0}, TopicPartition{"t", 1}));
  }
  EXPECT_EQ(revoked, 1);
}

TEST_P(ConsumerTest, SecondMemberTakesItsPart) {
  MakeTopic("t", 2);
  std::set<int32_t> first_has;
  Consumer::Options options = ConsumerOptions("t");
  options.on_assigned = [&](const std::vector<TopicPartition>& partitions) {
    first_has.clear();
    for (const TopicPartition& partition : partitions) {
      first_has.insert(partition.partition);
    }
  };
  const auto first = MakeConsumer(options);
  EXPECT_TRUE(Eventually(
      [&] { return first->Poll(1, absl::Milliseconds(50)).ok() && first_has.size() == 2; }));
  std::set<int32_t> second_has;
  options.on_assigned = [&](const std::vector<TopicPartition>& partitions) {
    for (const TopicPartition& partition : partitions) {
      second_has.insert(partition.partition);
    }
  };
  const auto second = MakeConsumer(options);
  EXPECT_TRUE(Eventually([&] {
    static_cast<void>(first->Poll(1, absl::Milliseconds(50)));
    static_cast<void>(second->Poll(1, absl::Milliseconds(50)));
    return first_has.size() == 1 && second_has.size() == 1;
  }));
}

TEST_P(ConsumerTest, FatalErrorTakesThePartitionsAway) {
  MakeTopic("t", 2);
  std::set<int32_t> has;
  bool was_lost = false;
  Consumer::Options options = ConsumerOptions("t");
  options.on_assigned = [&](const std::vector<TopicPartition>& partitions) {
    for (const TopicPartition& partition : partitions) {
      has.insert(partition.partition);
    }
  };
  options.on_revoked = [&](const std::vector<TopicPartition>& partitions, bool lost) {
    was_lost = lost;
    for (const TopicPartition& partition : partitions) {
      has.erase(partition.partition);
    }
  };
  auto consumer = MakeConsumer(options);
  ASSERT_TRUE(Eventually(
      [&] { return consumer->Poll(1, absl::Milliseconds(50)).ok() && has.size() == 2; }));
  internal::FailFatallyForTest(*consumer);
  EXPECT_TRUE(Eventually([&] {
    return consumer->Poll(1, absl::Milliseconds(50)).status().code() == absl::StatusCode::kAborted;
  }));
  consumer.reset();
  EXPECT_THAT(has, IsEmpty());
  EXPECT_TRUE(was_lost);
}

class TableTest : public BrokerTest {};

TEST_P(TableTest, CatchesUpAndFollows) {
  MakeTopic("t", 2, {{"cleanup.policy", "compact"}});
  const auto producer = MakeProducer();
  SendAll(*producer, {Text("t", "a", "1"), Text("t", "b", "2"), Text("t", "a", "3")});
  std::mutex mutex;
  std::map<std::string, std::string> table;
  std::atomic<bool> caught_up = false;
  TableReader::Options options;
  options.client = config_;
  options.topic = "t";
  options.on_record = [&](const InRecord& record) {
    const std::lock_guard lock(mutex);
    if (record.value.has_value()) {
      table[record.key] = *record.value;
    } else {
      table.erase(record.key);
    }
  };
  options.on_caught_up = [&] { caught_up = true; };
  auto reader = TableReader::Create(std::move(options), metrics_);
  ASSERT_TRUE(reader.ok()) << reader.status();
  ASSERT_TRUE(Eventually([&] { return caught_up.load(); }));
  {
    const std::lock_guard lock(mutex);
    EXPECT_EQ(table, (std::map<std::string, std::string>{{"a", "3"}, {"b", "2"}}));
  }
  SendAll(*producer, {{"t", -1, "b", std::nullopt, {}}, Text("t", "c", "4")});
  EXPECT_TRUE(Eventually([&] {
    const std::lock_guard lock(mutex);
    return table == std::map<std::string, std::string>{{"a", "3"}, {"c", "4"}};
  }));
}

TEST_P(TableTest, EmptyTopicIsCaughtUp) {
  MakeTopic("t", 3);
  std::atomic<int> caught_up = 0;
  TableReader::Options options;
  options.client = config_;
  options.topic = "t";
  options.on_record = [](const InRecord&) { FAIL(); };
  options.on_caught_up = [&] { ++caught_up; };
  const auto reader = TableReader::Create(std::move(options), metrics_);
  ASSERT_TRUE(reader.ok());
  EXPECT_TRUE(Eventually([&] { return caught_up == 1; }));
}

TEST_P(TableTest, WaitsForItsTopic) {
  std::atomic<int> caught_up = 0;
  TableReader::Options options;
  options.client = config_;
  options.topic = "t";
  options.on_record = [](const InRecord&) {};
  options.on_caught_up = [&] { ++caught_up; };
  const auto reader = TableReader::Create(std::move(options), metrics_);
  ASSERT_TRUE(reader.ok());
  absl::SleepFor(absl::Milliseconds(300));
  EXPECT_EQ(caught_up, 0);
  MakeTopic("t", 1);
  EXPECT_TRUE(Eventually([&] { return caught_up == 1; }));
}

TEST_P(TableTest, PartitionCountsNameWhatIsMissing) {
  MakeTopic("a", 1);
  MakeTopic("b", 5);
  const auto counts = PartitionCounts(config_, {"b", "a"});
  ASSERT_TRUE(counts.ok()) << counts.status();
  EXPECT_THAT(*counts, ElementsAre(5, 1));
  const auto missing = PartitionCounts(config_, {"a", "c"});
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(std::string(missing.status().message()).find(config_.topic_prefix + "c"),
            std::string::npos);
}

TEST_P(TableTest, TopicsWatchShowsThatOneIsMissingUntilItIsThere) {
  MakeTopic("a", 1);
  const prometheus::Gauge& missing = metrics_.GetGauge("kafka_topics_missing");
  const TopicsWatch watch(config_, {"a", "c"}, metrics_);
  EXPECT_TRUE(Eventually([&] { return missing.Value() == 1; }));
  MakeTopic("c", 1);
  EXPECT_TRUE(Eventually([&] { return missing.Value() == 0; }));
}

TEST(PartitionCountsTest, BrokersThatAreAwaySayNothingOfTopics) {
  ClientConfig config;
  config.brokers = "127.0.0.1:1";
  const Status status = PartitionCounts(config, {"a"}, absl::Milliseconds(300)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
}

class RangeTest : public BrokerTest {};

TEST_P(RangeTest, ReadsToTheEnd) {
  MakeTopic("t", 1);
  const auto [nothing, empty] = ReadPartition("t");
  EXPECT_THAT(nothing, IsEmpty());
  EXPECT_EQ(empty.next, 0);
  SendAll(*MakeProducer(), {Text("t", "a", "1"), Text("t", "a", "2"), Text("t", "a", "3")});
  const auto [all, whole] = ReadPartition("t");
  EXPECT_THAT(all, ElementsAre("1", "2", "3"));
  EXPECT_EQ(whole.next, 3);
  EXPECT_EQ(whole.earliest, 0);
  EXPECT_THAT(ReadPartition("t", 2).first, ElementsAre("3"));
  const auto [none, at_end] = ReadPartition("t", 3);
  EXPECT_THAT(none, IsEmpty());
  EXPECT_EQ(at_end.next, 3);
}

TEST_P(RangeTest, PositionBeyondTheEndIsAnError) {
  MakeTopic("t", 1);
  ReadRangeOptions options;
  options.client = config_;
  options.partition = {"t", 0};
  options.from = 7;
  options.on_record = [](const InRecord&) {};
  EXPECT_EQ(ReadRange(options).status().code(), absl::StatusCode::kOutOfRange);
}

class TransactionTest : public BrokerTest {};

TEST_P(TransactionTest, CommitGivesPositionsAndOffsets) {
  MakeTopic("in", 1);
  MakeTopic("out", 2);
  SendAll(*MakeProducer(), {Text("in", "a", "1"), Text("in", "a", "2")});
  const auto consumer = MakeConsumer(ConsumerOptions("in"));
  ASSERT_THAT(ReadAll(*consumer, 2), SizeIs(2));
  const auto producer = MakeTransactional("tx");
  ASSERT_TRUE(Eventually([&] { return producer->Begin().ok(); }));
  ASSERT_TRUE(producer->Send({"out", 1, "k", "x", {}}).ok());
  ASSERT_TRUE(producer->Send({"out", 0, "k", "y", {}}).ok());
  ASSERT_TRUE(producer->Send({"out", 1, "k", "z", {}}).ok());
  const auto positions = producer->Commit(*consumer, {{{"in", 0}, 2}});
  ASSERT_TRUE(positions.ok()) << positions.status();
  ASSERT_THAT(*positions, SizeIs(3));
  EXPECT_EQ((*positions)[0].partition, 1);
  EXPECT_EQ((*positions)[0].offset, 0);
  EXPECT_EQ((*positions)[1].partition, 0);
  EXPECT_EQ((*positions)[2].offset, 1);
  EXPECT_EQ(consumer->Committed({{"in", 0}})->front().second, 2);
}

TEST_P(TransactionTest, AbortedRecordsAreNotSeenAndRangesEnd) {
  if (GetParam() == Kind::kEmbedded) {
    GTEST_SKIP() << "the embedded broker shows aborted records";
  }
  MakeTopic("in", 1);
  MakeTopic("out", 1);
  const auto consumer = MakeConsumer(ConsumerOptions("in"));
  ASSERT_TRUE(Eventually([&] {
    static_cast<void>(consumer->Poll(1, absl::Milliseconds(20)));
    return !consumer->Lag().empty();
  }));
  const auto producer = MakeTransactional("tx");
  ASSERT_TRUE(producer->Begin().ok());
  ASSERT_TRUE(producer->Send(Text("out", "k", "kept")).ok());
  ASSERT_TRUE(producer->Commit(*consumer, {{{"in", 0}, 0}}).ok());
  // The partition's tail: a marker only.
  EXPECT_EQ(ReadPartition("out").second.next, 2);
  ASSERT_TRUE(producer->Begin().ok());
  ASSERT_TRUE(producer->Send(Text("out", "k", "lost")).ok());
  absl::SleepFor(absl::Milliseconds(100));
  // An open transaction holds the end back.
  EXPECT_EQ(ReadPartition("out").second.next, 2);
  ASSERT_TRUE(producer->Abort().ok());
  // Now the tail is an aborted record and two markers.
  const auto [values, end] = ReadPartition("out");
  EXPECT_THAT(values, ElementsAre("kept"));
  EXPECT_EQ(end.next, 4);
  const auto [none, again] = ReadPartition("out", 2);
  EXPECT_THAT(none, IsEmpty());
  EXPECT_EQ(again.next, 4);
  EXPECT_THAT(ReadPartition("out", 4).first, IsEmpty());
  ASSERT_TRUE(producer->Begin().ok());
  ASSERT_TRUE(producer->Send(Text("out", "k", "next")).ok());
  ASSERT_TRUE(producer->Commit(*consumer, {}).ok());
  EXPECT_THAT(ReadPartition("out").first, ElementsAre("kept", "next"));
}

TEST_P(TransactionTest, NewInstanceFencesTheOldOne) {
  if (GetParam() == Kind::kEmbedded) {
    GTEST_SKIP() << "exactly-once is judged on Apache Kafka";
  }
  MakeTopic("in", 1);
  MakeTopic("out", 1);
  const auto consumer = MakeConsumer(ConsumerOptions("in"));
  const auto old_one = MakeTransactional("tx");
  ASSERT_TRUE(old_one->Begin().ok());
  ASSERT_TRUE(old_one->Send(Text("out", "k", "old")).ok());
  const auto new_one = MakeTransactional("tx");
  ASSERT_TRUE(Eventually([&] { return new_one->Begin().ok(); }));
  ASSERT_TRUE(new_one->Send(Text("out", "k", "new")).ok());
  ASSERT_TRUE(new_one->Commit(*consumer, {}).ok());
  EXPECT_FALSE(old_one->Commit(*consumer, {}).ok());
  ASSERT_TRUE(old_one->Abort().ok());
  EXPECT_THAT(ReadPartition("out").first, ElementsAre("new"));
  // Made anew, it fences the other in turn.
  ASSERT_TRUE(Eventually([&] { return old_one->Begin().ok(); }));
  ASSERT_TRUE(old_one->Send(Text("out", "k", "back")).ok());
  ASSERT_TRUE(old_one->Commit(*consumer, {}).ok());
  EXPECT_THAT(ReadPartition("out").first, ElementsAre("new", "back"));
}

TEST_P(TransactionTest, TooLargeRecordLeavesTheTransactionWhole) {
  MakeTopic("in", 1);
  MakeTopic("out", 1);
  const auto consumer = MakeConsumer(ConsumerOptions("in"));
  const auto producer = MakeTransactional("tx");
  ASSERT_TRUE(Eventually([&] { return producer->Begin().ok(); }));
  ASSERT_TRUE(producer->Send(Text("out", "k", "1")).ok());
  EXPECT_EQ(producer->Send(Text("out", "k", std::string(7 << 20, 'x'))).code(),
            absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(producer->Send(Text("out", "k", "2")).ok());
  const auto positions = producer->Commit(*consumer, {});
  ASSERT_TRUE(positions.ok()) << positions.status();
  EXPECT_THAT(*positions, SizeIs(2));
}

TEST_P(TransactionTest, WithoutBeginNothingIsTaken) {
  const auto producer = MakeTransactional("tx");
  EXPECT_EQ(producer->Send(Text("out", "k", "1")).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(producer->Abort().ok());
}

class AdminTest : public BrokerTest {};

TEST_P(AdminTest, MakesAndChangesTopics) {
  if (GetParam() == Kind::kEmbedded) {
    GTEST_SKIP() << "the embedded broker has no admin interface";
  }
  MakeTopic("t", 2, {{"retention.ms", "1000000"}});
  const auto admin = Admin::Create(config_);
  ASSERT_TRUE(admin.ok());
  const std::string full = config_.topic_prefix + "t";
  EXPECT_EQ((*admin)->CreateTopic(full, {2, 1, {}}).code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE((*admin)->AddPartitions(full, 4).ok());
  ASSERT_TRUE((*admin)->ReplaceSettings(full, {{"retention.ms", "2000000"}}).ok());
  EXPECT_TRUE(Eventually([&] {
    const auto topics = (*admin)->List();
    if (!topics.ok() || !topics->contains(full)) {
      return false;
    }
    const Admin::Topic& topic = topics->at(full);
    return topic.partitions == 4 && topic.replication == 1 &&
           topic.settings == std::map<std::string, std::string>{{"retention.ms", "2000000"}};
  }));
}

std::string KindName(const ::testing::TestParamInfo<Kind>& info) {
  return info.param == Kind::kEmbedded ? "Embedded" : "Apache";
}

const auto kBoth = ::testing::Values(Kind::kEmbedded, Kind::kApache);

INSTANTIATE_TEST_SUITE_P(Brokers, ProducerTest, kBoth, KindName);
INSTANTIATE_TEST_SUITE_P(Brokers, ConsumerTest, kBoth, KindName);
INSTANTIATE_TEST_SUITE_P(Brokers, TableTest, kBoth, KindName);
INSTANTIATE_TEST_SUITE_P(Brokers, RangeTest, kBoth, KindName);
INSTANTIATE_TEST_SUITE_P(Brokers, TransactionTest, kBoth, KindName);
INSTANTIATE_TEST_SUITE_P(Brokers, AdminTest, kBoth, KindName);

}  // namespace
}  // namespace dealstream::kafka
