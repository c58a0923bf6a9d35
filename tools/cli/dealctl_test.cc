// The command itself: exit codes, and what it does beside an embedded broker.
#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <sys/wait.h>
#include <unistd.h>

#include "dealstream/deal/v1/deal.pb.h"
#include "dealstream/raw/v1/raw.pb.h"
#include "dealstream/request/v1/request.pb.h"
#include "libs/crm/api/fixture.h"
#include "libs/crm/registry.h"
#include "libs/kafka/kafka.h"
#include "libs/kafka/testing/embedded_broker.h"
#include "libs/obs/metrics.h"
#include "tools/cli/messages.h"

namespace dealstream::cli {
namespace {

using ::testing::HasSubstr;

struct Outcome {
  int code = -1;
  std::string out;
};

// Standard output alone; what goes to standard error is the test's.
Outcome Dealctl(const std::string& arguments) {
  Outcome outcome;
  std::FILE* pipe = popen(fmt::format("{}/dealctl {}", DEALSTREAM_BIN_DIR, arguments).c_str(), "r");
  std::array<char, 4096> chunk{};
  for (size_t size = 0; (size = fread(chunk.data(), 1, chunk.size(), pipe)) > 0;) {
    outcome.out.append(chunk.data(), size);
  }
  const int status = pclose(pipe);
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

TEST(Dealctl, HelpNamesEveryCommand) {
  const Outcome help = Dealctl("--help");
  EXPECT_EQ(help.code, 0);
  for (const char* command : {"credential",
                              "integration",
                              "backfill",
                              "poll-now",
                              "tail",
                              "explain",
                              "dead-letters",
                              "topics",
                              "simulate"}) {
    EXPECT_THAT(help.out, HasSubstr(command));
  }
}

TEST(Dealctl, ExitCodeTellsUsageFromFailure) {
  EXPECT_EQ(Dealctl("2>&1").code, 2);
  EXPECT_EQ(Dealctl("no-such-command 2>&1").code, 2);
  EXPECT_EQ(Dealctl("tail 2>&1").code, 2);
  EXPECT_EQ(Dealctl("--config /no/such/file topics list 2>&1").code, 2);
  EXPECT_EQ(Dealctl("--config=/no/such/file describe-config 2>&1").code, 2);
  EXPECT_EQ(Dealctl("describe-config --config 2>&1").code, 2);
  // Nobody listens there.
  EXPECT_EQ(Dealctl("--kafka 127.0.0.1:1 tail deals.v1 2>&1").code, 1);
  EXPECT_EQ(Dealctl("--version").code, 0);
}

TEST(Dealctl, SaysThatItsCertificateIsMissing) {
  for (const char* call : {"--cabinet 127.0.0.1:1 integration list 2>&1",
                           "--vault 127.0.0.1:1 credential list 2>&1"}) {
    const Outcome outcome = Dealctl(call);
    EXPECT_EQ(outcome.code, 2) << call;
    EXPECT_THAT(outcome.out, HasSubstr("tls.ca_file")) << call;
  }
}

TEST(Dealctl, ListsTheDeclaredTopics) {
  const Outcome list = Dealctl(
      fmt::format("--json topics --topics-file {}/deploy/topics.yaml list", DEALSTREAM_SOURCE_DIR));
  EXPECT_EQ(list.code, 0);
  const Json json = Json::parse(list.out);
  EXPECT_TRUE(std::any_of(json.begin(), json.end(), [](const Json& topic) {
    return topic["topic"] == "deals.v1" && topic["public"] == true;
  }));
}

class DealctlTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / fmt::format("dealctl-test-{}", getpid());
    std::filesystem::create_directories(folder_);
    const std::string topics = DEALSTREAM_SOURCE_DIR "/deploy/topics.yaml";
    auto broker = kafka::testing::EmbeddedBroker::Start(DEALSTREAM_BIN_DIR "/embedded-broker",
                                                        {"--topics", topics, "--prefix", "p."});
    ASSERT_TRUE(broker.ok()) << broker.status();
    broker_ = *std::move(broker);
    config_.brokers = broker_->address();
    config_.embedded_broker = true;
    config_.topic_prefix = "p.";
    std::ofstream(folder_ / "dealctl.yaml") << fmt::format(
        "kafka: {{brokers: \"{}\", embedded_broker: true, topic_prefix: p.}}\n"
        "topics_file: {}\n",
        config_.brokers,
        topics);
  }

  void TearDown() override { std::filesystem::remove_all(folder_); }

  Outcome Run(const std::string& arguments) {
    return Dealctl(fmt::format("--config {}/dealctl.yaml {}", folder_.string(), arguments));
  }

  void Write(kafka::OutRecord record) {
    kafka::Producer::Options options;
    options.client = config_;
    const auto producer = kafka::Producer::Create(std::move(options), metrics_);
    ASSERT_TRUE(producer.ok());
    ASSERT_TRUE(
        (*producer)->Send(std::move(record), [](const auto& at) { EXPECT_TRUE(at.ok()); }).ok());
    ASSERT_TRUE((*producer)->Flush(absl::Now() + absl::Seconds(20)).ok());
  }

