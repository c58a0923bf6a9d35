#include "libs/crm/klientiks/sim/simulator.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libs/crm/sim/testing.h"

namespace dealstream::crm::klientiks {
namespace {

using simkit::Json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

class KlientiksSimulatorTest : public ::testing::Test {
 protected:
  void Start(std::map<std::string, std::string> settings = {}) {
    SimOptions options;
    options.settings = std::move(settings);
    options.settings.emplace("deals", "0");
    options.settings.emplace("requests_per_minute", "0");
    auto started = MakeSimulator(options);
    ASSERT_TRUE(started.ok()) << started.status();
    simulator_ = *std::move(started);
    client_ = std::make_unique<simkit::SimulatorClient>(*simulator_);
    credential_ = client_->Credential();
  }
  std::string Field(const char* name) const { return credential_[name]; }
  std::string Path(const std::string& action, const std::string& rest) const {
    return fmt::format(
        "/clientix/Restapi/{}/a/{}/u/{}{}", action, Field("account_id"), Field("user_id"), rest);
  }
  http::Response Get(const std::string& action, const std::string& rest) {
    return client_->Send(
        "GET", Path(action, rest), "", {{"Authorization", "Bearer " + Field("access_token")}});
  }
  Json Good(const std::string& action, const std::string& rest) {
    const auto response = Get(action, rest);
    EXPECT_EQ(response.status, 200) << response.body;
    return Json::parse(response.body, nullptr, false);
  }
  Json Visit(const Json& truth) {
    return Good("getAppointment", "/id/" + truth["id"].get<std::string>())["items"];
  }
  void Receive(simkit::WebhookReceiver& receiver, const std::string& purpose = "deals") {
    client_->Control(
        "POST", "webhook", {{"account", 1}, {"url", receiver.Url()}, {"purpose", purpose}});
  }
  static std::vector<std::string> Queries(const simkit::WebhookReceiver& receiver) {
    std::vector<std::string> queries;
    for (const auto& request : receiver.received()) {
      EXPECT_EQ(request.method, "GET");
      queries.push_back(request.query);
    }
    return queries;
  }

