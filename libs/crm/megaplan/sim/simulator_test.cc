#include "libs/crm/megaplan/sim/simulator.h"

#include <memory>
#include <set>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libs/crm/sim/testing.h"

namespace dealstream::crm::megaplan {
namespace {

using simkit::Json;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class MegaplanSimulatorTest : public ::testing::Test {
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
    token_ = Login()["access_token"];
  }
  http::Response Auth(const std::string& form) {
    return client_->Send("POST",
                         "/api/v3/auth/access_token",
                         form,
                         {{"Content-Type", "application/x-www-form-urlencoded"}});
  }
  Json Login(size_t account = 0) {
    const Json credential = client_->Credential(account);
    const auto text = [&](const char* key) {
      return simkit::UrlEncode(credential[key].get<std::string>());
    };
    return Json::parse(
        Auth(fmt::format(
                 "grant_type=password&username={}&password={}", text("username"), text("password")))
            .body);
  }
  http::Response Api(const std::string& path,
                     const Json& query = {},
                     const std::string& by = "GET") {
    const std::string arguments = query.is_null() ? "" : "?" + simkit::UrlEncode(query.dump());
    return client_->Send(
        by, "/api/v3" + path + arguments, "", {{"Authorization", "Bearer " + token_}});
  }
  Json Data(const std::string& path, const Json& query = {}) {
    const auto response = Api(path, query);
    EXPECT_EQ(response.status, 200) << response.body;
    return Json::parse(response.body, nullptr, false)["data"];
  }