  std::string WriteFile(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return (folder_ / name).string();
  }

  std::filesystem::path folder_;
  std::unique_ptr<kafka::testing::EmbeddedBroker> broker_;
  kafka::ClientConfig config_;
  obs::Metrics metrics_{"dealctl-test", "0", "0"};
};

TEST_F(DealctlTest, TheNamedConfigurationIsTakenInEitherForm) {
  // The other environment, which the shell names.
  ASSERT_EQ(setenv("DEALSTREAM_DEALCTL_CONFIG", (folder_ / "dealctl.yaml").c_str(), 1), 0);
  const std::string prod = WriteFile("prod.yaml", "prod: here\n");
  for (const std::string& named : {"--config=" + prod, "--config " + prod}) {
    const Outcome outcome = Dealctl(fmt::format("{} describe-config 2>&1", named));
    EXPECT_EQ(outcome.code, 2);
    EXPECT_THAT(outcome.out, HasSubstr("prod.yaml")) << named;
  }
  EXPECT_EQ(Dealctl("describe-config").code, 0);
  ASSERT_EQ(unsetenv("DEALSTREAM_DEALCTL_CONFIG"), 0);
}

TEST_F(DealctlTest, TakesTheBrokersFromTheCommandLine) {
  const std::string without =
      WriteFile("without.yaml", "kafka: {embedded_broker: true, topic_prefix: p.}\n");
  const Outcome missing = Dealctl("--config " + without + " tail deals.v1 2>&1");
  EXPECT_EQ(missing.code, 2);
  EXPECT_THAT(missing.out, HasSubstr("--kafka"));
  EXPECT_EQ(Dealctl(fmt::format("--config {} --kafka {} tail deals.v1 --from beginning --idle 1s",
                                without,
                                config_.brokers))
                .code,
            0);
}

TEST_F(DealctlTest, TheEmbeddedBrokerIsNotAskedForItsTopics) {
  const Outcome diff = Run("topics diff 2>&1");
  EXPECT_EQ(diff.code, 1);
  EXPECT_THAT(diff.out, HasSubstr("embedded broker"));
}

TEST_F(DealctlTest, TailsFromTheBeginningAndStops) {
  deal::v1::DealEvent event;
  event.set_id("e1");
  Write({"deals.v1", 2, "i:7", event.SerializeAsString(), {{"ce_id", "e1"}}});
  Write({"deals.v1", 2, "i:7", std::nullopt, {}});
  const Outcome all = Run("tail deals.v1 --from beginning --idle 1s");
  EXPECT_EQ(all.code, 0);
  EXPECT_EQ(
      all.out,
      R"({"topic":"deals.v1","partition":2,"offset":0,"key":"i:7","headers":{"ce_id":"e1"},"value":{"id":"e1"}})"
      "\n"
      R"({"topic":"deals.v1","partition":2,"offset":1,"key":"i:7","headers":{},"value":null})"
      "\n");
  const Outcome one = Run("tail deals.v1 --from beginning --count 1");
  EXPECT_EQ(one.code, 0);
  EXPECT_EQ(std::count(one.out.begin(), one.out.end(), '\n'), 1);
  EXPECT_EQ(Run("tail deals.v1 --idle 300ms").out, "") << "from now on there is nothing";
  EXPECT_EQ(Run("tail no.such.topic 2>&1").code, 1);
}

TEST_F(DealctlTest, TailsRequests) {
  request::v1::RequestEvent event;
  event.set_id("e1");
  event.set_kind(request::v1::REQUEST_EVENT_KIND_CREATED);
  event.mutable_request()->set_id("i:7");
  event.mutable_request()->mutable_session()->set_utm_source("ya");
  event.mutable_request()->add_tags("VK");
  Write({"requests.v1", 0, "i:7", event.SerializeAsString(), {}});
  const Outcome tail = Run("tail requests.v1 --from beginning --count 1");
  EXPECT_EQ(tail.code, 0);
  const Json value = Json::parse(tail.out)["value"];
  EXPECT_EQ(value["kind"], "REQUEST_EVENT_KIND_CREATED");
  EXPECT_EQ(value["request"]["session"]["utm_source"], "ya");
  EXPECT_EQ(value["request"]["tags"][0], "VK");
}

TEST_F(DealctlTest, RedrivesADeadLetterToWhereItCameFrom) {
  const std::string crm(crm::AllAdapters().adapters().front()->id());
  raw::v1::Record record;
  record.set_crm(crm);
  record.set_external_id("7");
  raw::v1::DeadLetter letter;
  letter.set_topic("crm.record." + crm);
  letter.set_key("account");
  letter.set_value(record.SerializeAsString());
  letter.set_stage("map");
  letter.set_reason("data_loss");
  letter.set_crm(crm);
  const std::string topic = "dlq.deal-normalizer." + crm;
  Write({topic, 1, "account", letter.SerializeAsString(), {}});

  const Json list = Json::parse(Run("--json dead-letters list").out);
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0]["id"], topic + "/1/0");
  EXPECT_EQ(list[0]["reason"], "data_loss");
  EXPECT_EQ(Json::parse(Run("--json dead-letters list --reason other").out).size(), 0U);

  const Json shown = Json::parse(Run("dead-letters show " + topic + "/1/0").out);
  EXPECT_EQ(shown["original"]["value"]["external_id"], "7");

  EXPECT_EQ(Run("dead-letters redrive 2>&1").code, 2);
  EXPECT_EQ(Run("dead-letters redrive deals.v1/0/0 2>&1").code, 2);
  EXPECT_EQ(Run("dead-letters redrive " + topic + "/1/9 2>&1").code, 1);
  EXPECT_EQ(Run("dead-letters redrive " + topic + "/1/0").code, 0);
  const Json again = Json::parse(Run("tail crm.record." + crm + " --from beginning --count 1").out);
  EXPECT_EQ(again["key"], "account");
  EXPECT_EQ(again["value"]["external_id"], "7");
  EXPECT_EQ(again["value"]["cause"], "CAUSE_REDRIVE");
}

