#include "services/cabinet/outbox.h"

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <thread>

#include "absl/time/clock.h"
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libs/obs/metrics.h"
#include "services/cabinet/cabinet.h"
#include "services/cabinet/fakes.h"
#include "services/cabinet/test_folder.h"

namespace dealstream::cabinet {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr OutboxPublisher::Options kQuick = {
    .batch = 500, .pause = absl::Milliseconds(5), .delivery_timeout = absl::Milliseconds(300)};

class OutboxPublisherTest : public testing::Test {
 protected:
  OutboxPublisherTest() {
    auto store = Store::Open(folder_.StoreUrl(), Clock::System());
    EXPECT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }

  void Enqueue(const std::string& key, const std::string& value) {
    ASSERT_TRUE(
        store_->Enqueue({.topic = "t", .partition = -1, .key = key, .value = value, .headers = {}})
            .ok());
  }
  static bool Eventually(const std::function<bool()>& holds) {
    for (int i = 0; i < 1000; ++i) {
      if (holds()) {
        return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }
  bool WaitUntilEmpty() {
    return Eventually([this] { return store_->Figures()->records == 0; });
  }
  static std::vector<std::string> Values(const std::vector<kafka::OutRecord>& records,
                                         const std::string& key) {
    std::vector<std::string> values;
    for (const kafka::OutRecord& record : records) {
      if (record.key == key) {
        values.push_back(*record.value);
      }
    }
    return values;
  }

  TestFolder folder_;
  obs::Health health_{Clock::System()};
  obs::Metrics metrics_{"test", "1", "r"};
  std::unique_ptr<Store> store_;
};

TEST_F(OutboxPublisherTest, PublishesInTheOrderOfEachKey) {
  for (int i = 0; i < 3; ++i) {
    Enqueue("a", fmt::format("a{}", i));
    Enqueue("b", fmt::format("b{}", i));
  }
  FakeProducer producer;
  OutboxPublisher publisher(kQuick, *store_, producer, health_, metrics_);
  ASSERT_TRUE(WaitUntilEmpty());
  Enqueue("a", "a3");
  publisher.Wake();
  ASSERT_TRUE(WaitUntilEmpty());
  EXPECT_THAT(Values(producer.written(), "a"), ElementsAre("a0", "a1", "a2", "a3"));
  EXPECT_THAT(Values(producer.written(), "b"), ElementsAre("b0", "b1", "b2"));
}

TEST_F(OutboxPublisherTest, FailedRecordIsNotOvertakenByTheNextOfItsKey) {
  for (int i = 0; i < 4; ++i) {
    Enqueue("a", fmt::format("a{}", i));
  }
  Enqueue("b", "b0");
  // Every second try of "a" fails, in each of the ways there are.
  std::atomic<int> tries = 0;
  FakeProducer producer([&tries](const kafka::OutRecord& record) -> FakeProducer::Outcome {
    if (record.key != "a") {
      return {};
    }
    switch (tries++ % 6) {
      case 0:
        return {.send = absl::ResourceExhaustedError("full"), .report = {}};
      case 2:
        return {.send = {}, .report = absl::UnavailableError("broker away")};
      case 4:
        return {.send = {}, .report = {}, .never_reported = true};
      default:
        return {};
    }
  });
  OutboxPublisher publisher(kQuick, *store_, producer, health_, metrics_);
  ASSERT_TRUE(WaitUntilEmpty());
  EXPECT_THAT(Values(producer.written(), "a"), ElementsAre("a0", "a1", "a2", "a3"));
  EXPECT_THAT(Values(producer.written(), "b"), ElementsAre("b0"));
}

TEST_F(OutboxPublisherTest, WhatIsRefusedHoldsUpItsOwnKeyOnly) {
  // More of them than fit into a batch, and older than the rest.
  for (const char* key : {"x", "y", "z"}) {
    Enqueue(key, "1");
    Enqueue(key, "2");
  }
  Enqueue("a", "a0");
  Enqueue("a", "a1");
  std::atomic<bool> refuses = true;
  FakeProducer producer([&](const kafka::OutRecord& record) -> FakeProducer::Outcome {
    if (record.key == "a" || !refuses) {
      return {};
    }
    return {.send = {}, .report = absl::InvalidArgumentError("too large")};
  });
  OutboxPublisher publisher({.batch = 2,
                             .pause = absl::Milliseconds(5),
                             .refused_pause = absl::Milliseconds(50),
                             .delivery_timeout = absl::Milliseconds(300)},
                            *store_,
                            producer,
                            health_,
                            metrics_);
  EXPECT_TRUE(Eventually([&] { return store_->Figures()->records == 6; }));
  EXPECT_THAT(Values(producer.written(), "a"), ElementsAre("a0", "a1"));
  EXPECT_TRUE(Eventually([&] {
    return metrics_.Render().find("dealstream_outbox_refused_records 3") != std::string::npos;
  }));
  refuses = false;
  EXPECT_TRUE(WaitUntilEmpty());
  EXPECT_THAT(Values(producer.written(), "x"), ElementsAre("1", "2"));
  EXPECT_TRUE(Eventually([&] {
    return metrics_.Render().find("dealstream_outbox_refused_records 0") != std::string::npos;
  }));
}

TEST_F(OutboxPublisherTest, StopPublishesWhatIsThere) {
  FakeProducer producer;
  OutboxPublisher publisher(
      {.batch = 1, .pause = absl::Hours(1), .delivery_timeout = absl::Seconds(1)},
      *store_,
      producer,
      health_,
      metrics_);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  for (int i = 0; i < 5; ++i) {
    Enqueue("a", fmt::format("a{}", i));
  }
  EXPECT_TRUE(publisher.Stop(absl::Now() + absl::Seconds(10)).ok());
  EXPECT_EQ(store_->Figures()->records, 0);
}

TEST_F(OutboxPublisherTest, StopLeavesInTheStoreWhatKafkaDoesNotTake) {
  Enqueue("a", "a0");
  FakeProducer producer([](const kafka::OutRecord&) -> FakeProducer::Outcome {
    return {.send = {}, .report = {}, .never_reported = true};
  });
  OutboxPublisher publisher(
      {.batch = 1, .pause = absl::Hours(1), .delivery_timeout = absl::Hours(1)},
      *store_,
      producer,
      health_,
      metrics_);
  const absl::Time start = absl::Now();
  publisher.Stop(start + absl::Milliseconds(50)).IgnoreError();
  EXPECT_EQ(store_->Figures()->records, 1);
  EXPECT_THAT(producer.written(), IsEmpty());
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
}

// What the topic got, as lines "<integration id> <version>": a file outlives a killed process, like
// Kafka.
FakeProducer::Decide AppendTo(const std::string& path) {
  const int file = open(path.c_str(), O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);
  return [file](const kafka::OutRecord& record) -> FakeProducer::Outcome {
    integration::v1::Integration integration;
    integration.ParseFromString(*record.value);
    const std::string line = fmt::format("{} {}\n", integration.id(), integration.version());
    return write(file, line.data(), line.size()) == static_cast<ssize_t>(line.size())
               ? FakeProducer::Outcome{}
               : FakeProducer::Outcome{.send = absl::UnavailableError("file"), .report = {}};
  };
}

// A cabinet that makes integrations and changes them, on and on, until it is killed.
[[noreturn]] void MakeChangesForEver(const std::string& url, const std::string& topic_path) {
  auto store = Store::Open(url, Clock::System());
  if (!store.ok()) {
    std::_Exit(1);
  }
  obs::Metrics metrics("test", "1", "r");
  obs::Health health(Clock::System());
  const crm::Registry registry = FakeRegistry({{.interval = absl::ZeroDuration()}});
  ProgressTables progress;
  progress["acme"] = std::make_unique<ProgressTable>("acme", absl::Now(), metrics);
  FakeCredentials credentials;
  credentials.Put("crd_1", "acc", "acme", "acme:1");
  FakeProducer producer(AppendTo(topic_path));
  OutboxPublisher publisher(kQuick, **store, producer, health, metrics);
  Cabinet cabinet({.public_base_url = "https://x", .poll_interval = {}},
                  Clock::System(),
                  registry,
                  **store,
                  credentials,
                  progress,
                  [&publisher] { publisher.Wake(); });
  while (true) {
    v1::CreateIntegrationRequest create;
    create.set_account_id("acc");
    create.set_crm("acme");
    create.set_purpose(integration::v1::PURPOSE_DEALS);
    create.set_credential_id("crd_1");
    const auto made = cabinet.Create(create);
    for (int i = 0; made.ok() && i < 5; ++i) {
      v1::SetIntegrationActiveRequest active;
      active.set_id(made->view().integration().id());
      active.set_active(i % 2 == 0);
      cabinet.SetActive(active).status().IgnoreError();
    }
  }
}

constexpr char kVictimStore[] = "DEALSTREAM_TEST_VICTIM_STORE";
constexpr char kVictimTopic[] = "DEALSTREAM_TEST_VICTIM_TOPIC";

// Run by the next test in a process of its own.
TEST(OutboxVictim, DISABLED_MakesChangesForEver) {
  const char* url = std::getenv(kVictimStore);
  const char* topic_path = std::getenv(kVictimTopic);
  ASSERT_TRUE(url != nullptr && topic_path != nullptr);
  MakeChangesForEver(url, topic_path);
}

// A process begun anew: a fork of this one would lack gRPC's threads and have their locks.
pid_t StartVictim() {
  std::array<const char*, 4> arguments = {
      "cabinet_test", "--gtest_filter=OutboxVictim.*", "--gtest_also_run_disabled_tests", nullptr};
  pid_t child = -1;
  // The arguments aren't written to: the interface is older than const.
  EXPECT_EQ(posix_spawn(&child,
                        "/proc/self/exe",
                        nullptr,
                        nullptr,
                        const_cast<char**>(arguments.data()),
                        environ),
            0);
  return child;
}

TEST_F(OutboxPublisherTest, NothingIsLostBetweenStoreAndTopicHoweverItIsKilled) {
  const std::string topic_path = folder_.path() + "/topic";
  store_.reset();
  ASSERT_EQ(setenv(kVictimStore, folder_.StoreUrl().c_str(), 1), 0);
  ASSERT_EQ(setenv(kVictimTopic, topic_path.c_str(), 1), 0);
  const auto written = [&topic_path] {
    std::error_code error;
    const uintmax_t bytes = std::filesystem::file_size(topic_path, error);
    return error ? 0 : bytes;
  };
  for (int round = 0; round < 12; ++round) {
    const uintmax_t before = written();
    const pid_t child = StartVictim();
    ASSERT_GT(child, 0);
    const absl::Time patience = absl::Now() + absl::Seconds(60);
    while (written() == before && absl::Now() < patience) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    absl::SleepFor(absl::Milliseconds(23 * round));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself";
  }
  auto store = Store::Open(folder_.StoreUrl(), Clock::System());
  ASSERT_TRUE(store.ok()) << store.status();
  store_ = *std::move(store);
  {
    FakeProducer producer(AppendTo(topic_path));
    OutboxPublisher publisher(kQuick, *store_, producer, health_, metrics_);
    ASSERT_TRUE(WaitUntilEmpty());
  }

  // Each integration's versions come in order from 1 to the one that is stored; only the last may
  // be repeated.
  std::map<std::string, int64_t> published;
  std::ifstream topic(topic_path);
  std::string id;
  int64_t version = 0;
  int64_t repeats = 0;
  while (topic >> id >> version) {
    int64_t& last = published[id];
    ASSERT_TRUE(version == last + 1 || (version == last && last > 0))
        << id << ": version " << version << " after " << last;
    repeats += version == last ? 1 : 0;
    last = version;
  }
  std::map<std::string, int64_t> stored;
  for (const StoredIntegration& one : ValueOf(store_->List("", "", "", 1'000'000))) {
    stored[one.integration.id()] = one.integration.version();
  }
  EXPECT_GT(stored.size(), 12U);
  EXPECT_EQ(published, stored);
  RecordProperty("integrations", static_cast<int>(stored.size()));
  RecordProperty("repeats", static_cast<int>(repeats));
}

}  // namespace
}  // namespace dealstream::cabinet
