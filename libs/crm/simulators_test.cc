// What every simulator must do, so that one scenario, one harness and one load test fit them all:
// libs/crm/sim/README.md.
#include "libs/crm/simulators.h"

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "libs/crm/sim/testing.h"

namespace dealstream::crm {
namespace {

using simkit::Json;
using simkit::WaitFor;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::SizeIs;

class EverySimulatorTest : public ::testing::TestWithParam<std::string> {
 protected:
  void Start(int accounts = 2, uint64_t seed = 1, double changes_per_second = 0) {
    client_.reset();
    SimOptions options;
    options.accounts = accounts;
    options.seed = seed;
    options.changes_per_second = changes_per_second;
    options.settings = {{"deals", "5"}};
    auto simulator = AllSimulators().at(GetParam())(options);
    ASSERT_TRUE(simulator.ok()) << simulator.status();
    simulator_ = *std::move(simulator);
    client_ = std::make_unique<simkit::SimulatorClient>(*simulator_);
  }

  Json Deals(int account = 1) {
    return client_->Control("GET", "deals?account=" + std::to_string(account))["deals"];
  }
  Json NewDeal(Json fields = Json::object()) { return client_->NewDeal(std::move(fields)); }
  // A step that the CRM may not have; null then.
  Json Try(const std::string& method, const std::string& path, const Json& body = Json::object()) {
    const auto response = client_->Send(method, "/_sim/" + path + "?account=1", simkit::Dump(body));
    Json answer = Json::parse(response.body, nullptr, /*allow_exceptions=*/false);
    if (response.status == 400 && answer.is_object() &&
        answer.value("code", "") == "unimplemented") {
      return nullptr;
    }
    EXPECT_EQ(response.status, 200) << path << " " << response.body;
    return answer;
  }

  static void CheckTruth(const Json& truth) {
    EXPECT_THAT(simkit::TextOf(truth, "id"), Not(IsEmpty())) << truth;
    EXPECT_THAT(simkit::TextOf(truth, "account"), Not(IsEmpty())) << truth;
    EXPECT_TRUE(truth.at("gone").is_boolean()) << truth;
    EXPECT_GT(truth.at("updated_us").get<int64_t>(), 0) << truth;
    EXPECT_THAT(truth.at("stage_kind").get<std::string>(), MatchesRegex("OPEN|WON|LOST"));
    EXPECT_TRUE(truth.at("stage").is_null() || truth.at("stage").is_string()) << truth;
    if (!truth.at("amount").is_null()) {
      EXPECT_THAT(truth.at("amount").get<std::string>(), MatchesRegex("-?[0-9]+(\\.[0-9]+)?"));
    }
  }

