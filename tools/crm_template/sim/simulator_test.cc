#include "libs/crm/newcrm/sim/simulator.h"

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "libs/crm/sim/testing.h"

namespace dealstream::crm::newcrm {
namespace {

using simkit::Json;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class NewCrmSimulatorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    SimOptions options;
    options.settings = {{"deals", "3"}};
    simulator_ = *MakeSimulator(options);
    client_ = std::make_unique<simkit::SimulatorClient>(*simulator_);
    key_ = client_->Credential()["key"];
  }

  http::Response Api(const std::string& path) {
    return client_->Send("GET", path, "", {{"Authorization", "Bearer " + key_}});
  }
  static Json Parse(const http::Response& response) {
    return Json::parse(response.body, nullptr, /*allow_exceptions=*/false);
  }

  std::unique_ptr<Simulator> simulator_;
  // Goes first, and its connections with it: the server waits for nobody then.
  std::unique_ptr<simkit::SimulatorClient> client_;
  std::string key_;
};

TEST_F(NewCrmSimulatorTest, PlaysTheApi) {
  EXPECT_THAT(Parse(Api("/v1/deals"))["deals"], SizeIs(3));
  EXPECT_EQ(Parse(Api("/v1/deals/1"))["id"], "1");
  EXPECT_EQ(Api("/v1/deals/77").status, 404);
  EXPECT_EQ(client_->Send("GET", "/v1/deals").status, 401);
}

TEST_F(NewCrmSimulatorTest, ListsByTimeAndId) {
  const Json truth = client_->Control("POST", "deals/2", {{"title", "Chair"}});
  const Json list = Parse(Api("/v1/deals?limit=2"));
  EXPECT_EQ(list["total"], 3);
  EXPECT_EQ(list["deals"][1]["id"], "3");
  const std::string since = list["deals"][1]["updated"];
  EXPECT_EQ(Parse(Api("/v1/deals?since=" + since + "&after=3"))["deals"][0]["id"], "2");
  EXPECT_EQ(Api("/v1/deals?since=yesterday").status, 400);
}

TEST_F(NewCrmSimulatorTest, StepsSendWebhooks) {
  simkit::WebhookReceiver receiver;
  client_->Control("POST", "webhook", {{"url", receiver.Url()}});
  const std::string path = "deals/" + client_->NewDeal({{"amount", 5}})["id"].get<std::string>();
  EXPECT_EQ(client_->Control("POST", path + "/move")["stage"], "Talks");
  EXPECT_EQ(client_->Control("POST", path + "/move", {{"stage", "Won"}})["stage_kind"], "WON");
  EXPECT_EQ(client_->Send("POST", "/_sim/" + path + "/move").status, 400);
  client_->Control("POST", path + "/notify");
  EXPECT_EQ(client_->Control("DELETE", path)["gone"], true);
  ASSERT_TRUE(receiver.WaitForCount(5));
  EXPECT_THAT(receiver.received()[0].body, HasSubstr("deal.created"));
  EXPECT_THAT(receiver.received()[4].body, HasSubstr("deal.deleted"));
}

TEST_F(NewCrmSimulatorTest, KeepsItsLimit) {
  int refused = 0;
  for (int i = 0; i < 8; ++i) {
    refused += Api("/v1/deals/1").status == 429 ? 1 : 0;
  }
  EXPECT_EQ(refused, 3);
  EXPECT_EQ(client_->Stats()["violations"]["rate"], 3);
}

TEST_F(NewCrmSimulatorTest, LifeGoesOn) {
  client_->Control("POST", "burst", {{"changes", 300}});
  EXPECT_GT(client_->Control("GET", "deals")["deals"].size(), 50U);
}

}  // namespace
}  // namespace dealstream::crm::newcrm
