// The whole service in this process, against a broker: the embedded one, or the Apache Kafka that
// DEALSTREAM_KAFKA_BROKERS names.
#include "services/webhook-ingest/service.h"

#include <array>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/gauge.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dealstream/integration/v1/integration.pb.h"
#include "dealstream/raw/v1/raw.pb.h"
#include "libs/base/ids.h"
#include "libs/http/curl_transport.h"
#include "libs/kafka/admin.h"
#include "services/webhook-ingest/testing.h"

namespace dealstream::ingest {
namespace {

using testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(20);

// tools/broker as a child process.
class EmbeddedBroker {
 public:
  explicit EmbeddedBroker(const std::vector<std::string>& topics) {
    std::array<int, 2> to{};
    std::array<int, 2> from{};
    EXPECT_EQ(pipe(to.data()), 0);
    EXPECT_EQ(pipe(from.data()), 0);
    std::vector<std::string> args = {
        DEALSTREAM_BIN_DIR "/embedded-broker", "--control", "--exit-with-parent"};
    for (const std::string& topic : topics) {
      args.insert(args.end(), {"--topic", topic + ":3"});
    }
    std::vector<char*> argv;
    for (std::string& arg : args) {
      argv.push_back(arg.data());
    }
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(to[0], STDIN_FILENO);
      dup2(from[1], STDOUT_FILENO);
      close(to[1]);
      close(from[0]);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(to[0]);
    close(from[1]);
    in_ = to[1];
    out_ = fdopen(from[0], "r");
    const std::string line = ReadLine();
    EXPECT_THAT(line, HasSubstr("ready "));
    address_ = line.substr(6);
  }
  ~EmbeddedBroker() {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
    close(in_);
    fclose(out_);
  }
  EmbeddedBroker(const EmbeddedBroker&) = delete;
  EmbeddedBroker& operator=(const EmbeddedBroker&) = delete;

  void Command(const std::string& line) {
    EXPECT_GT(write(in_, (line + "\n").data(), line.size() + 1), 0);
    EXPECT_EQ(ReadLine(), "ok");
  }
  const std::string& address() const { return address_; }

 private:
  std::string ReadLine() {
    std::array<char, 256> line{};
    if (fgets(line.data(), line.size(), out_) == nullptr) {
      return "";
    }
    std::string text = line.data();
    text.pop_back();
    return text;
  }

  pid_t pid_ = -1;
  int in_ = -1;
  FILE* out_ = nullptr;
  std::string address_;
};

class ServiceTest : public testing::Test {
 protected:
  ServiceTest() {
    const std::vector<std::string> topics = {"integrations.v1", "crm.notice.acme"};
    config_.address = "127.0.0.1:0";
    config_.threads = 2;
    config_.answer_margin = absl::Milliseconds(400);
    config_.linger = absl::ZeroDuration();
    const char* brokers = std::getenv("DEALSTREAM_KAFKA_BROKERS");
    if (brokers != nullptr) {
      config_.kafka.brokers = brokers;
      config_.kafka.topic_prefix = NewId("test_", Clock::System()) + ".";
      auto admin = kafka::Admin::Create(config_.kafka);
      EXPECT_TRUE(admin.ok()) << admin.status();
      for (const std::string& topic : topics) {
        const Status status =
            (*admin)->CreateTopic(config_.kafka.topic_prefix + topic,
                                  {.partitions = 3, .replication = 1, .settings = {}});
        EXPECT_TRUE(status.ok()) << status;
      }
    } else {
      broker_ = std::make_unique<EmbeddedBroker>(topics);
      config_.kafka.brokers = broker_->address();
      config_.kafka.embedded_broker = true;
    }
    auto producer = kafka::Producer::Create({.client = config_.kafka, .linger_ms = 0}, metrics_);
    EXPECT_TRUE(producer.ok()) << producer.status();
    cabinet_ = *std::move(producer);
    auto table = kafka::TableReader::Create(
        {.client = config_.kafka,
         .topic = "crm.notice.acme",
         .on_record =
             [this](const kafka::InRecord& record) {
               const std::lock_guard lock(mutex_);
               EXPECT_TRUE(notices_.emplace_back().ParseFromString(*record.value));
             },
         .on_caught_up = nullptr},
        metrics_);
    EXPECT_TRUE(table.ok()) << table.status();
    reader_ = *std::move(table);
    auto transport =
        http::CurlTransport::Create({.allowed_host_suffixes = {}, .allow_loopback = true});
    EXPECT_TRUE(transport.ok()) << transport.status();
    transport_ = *std::move(transport);
  }

