#include "libs/crm/alfacrm/sim/simulator.h"

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libs/crm/sim/testing.h"

namespace dealstream::crm::alfacrm {
namespace {

using simkit::Json;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class AlfaCrmSimulatorTest : public ::testing::Test {
 protected:
  void Start(std::map<std::string, std::string> settings = {}, int accounts = 1) {
    SimOptions options;
    options.accounts = accounts;
    options.settings = std::move(settings);
    options.settings.emplace("deals", "0");
    options.settings.emplace("requests_per_second", "0");
    auto started = MakeSimulator(options);
    ASSERT_TRUE(started.ok()) << started.status();
    simulator_ = *std::move(started);
    client_ = std::make_unique<simkit::SimulatorClient>(*simulator_);
    token_ = Json::parse(Login(client_->Credential()["api_key"]).body).value("token", "");
  }
  http::Response Login(const std::string& key, int account = 1) {
    const Json body = {{"email", fmt::format("api@school{}.example", account)}, {"api_key", key}};
    return client_->Send("POST", "/v2api/auth/login", body.dump());
  }
  http::Response Api(const std::string& path, const Json& body, const std::string& by = "POST") {
    return client_->Send(by, "/v2api/" + path, body.dump(), {{"X-ALFACRM-TOKEN", token_}});
  }
  Json Page(const std::string& path, const Json& body = Json::object()) {
    const auto response = Api(path, body);
    EXPECT_EQ(response.status, 200) << response.body;
    return Json::parse(response.body, nullptr, false);
  }
  Json Items(const std::string& path, const Json& body = Json::object()) {
    return Page(path, body)["items"];
  }
  Json Step(const Json& deal, const std::string& step, const Json& fields = Json::object()) {
    return client_->Control("POST", "deals/" + deal["id"].get<std::string>() + "/" + step, fields);
  }
  static int64_t Number(const Json& deal) {
    const std::string id = deal["id"];
    return std::stoll(id.substr(id.find(':') + 1));
  }

  std::unique_ptr<Simulator> simulator_;
  std::unique_ptr<simkit::SimulatorClient> client_;
  std::string token_;
};

TEST_F(AlfaCrmSimulatorTest, TokensEnd) {
  Start({{"token_lifetime", "0"}});
  EXPECT_EQ(Login("wrong").status, 401);
  EXPECT_EQ(Api("branch/index", Json::object()).status, 401) << "its life is over";
  client_->Control("POST", "settings", {{"token_lifetime", 900}});
  token_ = Json::parse(Login(client_->Credential()["api_key"]).body)["token"];
  EXPECT_EQ(Api("branch/index", Json::object()).status, 200);
  client_->Control("POST", "revoke", {{"account", 1}});
  const auto refused = Api("branch/index", Json::object());
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(Json::parse(refused.body)["name"], "Unauthorized");
  const std::string old_key = client_->Credential()["api_key"];
  client_->Control("POST", "key", {{"account", 1}});
  EXPECT_EQ(Login(old_key).status, 401);
  EXPECT_EQ(Login(client_->Credential()["api_key"]).status, 200);
}

TEST_F(AlfaCrmSimulatorTest, OnlyPostsAndKnownPathsAreServed) {
  Start();
  EXPECT_EQ(Api("1/customer/index", {}, "GET").status, 405);
  EXPECT_EQ(Api("1/nonsense/index", Json::object()).status, 404);
  EXPECT_EQ(Api("1/customer/fly", Json::object()).status, 404);
  EXPECT_EQ(Api("77/customer/index", Json::object()).status, 403);
  EXPECT_EQ(Api("1/customer/index", Json::array()).status, 400);
  EXPECT_EQ(client_->Stats()["violations"]["method"], 1);
}

TEST_F(AlfaCrmSimulatorTest, APagePastTheEndRepeatsTheLast) {
  Start();
  client_->Control("POST", "burst", {{"deals", 5}, {"changes", 0}});
  const Json filter = {{"is_study", 2}, {"removed", 1}, {"pageSize", 2}};
  Json last = filter;
  last["page"] = 2;
  const Json end = Page("0/customer/index", last);
  EXPECT_EQ(end["count"], 1);
  EXPECT_EQ(end["total"], 5);
  last["page"] = 9;
  EXPECT_EQ(Page("0/customer/index", last), end);
  EXPECT_EQ(end["page"], 2);
}

TEST_F(AlfaCrmSimulatorTest, LeadsAndTheArchiveAreHiddenUnlessAskedFor) {
  Start();
  const Json lead = client_->NewDeal({{"branches", {1}}});
  const Json archived = client_->NewDeal({{"branches", {2}}});
  Step(archived, "archive", {{"reason", "Дорого"}});
  const Json client = client_->NewDeal({{"branches", {1, 2}}});
  Step(client, "convert");
  EXPECT_THAT(Items("0/customer/index"), SizeIs(1));
  EXPECT_THAT(Items("0/customer/index", {{"is_study", 0}}), SizeIs(1));
  EXPECT_THAT(Items("0/customer/index", {{"is_study", 2}}), SizeIs(2));
  EXPECT_THAT(Items("0/customer/index", {{"is_study", 2}, {"removed", 1}}), SizeIs(3));
  EXPECT_THAT(Items("0/customer/index", {{"is_study", 2}, {"removed", 2}}), SizeIs(1));
  EXPECT_THAT(Items("2/customer/index", {{"is_study", 2}, {"removed", 1}}), SizeIs(2));
  client_->Control("POST", "settings", {{"whole_default_scope", 0}});
  EXPECT_THAT(Items("customer/index", {{"is_study", 2}, {"removed", 1}}), SizeIs(2));
}

TEST_F(AlfaCrmSimulatorTest, PaymentsGoToTheSideOfTheConversionTheyWereMadeOn) {
  Start();
  const Json lead = client_->NewDeal({{"amount", "3200.00"}});
  EXPECT_EQ(lead["amount"], "3200.00");
  EXPECT_EQ(Step(lead, "refund", {{"amount", 200}})["amount"], "3000.00");
  EXPECT_EQ(Step(lead, "correct")["amount"], "3000.00") << "a correction doesn't count";
  const Json client = Step(lead, "convert");
  EXPECT_EQ(client["stage_kind"], "WON");
  // Times have seconds.
  client_->Control("POST", "clock", {{"account", 1}, {"seconds", 2}});
  const Json paid = Step(lead, "pay", {{"amount", "500.00"}});
  EXPECT_EQ(paid["amount"], "3000.00");
  const Json upsell = client_->Control("GET", "deals/" + paid["pay"].get<std::string>());
  EXPECT_EQ(upsell["amount"], "500.00");
  EXPECT_EQ(upsell["pipeline"], "Допродажи");
  const Json refund = Step(upsell, "refund");
  EXPECT_EQ(client_->Control("GET", "deals/" + refund["pay"].get<std::string>())["amount"],
            "-500.00");
  EXPECT_THAT(client_->Control("GET", "deals?account=1")["deals"], SizeIs(3));
  EXPECT_THAT(Items("0/pay/index", {{"customer_id", Number(lead)}}), SizeIs(5));
  EXPECT_THAT(Items("0/pay/index"), SizeIs(2)) << "other types only when asked for";
  EXPECT_THAT(Items("0/pay/index", {{"pay_type_id", 5}}), SizeIs(2));
}

TEST_F(AlfaCrmSimulatorTest, TheLogTellsOfEachChange) {
  Start();
  const Json lead = client_->NewDeal();
  Step(lead, "convert");
  client_->Control("DELETE", "deals/" + lead["id"].get<std::string>());
  const Json rows = Items("0/log/index", {{"entity", "Customer"}, {"entity_id", Number(lead)}});
  ASSERT_THAT(rows, SizeIs(3));
  EXPECT_EQ(rows[1]["fields_new"]["is_study"], 1);
  EXPECT_EQ(rows[1]["fields_old"]["is_study"], 0);
  EXPECT_TRUE(rows[2]["fields_old"].is_string()) << "now and then a map is a JSON text";
  EXPECT_THAT(Items("0/customer/index", {{"id", Number(lead)}, {"is_study", 2}, {"removed", 1}}),
              SizeIs(0));
}

TEST_F(AlfaCrmSimulatorTest, EachBranchHasItsTrigger) {
  Start();
  const simkit::WebhookReceiver receiver([] { return 200; });
  client_->Control("POST", "webhook", {{"account", 1}, {"url", receiver.Url()}});
  const Json lead = client_->NewDeal({{"branches", {1, 2}}});
  ASSERT_TRUE(receiver.WaitForCount(2));
  const Json first = Json::parse(receiver.received()[0].body);
  const Json second = Json::parse(receiver.received()[1].body);
  EXPECT_EQ(first["branch_id"], 1);
  EXPECT_EQ(second["branch_id"], 2);
  EXPECT_EQ(first["entity_id"], second["entity_id"]);
  EXPECT_EQ(first["fields_old"], Json::array());
  client_->Control("POST", "settings", {{"old_webhooks", 1}});
  Step(lead, "pay", {{"amount", "10.00"}});
  ASSERT_TRUE(receiver.WaitForCount(3));
  const Json pay = Json::parse(receiver.received()[2].body);
  EXPECT_EQ(pay["entity"], "Pay");
  EXPECT_EQ(pay["fields_new"]["customer_id"], std::to_string(Number(lead)));
  EXPECT_TRUE(pay["fields_new"].contains("confirmed"));
  EXPECT_FALSE(pay.contains("fields_rel"));
}

TEST_F(AlfaCrmSimulatorTest, ReadsMayBeStale) {
  Start();
  client_->Control("POST", "faults", {{"account", 1}, {"stale_ms", 60'000}});
  const Json lead = client_->NewDeal();
  const Json filter = {{"id", Number(lead)}, {"is_study", 2}, {"removed", 1}};
  EXPECT_THAT(Items("0/customer/index", filter), SizeIs(0));
  client_->Control("DELETE", "faults");
  EXPECT_THAT(Items("0/customer/index", filter), SizeIs(1));
}

TEST_F(AlfaCrmSimulatorTest, RightsCanBeLost) {
  Start();
  client_->Control("POST", "faults", {{"account", 1}, {"no_log", true}, {"no_directories", true}});
  EXPECT_EQ(Api("0/log/index", Json::object()).status, 403);
  EXPECT_EQ(Api("0/teacher/index", Json::object()).status, 403);
  EXPECT_EQ(Api("0/customer/index", Json::object()).status, 200);
  client_->Control("POST", "faults", {{"account", 1}, {"no_api", true}});
  EXPECT_EQ(Api("0/customer/index", Json::object()).status, 403);
  EXPECT_EQ(Login(client_->Credential()["api_key"]).status, 403);
}

TEST_F(AlfaCrmSimulatorTest, TheLimitIsKeptAndLoginsDoNotCount) {
  Start({{"requests_per_second", "3"}});
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(Login(client_->Credential()["api_key"]).status, 200);
  }
  int refused = 0;
  for (int i = 0; i < 10; ++i) {
    refused += Api("branch/index", Json::object()).status == 429 ? 1 : 0;
  }
  EXPECT_GE(refused, 4);
  EXPECT_EQ(client_->Stats()["violations"]["rate"], refused);
}

TEST_F(AlfaCrmSimulatorTest, ADoubledPaceIsAViolation) {
  Start({{"requests_per_second", "20"}});
  const absl::Time end = absl::Now() + absl::Seconds(3);
  while (absl::Now() < end) {
    Api("branch/index", Json::object());
    absl::SleepFor(absl::Milliseconds(25));
  }
  EXPECT_GE(client_->Stats()["violations"]["rate"].get<int>(), 10);
}

// A15
TEST_F(AlfaCrmSimulatorTest, ABranchShowsItsOwnPaymentsAndLog) {
  Start();
  const Json lead = client_->NewDeal({{"branches", {1, 2}}});
  Step(lead, "pay", {{"amount", "10.00"}, {"branch", 2}});
  const Json of_lead = {{"customer_id", Number(lead)}};
  EXPECT_THAT(Items("0/pay/index", of_lead), SizeIs(1));
  EXPECT_THAT(Items("1/pay/index", of_lead), SizeIs(0));
  EXPECT_THAT(Items("2/pay/index", of_lead), SizeIs(1));
  EXPECT_THAT(Items("1/log/index", {{"entity", "Pay"}}), SizeIs(0));
  EXPECT_THAT(Items("2/log/index", {{"entity", "Pay"}}), SizeIs(1));
  EXPECT_THAT(Items("1/log/index", {{"entity", "Customer"}}), SizeIs(1));
  client_->Control("POST", "settings", {{"whole_default_scope", 0}});
  EXPECT_THAT(Items("0/pay/index", of_lead), SizeIs(0));
  EXPECT_THAT(Items("3/log/index", {{"entity", "Customer"}}), SizeIs(0));
}

TEST_F(AlfaCrmSimulatorTest, StepsThatMakeNoSenseAreRefused) {
  Start();
  const Json lead = client_->NewDeal({{"stage", "Был на пробном"}, {"title", "Лев"}});
  EXPECT_EQ(lead["stage"], "Был на пробном");
  EXPECT_EQ(Step(lead, "move")["stage"], "Успешный этап");
  const std::string path = "/_sim/deals/" + lead["id"].get<std::string>();
  EXPECT_EQ(client_->Send("POST", path + "/move", "{}").status, 400);
  EXPECT_EQ(client_->Send("POST", path, R"({"height":7})").status, 400);
  EXPECT_EQ(client_->Send("POST", path, R"({"branches":["Луна"]})").status, 400);
  EXPECT_EQ(client_->Send("POST", "/_sim/deals/lead:1/move", "{}").status, 404);
  EXPECT_EQ(client_->Send("POST", "/_sim/requests", R"({"account":1})").status, 400);
}

TEST_F(AlfaCrmSimulatorTest, LifeGoesOnByItself) {
  Start({{"deals", "10"}}, 2);
  client_->Control("POST", "life", {{"changes_per_second", 500}});
  EXPECT_TRUE(simkit::WaitFor([&] { return client_->Stats()["events"].get<int>() > 300; }));
  client_->Control("POST", "life", {{"changes_per_second", 0}});
  const Json deals = client_->Control("GET", "deals")["deals"];
  for (const Json& deal : deals) {
    EXPECT_FALSE(deal["title"].get<std::string>().empty());
    EXPECT_FALSE(deal["stage"].get<std::string>().empty());
  }
}

}  // namespace
}  // namespace dealstream::crm::alfacrm
