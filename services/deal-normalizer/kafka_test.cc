// The service as a process against Apache Kafka, where DEALSTREAM_KAFKA_BROKERS names one: killed
// without warning again and again under load, subscribers see each change once and in order.
#include "libs/kafka/kafka.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dealstream/deal/v1/deal.pb.h"
#include "dealstream/state/v1/state.pb.h"
#include "libs/base/ids.h"
#include "libs/crm/registry.h"
#include "libs/kafka/admin.h"
#include "libs/obs/metrics.h"
#include "services/deal-normalizer/batch.h"
#include "services/deal-normalizer/samples.h"

extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace dealstream::normalizer {
namespace {

constexpr int kTopicPartitions = 4;
constexpr int kDeals = 40;

class ServiceProcess {
 public:
  ServiceProcess(std::vector<std::string> settings, std::string log)
      : settings_(std::move(settings)), log_(std::move(log)) {}
  ~ServiceProcess() { End(SIGKILL); }
  ServiceProcess(const ServiceProcess&) = delete;
  ServiceProcess& operator=(const ServiceProcess&) = delete;

  void Start() {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(
        &actions, STDERR_FILENO, log_.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
    std::string executable = DEALSTREAM_BIN_DIR "/deal-normalizer";
    std::vector<char*> argv = {executable.data(), nullptr};
    std::vector<char*> env;
    for (char** variable = environ; *variable != nullptr; ++variable) {
      if (!std::string_view(*variable).starts_with("DEALSTREAM_")) {
        env.push_back(*variable);
      }
    }
    for (std::string& setting : settings_) {
      env.push_back(setting.data());
    }
    env.push_back(nullptr);
    ASSERT_EQ(posix_spawn(&pid_, executable.c_str(), &actions, nullptr, argv.data(), env.data()),
              0);
    posix_spawn_file_actions_destroy(&actions);
  }

  // Gives back the exit code, or -1 when it was killed.
  int End(int signal) {
    if (pid_ == 0) {
      return 0;
    }
    kill(pid_, signal);
    int status = 0;
    waitpid(std::exchange(pid_, 0), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  std::vector<std::string> settings_;
  const std::string log_;
  pid_t pid_ = 0;
};

class KafkaTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* brokers = std::getenv("DEALSTREAM_KAFKA_BROKERS");
    if (brokers == nullptr) {
      GTEST_SKIP() << "DEALSTREAM_KAFKA_BROKERS isn't set: Apache Kafka is not tested here";
    }
    client_.brokers = brokers;
    client_.client_id = "normalizer-test";
    client_.topic_prefix = NewId("t", Clock::System()) + ".";
    for (const auto& adapter : registry_.adapters()) {
      if (adapter->deal_mapper() != nullptr) {
        adapter_ = adapter.get();
        break;
      }
    }
    ASSERT_NE(adapter_, nullptr);
    auto sample =
        Sample::Load(*adapter_,
                     fmt::format("{}/libs/crm/{}/testdata", DEALSTREAM_SOURCE_DIR, adapter_->id()),
                     2'048);
    ASSERT_TRUE(sample.ok()) << sample.status();
    sample_ = std::make_unique<Sample>(*std::move(sample));
    topics_ = std::make_unique<Topics>(adapter_->id());
    auto admin = kafka::Admin::Create(client_);
    ASSERT_TRUE(admin.ok()) << admin.status();
    for (const std::string& topic : {topics_->records,
                                     topics_->state,
                                     topics_->deals,
                                     topics_->snapshots,
                                     topics_->requests,
                                     topics_->dead_letters}) {
      std::map<std::string, std::string> settings;
      if (topic == topics_->state) {
        settings["cleanup.policy"] = "compact";
      }
      ASSERT_TRUE((*admin)
                      ->CreateTopic(
                          client_.topic_prefix + topic,
                          {.partitions = kTopicPartitions, .replication = 1, .settings = settings})
                      .ok());
    }
    folder_ = fmt::format("{}/normalizer.{}", testing::TempDir(), getpid());
    std::filesystem::create_directories(folder_);
    auto producer = kafka::Producer::Create({.client = client_, .linger_ms = 1}, metrics_);
    ASSERT_TRUE(producer.ok()) << producer.status();
    producer_ = *std::move(producer);
  }

  void TearDown() override {
    if (!folder_.empty() && !HasFailure()) {
      std::filesystem::remove_all(folder_);
    }
  }

  std::unique_ptr<ServiceProcess> MakeProcess(const std::string& instance) {
    return std::make_unique<ServiceProcess>(
        std::vector<std::string>{
            "DEALSTREAM_CRM=" + std::string(adapter_->id()),
            "DEALSTREAM_INSTANCE=" + instance,
            "DEALSTREAM_STATE_PATH=" + folder_ + "/state" + instance,
            "DEALSTREAM_KAFKA_BROKERS=" + client_.brokers,
            "DEALSTREAM_KAFKA_TOPIC_PREFIX=" + client_.topic_prefix,
            "DEALSTREAM_ADMIN_ADDRESS=127.0.0.1:0",
            "DEALSTREAM_DRAIN_DELAY=0s",
        },
        folder_ + "/log" + instance);
  }

  void Send(int deal, int64_t version) {
    kafka::OutRecord record;
    record.topic = topics_->records;
    record.key = fmt::format("account{}", deal % 7);
    record.value = sample_->Make(deal, version).SerializeAsString();
    ASSERT_TRUE(
        producer_
            ->Send(std::move(record),
                   [this](const Result<kafka::Position>& done) { failed_ += done.ok() ? 0 : 1; })
            .ok());
  }

  std::vector<kafka::InRecord> Read(const std::string& topic) {
    std::vector<kafka::InRecord> records;
    for (int32_t partition = 0; partition < kTopicPartitions; ++partition) {
      kafka::ReadRangeOptions options;
      options.client = client_;
      options.partition = {topic, partition};
      options.on_record = [&records](const kafka::InRecord& record) { records.push_back(record); };
      const auto read = kafka::ReadRange(options);
      EXPECT_TRUE(read.ok()) << read.status();
    }
    return records;
  }

  const crm::Registry registry_ = crm::AllAdapters();
  const crm::Adapter* adapter_ = nullptr;
  kafka::ClientConfig client_;
  std::unique_ptr<Sample> sample_;
  std::unique_ptr<Topics> topics_;
  std::string folder_;
  obs::Metrics metrics_{"normalizer-test", "1", "r"};
  std::atomic<int> failed_ = 0;
  std::unique_ptr<kafka::Producer> producer_;
};

TEST_F(KafkaTest, KilledTwentyTimesGivesEachChangeOnceAndInOrder) {
  std::vector<int64_t> versions(kDeals, 0);
  std::atomic<bool> stop = false;
  std::thread load([&] {
    std::mt19937 random(3);
    while (!stop) {
      const int deal = static_cast<int>(random() % kDeals);
      // Now and then a repeat or an older version.
      const int64_t version =
          random() % 5 == 0 && versions[static_cast<size_t>(deal)] > 0
              ? versions[static_cast<size_t>(deal)] - static_cast<int64_t>(random() % 2)
              : ++versions[static_cast<size_t>(deal)];
      Send(deal, version);
      if (random() % 4 == 0) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    }
  });
  std::mt19937 random(7);
  auto process = MakeProcess("0");
  for (int kills = 0; kills < 20; ++kills) {
    process->Start();
    std::this_thread::sleep_for(std::chrono::milliseconds(300 + random() % 2'000));
    process->End(SIGKILL);
    if (kills % 7 == 6) {
      // The disk is lost, too.
      std::filesystem::remove_all(folder_ + "/state0");
    }
  }
  stop = true;
  load.join();
  ASSERT_TRUE(producer_->Flush(absl::Now() + absl::Seconds(30)).ok());
  EXPECT_EQ(failed_, 0);
  process->Start();

  size_t expected = 0;
  for (const int64_t version : versions) {
    expected += static_cast<size_t>(version);
  }
  std::vector<kafka::InRecord> deals;
  const absl::Time limit = absl::Now() + absl::Seconds(120);
  while (deals.size() < expected && absl::Now() < limit) {
    absl::SleepFor(absl::Seconds(1));
    deals = Read(topics_->deals);
  }
  EXPECT_EQ(process->End(SIGTERM), 0);
  deals = Read(topics_->deals);

  std::map<std::string, std::vector<int64_t>> seen;
  for (const kafka::InRecord& record : deals) {
    deal::v1::DealEvent event;
    ASSERT_TRUE(event.ParseFromString(*record.value));
    seen[event.deal().id()].push_back(std::stoll(event.deal().title()));
    EXPECT_EQ(event.kind() == deal::v1::DEAL_EVENT_KIND_CREATED,
              seen[event.deal().id()].size() == 1);
  }
  EXPECT_EQ(deals.size(), expected);
  EXPECT_EQ(seen.size(), size_t{kDeals});
  for (int deal = 0; deal < kDeals; ++deal) {
    std::vector<int64_t> want;
    for (int64_t version = 1; version <= versions[static_cast<size_t>(deal)]; ++version) {
      want.push_back(version);
    }
    const std::string id = EntityIdOf(sample_->Make(deal, 1));
    EXPECT_EQ(seen[id], want) << id;
  }
  EXPECT_TRUE(Read(topics_->dead_letters).empty());
  std::map<std::string, std::string> snapshots;
  for (const kafka::InRecord& record : Read(topics_->snapshots)) {
    snapshots[record.key] = record.value.value_or("");
  }
  for (const kafka::InRecord& record : Read(topics_->state)) {
    state::v1::EntityState state;
    ASSERT_TRUE(state.ParseFromString(*record.value));
    if (state.version() ==
        versions[std::stoul(record.key.substr(record.key.find(':') + 1, 8), nullptr, 16)]) {
      EXPECT_EQ(snapshots[record.key], state.deal().SerializeAsString());
    }
  }
  fmt::print("{} changes, each once, through 20 kills\n", deals.size());
}

// A restore that begins while the former owner's transaction is ending sees how it ends.
TEST_F(KafkaTest, RestoreWaitsForTransactionsThatAreOpen) {
  for (const bool commit : {true, false}) {
    kafka::Consumer::Options member;
    member.client = client_;
    member.group = "g";
    member.topics = {topics_->records};
    auto consumer = kafka::Consumer::Create(member, metrics_);
    auto producer = kafka::TransactionalProducer::Create(
        {.client = client_, .transactional_id = "former"}, metrics_);
    ASSERT_TRUE(consumer.ok() && producer.ok());
    ASSERT_TRUE((*producer)->Begin().ok());
    ASSERT_TRUE((*producer)
                    ->Send({.topic = topics_->state,
                            .partition = 1,
                            .key = commit ? "committed" : "aborted",
                            .value = "v",
                            .headers = {}})
                    .ok());
    // Time for the record to reach the broker.
    absl::SleepFor(absl::Milliseconds(300));
    std::vector<std::string> keys;
    Result<kafka::ReadRangeResult> read;
    std::atomic<bool> ended = false;
    std::thread restore([&] {
      kafka::ReadRangeOptions options;
      options.client = client_;
      options.partition = {topics_->state, 1};
      options.past_open_transactions = true;
      options.timeout = absl::Seconds(20);
      options.on_record = [&keys](const kafka::InRecord& record) { keys.push_back(record.key); };
      read = kafka::ReadRange(options);
      ended = true;
    });
    absl::SleepFor(absl::Seconds(1));
    EXPECT_FALSE(ended);
    if (commit) {
      EXPECT_TRUE((*producer)->Commit(**consumer, {}).ok());
    } else {
      EXPECT_TRUE((*producer)->Abort().ok());
    }
    restore.join();
    EXPECT_TRUE(read.ok()) << read.status();
    EXPECT_THAT(keys, testing::ElementsAre("committed"));
    // Each record and its marker.
    EXPECT_EQ(read->next, commit ? 2 : 4);
  }
}

}  // namespace
}  // namespace dealstream::normalizer