  std::unique_ptr<Simulator> simulator_;
  std::unique_ptr<simkit::SimulatorClient> client_;
  Json credential_;
};

TEST_F(KlientiksSimulatorTest, TokenIsInTheHeaderOrInThePath) {
  Start();
  EXPECT_EQ(Get("list", "/m/Users/?limit=1").status, 200);
  const std::string token = Field("access_token");
  EXPECT_EQ(client_->Send("GET", Path("list", "/t/" + token + "/m/Users/")).status, 200);
  EXPECT_EQ(client_->Send("GET", Path("list", "/m/Users/")).status, 403);
  EXPECT_EQ(client_->Send("GET", Path("list", "/t/x/m/Users/")).body,
            R"({"error":"Access denied"})");
  EXPECT_EQ(client_->Send("GET", "/clientix/Restapi/list/a/x/u/y/m/Users/").status, 403);
  client_->Control("POST", "settings", {{"header_token", 0}});
  EXPECT_EQ(Get("list", "/m/Users/").status, 403);
  EXPECT_EQ(client_->Send("GET", Path("list", "/t/" + token + "/m/Users/")).status, 200);
  client_->Control("POST", "revoke", {{"account", 1}});
  EXPECT_EQ(client_->Send("GET", Path("list", "/t/" + token + "/m/Users/")).status, 403);
}

TEST_F(KlientiksSimulatorTest, VisitsAreReadInEveryEnvelope) {
  Start();
  const Json truth = client_->NewDeal({{"services", {{{"name", "Осмотр"}, {"price", "990.50"}}}},
                                       {"custom_fields", {{"lead", "VK"}}}});
  const std::string rest = "/id/" + truth["id"].get<std::string>();
  const Json visit = Visit(truth);
  EXPECT_EQ(visit["appointed_services"][0]["price"], "990.50");
  EXPECT_EQ(visit["lead"], "VK");
  EXPECT_THAT(visit["json_data"].get<std::string>(), HasSubstr("\"lead\":\"VK\""));
  EXPECT_THAT(visit["modified"].get<std::string>(), SizeIs(26));
  EXPECT_EQ(truth["amount"], "990.50");
  client_->Control("POST", "settings", {{"envelope", 1}, {"flatten", 0}});
  const Json list = Good("getAppointment", rest);
  EXPECT_FALSE(list["items"][0].contains("lead"));
  client_->Control("POST", "settings", {{"envelope", 2}});
  EXPECT_TRUE(Good("getAppointment", rest)["object"].contains("id"));
  client_->Control("POST", "settings", {{"envelope", 3}});
  EXPECT_TRUE(Good("getAppointment", rest).contains("status"));
  EXPECT_EQ(Good("getAppointment", "/id/1")["items"], "No data");
}

TEST_F(KlientiksSimulatorTest, ListsHaveTheNextOffset) {
  Start({{"deals", "3"}});
  const Json first = Good("list", "/m/Appointments/?limit=2");
  EXPECT_EQ(first["items"].size(), 2u);
  EXPECT_EQ(first["offset"], 2);
  EXPECT_EQ(first["count"], 2);
  const Json second = Good("list", "/m/Appointments/limit/2/offset/2");
  EXPECT_EQ(second["items"].size(), 1u);
  const Json none = Good("list", "/m/Appointments/?date=2001-01-01");
  EXPECT_EQ(none["items"], "No data");
  EXPECT_EQ(none["limit"], 50);
  EXPECT_EQ(Good("roistatExportAcl", "/ik/orders/rvwk/status,statuses/?date=0")["orders"].size(),
            3u);
}

TEST_F(KlientiksSimulatorTest, ClientsAreFoundByIdAndPhone) {
  Start();
  const Json truth = client_->NewDeal(
      {{"client", {{"name", "Ольга"}, {"phone", "79000001122"}, {"email", "O@Example.com"}}}});
  const std::string id = simkit::TextOf(Visit(truth)["client_id"]);
  const Json client = Good("list", "/m/Clients/id/" + id)["items"][0];
  EXPECT_EQ(client["email"], "O@Example.com");
  EXPECT_EQ(client["first_name"], "Ольга");
  const Json by_phone = Good("list", "/m/getClientByPhone/phone/79000001122")["items"];
  EXPECT_TRUE(by_phone["json_data"].is_null());
  EXPECT_FALSE(by_phone.contains("email"));
}

TEST_F(KlientiksSimulatorTest, WritesHaveAnEnvelope) {
  Start();
  const auto add = [this](const std::string& form) {
    return Json::parse(client_
                           ->Send("POST",
                                  Path("add", "/m/Clients/"),
                                  form,
                                  {{"Authorization", "Bearer " + Field("access_token")}})
                           .body);
  };
  const Json added = add("phone=79000001122&first_name=Anna");
  EXPECT_EQ(added["status"], "ok");
  EXPECT_TRUE(added["errors"].is_array());
  EXPECT_TRUE(added["object"]["id"].is_number());
  EXPECT_EQ(add("first_name=Anna")["status"], false);
}

// K13: the templates of the instruction, filled in.
TEST_F(KlientiksSimulatorTest, EventsCallTheirUrls) {
  simkit::WebhookReceiver deals;
  simkit::WebhookReceiver requests;
  Start();
  Receive(deals);
  Receive(requests, "requests");
  const Json by_hand = client_->NewDeal();
  const std::string id = by_hand["id"];
  client_->Control("POST", "deals/" + id + "/move", {{"stage", "confirmed"}});
  ASSERT_TRUE(deals.WaitForCount(2));
  EXPECT_THAT(Queries(deals),
              ElementsAre("appointment_id=" + id + "&status=scheduled",
                          "appointment_id=" + id + "&status=confirmed"));
  const Json booking = client_->Control("POST", "requests", {{"account", 1}, {"name", "Анна"}});
  const std::string query =
      "appointment_id=" + booking["id"].get<std::string>() + "&status=scheduled";
  ASSERT_TRUE(deals.WaitForCount(4));
  ASSERT_TRUE(requests.WaitForCount(1));
  EXPECT_EQ(Queries(deals)[2], query);
  EXPECT_EQ(Queries(deals)[3], query);
  EXPECT_THAT(Queries(requests), ElementsAre(query));
  EXPECT_EQ(client_->Control("GET", "requests?account=1")["requests"].size(), 1u);
}

TEST_F(KlientiksSimulatorTest, TemplatesAreSpoiled) {
  simkit::WebhookReceiver receiver;
  Start();
  Receive(receiver);
  const auto spoil = [this](const char* fault) {
    client_->Control("POST", "faults", {{"account", 1}, {fault, true}});
    client_->NewDeal();
  };
  spoil("leftover");
  spoil("unfilled");
  spoil("empty");
  ASSERT_TRUE(receiver.WaitForCount(3));
  const auto queries = Queries(receiver);
  EXPECT_THAT(queries[0], HasSubstr("&status=scheduled%20,"));
  EXPECT_THAT(queries[1], StartsWith("appointment_id=%7B%7B%23appointment%7D%7D"));
  EXPECT_EQ(queries[2], "appointment_id=&status=");
}

TEST_F(KlientiksSimulatorTest, NewVisitsCanBeLate) {
  Start();
  client_->Control("POST", "faults", {{"account", 1}, {"late_ms", 100}});
  const Json truth = client_->NewDeal();
  EXPECT_EQ(Visit(truth), "No data");
  EXPECT_TRUE(simkit::WaitFor([&] { return Visit(truth).is_object(); }));
}

TEST_F(KlientiksSimulatorTest, PhpWritesItsNotices) {
  Start();
  client_->Control("POST", "faults", {{"account", 1}, {"php_notice", true}});
  EXPECT_THAT(Get("list", "/m/Users/").body, StartsWith("<br />\n<b>Notice</b>"));
}

TEST_F(KlientiksSimulatorTest, MoreThanOneCallASecondIsAViolation) {
  Start({{"requests_per_minute", "60"}});
  EXPECT_EQ(Get("list", "/m/Users/").status, 200);
  EXPECT_EQ(Get("list", "/m/Users/").status, 200);
  EXPECT_EQ(Get("list", "/m/Users/").status, 429);
  EXPECT_EQ(client_->Stats()["violations"]["rate"], 1);
}

TEST_F(KlientiksSimulatorTest, StepsThatTheCrmHasNotAreRefused) {
  Start();
  const Json truth = client_->NewDeal();
  const auto paid =
      client_->Send("POST", "/_sim/deals/" + truth["id"].get<std::string>() + "/pay", "{}");
  EXPECT_EQ(paid.status, 400);
  EXPECT_EQ(client_->Send("POST", "/_sim/deals", R"({"account":1,"colour":"red"})").status, 400);
}

TEST_F(KlientiksSimulatorTest, TruthSaysWhatSubscriptionsPay) {
  Start();
  const Json truth =
      client_->NewDeal({{"services",
                         {{{"name", "A"}, {"price", 1000}, {"by_subscription", true}},
                          {{"name", "B"}, {"price", "700.50"}, {"count", 2}, {"discount", 1}}}}});
  EXPECT_EQ(truth["title"], "A, B");
  EXPECT_EQ(truth["amount"], "2400.00");
  EXPECT_EQ(truth["amount_without_subscription"], "1400.00");
  const Json none = client_->NewDeal({{"title", "A"}, {"amount", nullptr}});
  EXPECT_TRUE(none["amount"].is_null());
}

TEST_F(KlientiksSimulatorTest, RemovedAndBlockedAreNotThere) {
  Start();
  const Json truth = client_->NewDeal();
  const std::string id = truth["id"];
  client_->Control("DELETE", "deals/" + id);
  EXPECT_EQ(Visit(truth), "No data");
  const Json blocked = client_->NewDeal({{"client", nullptr}});
  EXPECT_TRUE(Visit(blocked)["client_id"].is_null());
  const Json deals = client_->Control("GET", "deals?account=1")["deals"];
  ASSERT_THAT(deals, SizeIs(1));
  EXPECT_EQ(deals[0]["gone"], true);
}

TEST_F(KlientiksSimulatorTest, LifeGoesOn) {
  simkit::WebhookReceiver receiver;
  Start();
  Receive(receiver);
  client_->Control("POST", "burst", {{"account", 1}, {"deals", 50}, {"changes", 200}});
  const Json stats = client_->Stats();
  EXPECT_GE(stats["events"].get<int>(), 250);
  EXPECT_GT(client_->Control("GET", "deals?account=1")["deals"].size(), 40u);
  EXPECT_GT(client_->Control("GET", "requests?account=1")["requests"].size(), 5u);
}

}  // namespace
}  // namespace dealstream::crm::klientiks
