// The whole service in this process, against the embedded broker.
#include "services/crm-reader/service.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "dealstream/integration/v1/integration.pb.h"
#include "dealstream/raw/v1/raw.pb.h"
#include "libs/base/strings.h"
#include "libs/kafka/testing/embedded_broker.h"
#include "services/crm-reader/retry_policy.h"
#include "services/crm-reader/testing.h"

namespace dealstream::reader {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(20);

class ReaderServiceTest : public ::testing::Test {
 protected:
  ReaderServiceTest() {
    std::vector<std::string> topics = {"integrations.v1",
                                       "crm.cursor.acme",
                                       "crm.notice.acme",
                                       "crm.poll.acme",
                                       "crm.record.acme",
                                       "dlq.crm-reader.acme"};
    for (std::string_view delay : kRetryDelays) {
      topics.push_back(fmt::format("crm.retry.acme.{}", delay));
    }
    std::vector<std::string> arguments;
    for (const std::string& topic : topics) {
      arguments.insert(arguments.end(), {"--topic", topic + ":1"});
    }
    auto broker =
        kafka::testing::EmbeddedBroker::Start(DEALSTREAM_BIN_DIR "/embedded-broker", arguments);
    EXPECT_TRUE(broker.ok()) << broker.status();
    broker_ = *std::move(broker);
    config_.crm = "acme";
    config_.workers = 2;
    config_.kafka.brokers = broker_->address();
    config_.kafka.embedded_broker = true;
    // Nobody is asked: these need not be there.
    config_.vault_address = "127.0.0.1:1";
    config_.tls = {"/none/ca.pem", "/none/cert.pem", "/none/key.pem"};
    auto producer = kafka::Producer::Create({.client = config_.kafka, .linger_ms = 0}, metrics_);
    EXPECT_TRUE(producer.ok()) << producer.status();
    producer_ = *std::move(producer);
  }

  void Write(const std::string& topic,
             const std::string& key,
             const google::protobuf::MessageLite& message) {
    kafka::OutRecord record;
    record.topic = topic;
    record.key = key;
    record.value = message.SerializeAsString();
    ASSERT_TRUE(producer_
                    ->Send(std::move(record),
                           [](const auto& report) { EXPECT_TRUE(report.ok()) << report.status(); })
                    .ok());
    ASSERT_TRUE(producer_->Flush(absl::Now() + kPatience).ok());
  }

  template <typename Condition>
  static bool Eventually(const Condition& holds) {
    const absl::Time limit = absl::Now() + kPatience;
    while (!holds()) {
      if (absl::Now() > limit) {
        return false;
      }
      absl::SleepFor(absl::Milliseconds(5));
    }
    return true;
  }

  bool IsUnderWay() {
    return metrics_.Render().find("dealstream_events_in_progress{crm=\"acme\"} 1") !=
           std::string::npos;
  }

  static crm::Registry FakeRegistry() {
    std::vector<std::unique_ptr<crm::Adapter>> adapters;
    adapters.push_back(std::make_unique<testing::FakeAdapter>());
    return crm::Registry(std::move(adapters));
  }

  const crm::Registry registry_ = FakeRegistry();
  Config config_;
  obs::Metrics metrics_{"crm-reader", "1", "r"};
  obs::Health health_{Clock::System()};
  service::Context context_{.clock = Clock::System(),
                            .metrics = metrics_,
                            .health = health_,
                            .fail = [](const Status& status) { ADD_FAILURE() << status; }};
  std::unique_ptr<kafka::testing::EmbeddedBroker> broker_;
  std::unique_ptr<kafka::Producer> producer_;
};

TEST_F(ReaderServiceTest, StopSaysWhatItCutsOff) {
  integration::v1::Integration integration;
  integration.set_id("int_1");
  integration.set_crm("acme");
  integration.set_crm_account_id("one");
  integration.set_credential_id("cred_1");
  integration.set_purpose(integration::v1::PURPOSE_DEALS);
  integration.set_active(false);
  Write("integrations.v1", integration.id(), integration);
  auto service = StartReader(config_, registry_, context_);
  ASSERT_TRUE(service.ok()) << service.status();
  ASSERT_TRUE(Eventually([&] { return health_.Ready().ok; })) << health_.Ready().text;
  // It parks the notice, which takes that long.
  ASSERT_TRUE(broker_->Tell("rtt 1000").ok());
  raw::v1::Notice notice;
  notice.set_id("n1");
  notice.set_integration_id(integration.id());
  notice.set_crm_account_id("one");
  notice.set_body("order:7");
  Write("crm.notice.acme", "one", notice);
  ASSERT_TRUE(Eventually([&] { return IsUnderWay(); }));
  const Status stopped = (*service)->Stop(absl::Now());
  EXPECT_EQ(stopped.code(), absl::StatusCode::kDeadlineExceeded) << stopped;
  EXPECT_EQ(ToStd(stopped.message()), "1 items were still under way; they are read again");
}

}  // namespace
}  // namespace dealstream::reader