  std::unique_ptr<Simulator> simulator_;
  // Goes first, and its connections with it: the server waits for nobody then.
  std::unique_ptr<simkit::SimulatorClient> client_;
};

TEST_P(EverySimulatorTest, NamesItsAccounts) {
  Start(3);
  const Json described = Json::parse(simulator_->Describe());
  EXPECT_EQ(described["crm"], GetParam());
  const Json accounts = client_->Control("GET", "accounts");
  ASSERT_THAT(accounts, SizeIs(3));
  std::set<std::string> names;
  std::set<std::string> credentials;
  for (const Json& account : accounts) {
    names.insert(account.at("account"));
    credentials.insert(account.at("credential").dump());
    EXPECT_THAT(simkit::TextOf(account, "account_id"), Not(IsEmpty()));
    for (const auto& [field, value] : account.at("credential").items()) {
      EXPECT_TRUE(value.is_string()) << field;
    }
  }
  EXPECT_THAT(names, SizeIs(3));
  EXPECT_THAT(credentials, SizeIs(3));
}

TEST_P(EverySimulatorTest, BeginsWithDealsAndTellsTheTruth) {
  Start();
  EXPECT_GE(Deals().size(), 5U);
  std::set<std::string> ids;
  for (const Json& truth : Deals()) {
    CheckTruth(truth);
    ids.insert(truth["id"]);
  }
  EXPECT_THAT(ids, SizeIs(Deals().size()));
}

TEST_P(EverySimulatorTest, MakesADealOfNothingAndOfTheCommonFields) {
  Start();
  const Json plain = NewDeal();
  CheckTruth(plain);
  EXPECT_EQ(plain["gone"], false);
  // Ignored where the CRM has no such thing.
  const Json given = NewDeal({{"title", "Chair"}, {"amount", "12.50"}, {"currency", "RUB"}});
  CheckTruth(given);
  const Json read = client_->Control(
      "GET", "deals/" + simkit::UrlEncode(simkit::TextOf(given, "id")) + "?account=1");
  EXPECT_EQ(read, given);
}

TEST_P(EverySimulatorTest, StepsGiveTheTruthAfterThem) {
  Start();
  const std::string id = NewDeal({{"amount", 100}})["id"];
  const std::string path = "deals/" + simkit::UrlEncode(id);
  int64_t last = 0;
  const auto check = [&](const Json& truth) {
    if (truth.is_null()) {
      return;
    }
    CheckTruth(truth);
    EXPECT_EQ(truth["id"], id);
    EXPECT_GE(truth["updated_us"].get<int64_t>(), last);
    last = truth["updated_us"];
  };
  check(Try("POST", path, {{"title", "Table"}, {"amount", "250.75"}}));
  check(Try("POST", path + "/move"));
  check(Try("POST", path + "/pay", {{"amount", 10}}));
  check(Try("POST", path + "/refund", {{"amount", 5}}));
  check(Try("POST", path + "/notify"));
  const Json gone = Try("DELETE", path);
  if (!gone.is_null()) {
    check(gone);
    EXPECT_EQ(gone["gone"], true);
  }
}

TEST_P(EverySimulatorTest, SaysWhatIsWrong) {
  Start();
  const auto status =
      [&](const std::string& method, const std::string& path, const std::string& body) {
        const auto response = client_->Send(method, "/_sim/" + path, body);
        const Json answer = Json::parse(response.body, nullptr, /*allow_exceptions=*/false);
        EXPECT_THAT(simkit::TextOf(answer, "error"), Not(IsEmpty())) << path << response.body;
        return response.status;
      };
  EXPECT_EQ(status("POST", "deals", R"({"account":"nobody"})"), 400);
  EXPECT_EQ(status("POST", "deals/no-such-deal", R"({"account":1})"), 404);
  EXPECT_EQ(status("POST", "deals/no-such-deal/move", R"({"account":1})"), 404);
  EXPECT_EQ(status("GET", "nonsense", ""), 404);
  EXPECT_EQ(status("POST", "faults", R"({"nonsense":1})"), 400);
  EXPECT_EQ(status("POST", "settings", R"({"nonsense":1})"), 400);
  const std::string id = NewDeal()["id"];
  EXPECT_EQ(status("POST", "deals/" + simkit::UrlEncode(id) + "/dance", R"({"account":1})"), 400);
}

TEST_P(EverySimulatorTest, SendsWebhooksUnlessSilent) {
  Start();
  simkit::WebhookReceiver receiver([] { return 200; });
  client_->Control("POST", "webhook", {{"account", 1}, {"url", receiver.Url()}});
  NewDeal({{"silent", true}});
  EXPECT_EQ(client_->Stats()["webhooks"]["pending"], 0);
  const std::string id = NewDeal()["id"];
  Try("POST", "deals/" + simkit::UrlEncode(id) + "/notify");
  const auto pending = [&] { return client_->Stats()["webhooks"]["pending"].get<int>(); };
  ASSERT_TRUE(WaitFor([&] { return pending() == 0; }));
  const Json webhooks = client_->Stats()["webhooks"];
  EXPECT_EQ(webhooks["lost"], 0);
  EXPECT_EQ(webhooks["acked"].get<size_t>(), receiver.received().size());
}

TEST_P(EverySimulatorTest, TheSameSeedPlaysTheSameLife) {
  const auto play = [&] {
    Start(2, /*seed=*/42);
    client_->Control("POST", "burst", {{"account", 1}, {"deals", 5}, {"changes", 100}});
    std::vector<std::string> told;
    for (const Json& truth : Deals()) {
      told.push_back(simkit::TextOf(truth, "id") + " " + simkit::TextOf(truth, "title") + " " +
                     simkit::TextOf(truth, "stage") + " " + simkit::TextOf(truth, "amount") + " " +
                     simkit::TextOf(truth, "gone"));
    }
    return told;
  };
  const auto first = play();
  EXPECT_GE(first.size(), 10U);
  EXPECT_EQ(first, play());
}

TEST_P(EverySimulatorTest, LivesFast) {
  Start(/*accounts=*/20, /*seed=*/3, /*changes_per_second=*/1000);
  EXPECT_TRUE(WaitFor([&] { return client_->Stats()["events"].get<int>() > 1000; }));
  for (const Json& truth : Deals()) {
    CheckTruth(truth);
  }
  EXPECT_THAT(client_->Stats()["violations"], IsEmpty());
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const auto& [name, factory] : AllSimulators()) {
    names.push_back(name);
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(Crm,
                         EverySimulatorTest,
                         ::testing::ValuesIn(Names()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace dealstream::crm