  void Publish(const std::string& id,
               const std::string& token,
               bool active,
               const std::string& crm = "acme") {
    integration::v1::Integration integration;
    integration.set_id(id);
    integration.set_crm(crm);
    integration.set_crm_account_id("company");
    integration.set_active(active);
    integration.set_webhook_token_sha256(Sha256(token));
    ASSERT_TRUE(cabinet_
                    ->Send({.topic = "integrations.v1",
                            .key = id,
                            .value = integration.SerializeAsString(),
                            .headers = {}},
                           [](const auto& report) { EXPECT_TRUE(report.ok()); })
                    .ok());
    ASSERT_TRUE(cabinet_->Flush(absl::Now() + kPatience).ok());
  }

  void Start() {
    auto service = Ingest::Start(config_, registry_, context_);
    ASSERT_TRUE(service.ok()) << service.status();
    service_ = *std::move(service);
    ASSERT_TRUE(Eventually([&] { return health_.Ready().ok; })) << health_.Ready().text;
  }

  template <typename Condition>
  bool Eventually(Condition&& condition) {
    const absl::Time limit = absl::Now() + kPatience;
    while (absl::Now() < limit) {
      if (condition()) {
        return true;
      }
      absl::SleepFor(absl::Milliseconds(20));
    }
    return false;
  }

  http::Response Post(const std::string& token, const std::string& body) {
    const auto response = transport_->Send(
        {.method = "POST",
         .url = fmt::format("http://127.0.0.1:{}/hook/{}", service_->port(), token),
         .headers = {},
         .body = body,
         .operation = "post"});
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? *response : http::Response{};
  }

  // 503 within the CRM's patience.
  void ExpectUnavailableInTime(const std::string& token) {
    const absl::Time start = absl::Now();
    const http::Response response = Post(token, "meanwhile");
    EXPECT_EQ(response.status, 503);
    EXPECT_EQ(http::FindHeader(response.headers, "retry-after"), "2");
    EXPECT_LT(absl::Now() - start, absl::Milliseconds(1500));
  }

  std::vector<raw::v1::Notice> notices() {
    const std::lock_guard lock(mutex_);
    return notices_;
  }