TEST_F(DealctlTest, ExplainsARecordOffline) {
  const std::string crm(crm::AllAdapters().adapters().front()->id());
  const std::string gone = WriteFile(
      "gone.json",
      fmt::format(R"({{"crm":"{}","purpose":"PURPOSE_DEALS","external_id":"7","gone":true}})",
                  crm));
  const Outcome explained = Run("explain --record " + gone);
  EXPECT_EQ(explained.code, 0);
  EXPECT_EQ(Json::parse(explained.out)["gone"], true);
  // As `dead-letters show` prints it.
  const std::string letter = WriteFile(
      "letter.json",
      fmt::format(
          R"({{"value":"AA==","original":{{"value":{{"crm":"{}","purpose":"PURPOSE_DEALS","gone":true}}}}}})",
          crm));
  EXPECT_EQ(Json::parse(Run("explain --record " + letter).out)["gone"], true);
  const std::string unreadable =
      WriteFile("unreadable.json", R"({"value":"AA==","original":null})");
  EXPECT_EQ(Run("explain --record " + unreadable + " 2>&1").code, 2);
  EXPECT_EQ(Run("explain --record " + WriteFile("other.json", R"({"crm":"no"})") + " 2>&1").code,
            2);
  EXPECT_EQ(Run("explain --record " + WriteFile("bad.json", "no JSON") + " 2>&1").code, 2);
}

TEST_F(DealctlTest, ARecordThatIsRefusedIsNoWrongUsage) {
  const crm::Registry registry = crm::AllAdapters();
  int refused = 0;
  for (const auto& adapter : registry.adapters()) {
    if (adapter->deal_mapper() == nullptr) {
      continue;
    }
    // Neither has what a deal is made of; the one is no JSON at all.
    for (const char* body : {"bm8gSlNPTg==", "e30="}) {
      const std::string record =
          fmt::format(R"({{"crm":"{}","purpose":"PURPOSE_DEALS","kind":"x","external_id":"7",)"
                      R"("parts":[{{"name":"deal","body":"{}"}}]}})",
                      adapter->id(),
                      body);
      const Outcome outcome =
          Run("explain --record " + WriteFile("refused.json", record) + " 2>&1");
      EXPECT_EQ(outcome.code, 1) << outcome.out;
      ++refused;
    }
  }
  EXPECT_GT(refused, 0);
}

// One record, mapped by the settings of its purpose.
TEST_F(DealctlTest, ExplainsARequestOffline) {
  const crm::Registry registry = crm::AllAdapters();
  const auto found =
      std::find_if(registry.adapters().begin(), registry.adapters().end(), [](const auto& adapter) {
        return adapter->request_mapper() != nullptr;
      });
  ASSERT_NE(found, registry.adapters().end());
  const auto cases = crm::fixture::LoadRequestCases(
      **found, fmt::format("{}/libs/crm/{}/testdata", DEALSTREAM_SOURCE_DIR, (*found)->id()));
  ASSERT_TRUE(cases.ok() && !cases->empty()) << cases.status();
  bool explained = false;
  for (const auto& one : *cases) {
    const std::string mapped = crm::fixture::MapToText(**found, one.record);
    if (mapped.starts_with("error:") || mapped.starts_with("not a request")) {
      continue;
    }
    raw::v1::Record record = one.record;
    record.set_integration_id("i");
    record.set_external_id("7");
    const auto json = ToJson(record);
    ASSERT_TRUE(json.ok()) << json.status();
    const Outcome outcome = Run("explain --record " + WriteFile("record.json", ToLine(*json)));
    ASSERT_EQ(outcome.code, 0) << one.name;
    EXPECT_EQ(Json::parse(outcome.out)["id"], "i:7");
    explained = true;
    break;
  }
  EXPECT_TRUE(explained);
}

}  // namespace
}  // namespace dealstream::cli