  std::unique_ptr<Simulator> simulator_;
  std::unique_ptr<simkit::SimulatorClient> client_;
  std::string token_;
};

TEST_F(MegaplanSimulatorTest, TokensAreRenewedAndRevoked) {
  Start();
  const Json first = Login();
  EXPECT_EQ(first["token_type"], "bearer");
  EXPECT_EQ(first["expires_in"], 172800);
  const std::string refresh =
      "grant_type=refresh_token&refresh_token=" + first["refresh_token"].get<std::string>();
  const auto second = Auth(refresh);
  EXPECT_EQ(second.status, 200);
  // Good once.
  const auto third = Auth(refresh);
  EXPECT_EQ(third.status, 400);
  EXPECT_EQ(Json::parse(third.body)["error"], "invalid_grant");
  EXPECT_EQ(Auth("grant_type=password&username=robot@mp1.example&password=x").status, 400);
  EXPECT_EQ(Auth("").status, 400);
  EXPECT_EQ(client_->Control("GET", "logins?account=1")["refreshes"], 2);
  EXPECT_EQ(Api("/employee").status, 200);
  client_->Control("POST", "revoke", {{"account", 1}});
  EXPECT_EQ(Api("/employee").status, 401);
  EXPECT_EQ(client_->Send("GET", "/api/v3/employee").status, 401);
}

TEST_F(MegaplanSimulatorTest, TokensExpire) {
  Start({{"token_lifetime", "1"}});
  EXPECT_TRUE(simkit::WaitFor([&] { return Api("/employee").status == 401; }));
}

TEST_F(MegaplanSimulatorTest, ArgumentsAreOneObject) {
  Start();
  const auto refused =
      client_->Send("GET", "/api/v3/deal?limit=5", "", {{"Authorization", "Bearer " + token_}});
  EXPECT_EQ(refused.status, 422);
  EXPECT_EQ(Json::parse(refused.body)["meta"]["status"], 422);
  EXPECT_EQ(client_->Stats()["violations"]["query_form"], 1);
  EXPECT_EQ(Api("/deal", {{"limit", 5}}).status, 200);
}

TEST_F(MegaplanSimulatorTest, RepeatsAreLinks) {
  Start();
  const Json truth =
      client_->NewDeal({{"contractor", {{"name", "ООО «Липа»"}, {"company", true}}}});
  const Json deal = Data("/deal/" + truth["id"].get<std::string>());
  const Json& responsible = deal["contractor"]["responsibles"][0];
  EXPECT_TRUE(responsible.contains("name"));
  EXPECT_EQ(deal["contractor"]["name"], "ООО «Липа»");
  // The stage comes before the transitions that lead to it.
  EXPECT_EQ(deal["state"]["name"], "Новая");
  EXPECT_EQ(deal["possibleTransitions"][0]["to"].size(), 2u);
  for (int i = 0; i < 5; ++i) {
    client_->NewDeal();
  }
  const Json rows = Data("/deal", {{"fields", {"manager", "state"}}});
  ASSERT_THAT(rows, SizeIs(6));
  EXPECT_GT(rows[0]["manager"].size(), 2u);
  EXPECT_EQ(rows[1]["manager"].size(), 2u);
  EXPECT_FALSE(rows[0].contains("price"));
}

TEST_F(MegaplanSimulatorTest, PagesBeginBehindADeal) {
  Start();
  client_->Control("POST", "burst", {{"deals", 25}});
  std::set<std::string> seen;
  Json query = {
      {"limit", 10},
      {"sortBy",
       Json::array({{{"contentType", "SortField"}, {"fieldName", "timeUpdated"}, {"desc", true}}})},
      {"fields", {"timeUpdated"}},
      {"onlyRequestedFields", true}};
  int pages = 0;
  for (Json rows = Data("/deal", query); !rows.empty(); rows = Data("/deal", query)) {
    EXPECT_EQ(rows[0].size(), 3u) << rows[0];
    for (const Json& row : rows) {
      seen.insert(row["id"].get<std::string>());
    }
    query["pageAfter"] = {{"contentType", "Deal"}, {"id", rows.back()["id"]}};
    ASSERT_LT(++pages, 10);
  }
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(seen.size(), 25u);
  query["pageAfter"] = {{"contentType", "Deal"}, {"id", "1"}};
  EXPECT_EQ(Api("/deal", query).status, 422);
  client_->Control("POST", "settings", {{"gone_place_status", 200}});
  EXPECT_EQ(Data("/deal", query).size(), 0u);
}

TEST_F(MegaplanSimulatorTest, DeletedIsNotFound) {
  Start();
  const std::string id = client_->NewDeal()["id"];
  EXPECT_EQ(Api("/deal/" + id, {}, "DELETE").status, 200);
  const auto gone = Api("/deal/" + id);
  EXPECT_EQ(gone.status, 404);
  EXPECT_EQ(Json::parse(gone.body)["meta"]["status"], 404);
  EXPECT_EQ(client_->Control("GET", "deals/" + id)["gone"], true);
  client_->Control("POST", "faults", {{"account", 1}, {"late_drop_ms", 300}});
  const std::string late = client_->NewDeal()["id"];
  client_->Control("DELETE", "deals/" + late);
  EXPECT_EQ(Api("/deal/" + late).status, 200);
  EXPECT_TRUE(simkit::WaitFor([&] { return Api("/deal/" + late).status == 404; }));
}

TEST_F(MegaplanSimulatorTest, SumsHaveTheirPlace) {
  Start();
  const auto deal = [&](const Json& fields) {
    return Data("/deal/" + client_->NewDeal(fields)["id"].get<std::string>());
  };
  const Json positions =
      deal({{"currency", "USD"}, {"positions", {{{"quantity", "2.5"}, {"price", "100.10"}}}}});
  EXPECT_EQ(positions["price"]["value"], 250.25);
  EXPECT_EQ(positions["price"]["currency"], "USD");
  EXPECT_EQ(positions["positions"][0]["sum"]["value"], 250.25);
  const Json cost = deal({{"cost", "700"}});
  EXPECT_EQ(cost["price"]["value"], 0);
  EXPECT_EQ(cost["cost"]["value"], 700);
  EXPECT_FALSE(deal({{"amount", nullptr}}).contains("price"));
}

TEST_F(MegaplanSimulatorTest, StepsAndTheirWebhooks) {
  Start();
  simkit::WebhookReceiver receiver;
  client_->Control("POST", "webhook", {{"account", 1}, {"url", receiver.Url()}});
  const std::string id = client_->NewDeal({{"amount", "100"}})["id"];
  EXPECT_EQ(client_->Control("POST", "deals/" + id + "/move")["stage"], "В работе");
  const Json paid = client_->Control("POST", "deals/" + id + "/move", {{"stage", "Выполнено"}});
  EXPECT_EQ(paid["stage_kind"], "WON");
  EXPECT_EQ(client_->Control("POST", "deals/" + id + "/pay")["paid"], "100.00");
  EXPECT_EQ(client_->Control("POST", "deals/" + id + "/refund", {{"amount", "40"}})["paid"],
            "60.00");
  client_->Control("POST", "deals/" + id + "/notify");
  client_->Control("DELETE", "deals/" + id);
  ASSERT_TRUE(receiver.WaitForCount(7));
  const auto received = receiver.received();
  const auto event = [&](size_t i) { return Json::parse(received[i].body); };
  EXPECT_EQ(event(0)["event"], "on_after_create");
  EXPECT_EQ(event(1)["event"], "on_after_update");
  EXPECT_EQ(event(6)["event"], "on_after_drop");
  EXPECT_EQ(event(6)["data"], (Json{{"contentType", "Deal"}, {"id", id}}));
  EXPECT_EQ(event(1)["data"]["price"]["value"], 100);
  client_->Control("POST", "faults", {{"account", 1}, {"scenario", true}});
  client_->Control("POST", "deals/" + id + "/notify");
  ASSERT_TRUE(receiver.WaitForCount(8));
  EXPECT_EQ(Json::parse(receiver.received()[7].body)["data"]["deal"]["Id"], std::stoll(id));
}

TEST_F(MegaplanSimulatorTest, FailsAsTheApiDoes) {
  Start();
  const std::string id = client_->NewDeal()["id"];
  client_->Control("POST", "faults", {{"account", 1}, {"status", 403}, {"within_200", true}});
  const auto response = Api("/deal/" + id);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(Json::parse(response.body)["meta"]["status"], 403);
  client_->Control("POST", "faults", {{"account", 1}, {"links_only", true}});
  const Json deal = Data("/deal/" + id);
  for (const char* key : {"contractor", "manager", "state", "program"}) {
    EXPECT_EQ(deal[key].size(), 2u) << key;
  }
  client_->Control("POST", "faults", {{"account", 1}, {"hide_clients", true}});
  EXPECT_EQ(Api("/contractorCompany").status, 403);
  EXPECT_EQ(client_->Send("POST", "/_sim/faults", R"({"account":1,"nonsense":1})").status, 400);
}

TEST_F(MegaplanSimulatorTest, CountsWhoIsTooFast) {
  Start({{"requests_per_second", "3"}});
  http::Response last;
  for (int i = 0; i < 6; ++i) {
    last = Api("/employee");
  }
  EXPECT_EQ(last.status, 429);
  EXPECT_EQ(http::FindHeader(last.headers, "retry-after"), "1");
  EXPECT_GT(client_->Stats()["violations"]["rate"], 0);
}

TEST_F(MegaplanSimulatorTest, LifeIsTheSameForASeed) {
  std::string first;
  for (int round = 0; round < 2; ++round) {
    client_.reset();
    Start({{"deals", "30"}}, 2);
    client_->Control("POST", "burst", {{"deals", 10}, {"changes", 300}});
    Json truth = client_->Control("GET", "deals");
    for (Json& deal : truth["deals"]) {
      deal.erase("updated_us");
    }
    if (round == 0) {
      first = truth.dump();
    } else {
      EXPECT_EQ(truth.dump(), first);
    }
  }
}

}  // namespace
}  // namespace dealstream::crm::megaplan