  Config config_;
  // Of the second one there is no topic.
  const crm::Registry registry_ = FakeRegistry(absl::Milliseconds(1500), {"acme", "bolt"});
  obs::Metrics metrics_{"test", "1", "r"};
  obs::Health health_{Clock::System()};
  service::Context context_{.clock = Clock::System(),
                            .metrics = metrics_,
                            .health = health_,
                            .fail = [](const Status& status) { ADD_FAILURE() << status; }};
  std::unique_ptr<EmbeddedBroker> broker_;
  std::unique_ptr<kafka::Producer> cabinet_;
  std::mutex mutex_;
  std::vector<raw::v1::Notice> notices_;
  std::unique_ptr<kafka::TableReader> reader_;
  std::unique_ptr<Ingest> service_;
  std::unique_ptr<http::Transport> transport_;
};

TEST_F(ServiceTest, StoresForThoseItReadsOfAndFollowsTheirChanges) {
  Publish("int_1", "early", true);
  Start();
  const http::Response accepted = Post("early", "hello");
  EXPECT_EQ(accepted.status, 202);
  EXPECT_EQ(Post("late", "x").status, 404);
  Publish("int_2", "late", true);
  EXPECT_TRUE(Eventually([&] { return Post("late", "x").status == 202; }));
  ASSERT_TRUE(Eventually([&] { return notices().size() == 2; }));
  EXPECT_EQ(notices()[0].id(), http::FindHeader(accepted.headers, "x-notice-id"));
  EXPECT_EQ(notices()[0].body(), "hello");
  EXPECT_EQ(notices()[0].crm_account_id(), "company");

  Publish("int_1", "rotated", true);
  EXPECT_TRUE(Eventually([&] { return Post("early", "").status == 404; }));
  EXPECT_EQ(Post("rotated", "x").status, 202);
  ASSERT_TRUE(cabinet_
                  ->Send({.topic = "integrations.v1", .key = "int_1", .value = {}, .headers = {}},
                         [](const auto& /*report*/) {})
                  .ok());
  EXPECT_TRUE(Eventually([&] { return Post("rotated", "").status == 404; }));
  EXPECT_TRUE(service_->Stop(absl::Now() + kPatience).ok());
}

TEST_F(ServiceTest, TellsNothingAcceptedWhileTheBrokerIsAwayAndRecovers) {
  if (broker_ == nullptr) {
    GTEST_SKIP() << "the broker under test can't be stopped from here";
  }
  Publish("int_1", "token", true);
  Start();
  EXPECT_EQ(Post("token", "before").status, 202);
  broker_->Command("down");
  for (int i = 0; i < 3; ++i) {
    ExpectUnavailableInTime("token");
  }
  EXPECT_TRUE(Eventually([&] { return !health_.Ready().ok; }));
  broker_->Command("up");
  EXPECT_TRUE(Eventually([&] { return Post("token", "after").status == 202; }));
  EXPECT_TRUE(Eventually([&] { return health_.Ready().ok; }));
  EXPECT_TRUE(Eventually([&] { return notices().size() >= 2; }));
  EXPECT_EQ(notices().back().body(), "after");
}

TEST_F(ServiceTest, ARecordTheBrokerRefusesIsNotAccepted) {
  if (broker_ == nullptr) {
    GTEST_SKIP() << "the broker under test can't be made to refuse from here";
  }
  Publish("int_1", "token", true);
  Start();
  EXPECT_EQ(Post("token", "before").status, 202);
  // Produce, MESSAGE_TOO_LARGE.
  broker_->Command("errors 0 10 1");
  EXPECT_EQ(Post("token", "refused").status, 503);
  EXPECT_TRUE(Eventually([&] { return Post("token", "refused").status == 202; }));
  EXPECT_EQ(Post("token", "after").status, 202);
}

TEST_F(ServiceTest, AMissingTopicClosesTheDoorOfItsCrmOnly) {
  if (broker_ != nullptr) {
    GTEST_SKIP() << "the embedded broker makes the topics that it is asked for";
  }
  Publish("int_1", "token", true);
  Publish("int_2", "topicless", true, "bolt");
  Start();
  for (int i = 0; i < 3; ++i) {
    ExpectUnavailableInTime("topicless");
    EXPECT_EQ(Post("token", "x").status, 202);
  }
  EXPECT_TRUE(health_.Ready().ok) << health_.Ready().text;
  EXPECT_TRUE(Eventually([&] { return metrics_.GetGauge("kafka_topics_missing").Value() == 1; }));

  auto admin = kafka::Admin::Create(config_.kafka);
  ASSERT_TRUE(admin.ok()) << admin.status();
  ASSERT_TRUE((*admin)
                  ->CreateTopic(config_.kafka.topic_prefix + "crm.notice.bolt",
                                {.partitions = 3, .replication = 1, .settings = {}})
                  .ok());
  EXPECT_TRUE(Eventually([&] { return Post("topicless", "x").status == 202; }));
}

}  // namespace
}  // namespace dealstream::ingest
