#include "libs/crm/hollihop/sim/simulator.h"

#include <map>
#include <memory>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libs/crm/sim/testing.h"
#include "libs/crm/sim/web.h"

namespace dealstream::crm::hollihop {
namespace {

using simkit::Json;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class SimulatorTest : public ::testing::Test {
 protected:
  void Start(SimOptions options = {}) {
    options.settings.try_emplace("deals", "0");
    auto made = MakeSimulator(options);
    ASSERT_TRUE(made.ok()) << made.status();
    simulator_ = *std::move(made);
    client_ = std::make_unique<simkit::SimulatorClient>(*simulator_);
    key_ = client_->Credential()["api_key"];
  }

  std::string Key() const { return "authkey=" + simkit::UrlEncode(key_); }

  http::Response Send(const std::string& function, const std::string& query = "") {
    return client_->Send(
        "GET",
        fmt::format("/school1/Api/V2/{}?{}{}{}", function, Key(), query.empty() ? "" : "&", query));
  }
  Json Get(const std::string& function, const std::string& query = "") {
    const http::Response response = Send(function, query);
    EXPECT_EQ(response.status, 200) << function << response.body;
    return Json::parse(response.body, nullptr, false);
  }
  Json Control(const std::string& method, const std::string& path, const Json& body = {}) {
    return client_->Control(method, path, body);
  }

  std::unique_ptr<Simulator> simulator_;
  std::unique_ptr<simkit::SimulatorClient> client_;
  std::string key_;
};

TEST_F(SimulatorTest, SchoolsAreFoundByTheirPath) {
  SimOptions options;
  options.accounts = 2;
  Start(options);
  const Json accounts = Control("GET", "accounts");
  ASSERT_THAT(accounts, SizeIs(2));
  EXPECT_EQ(accounts[1]["account"], "school2");
  EXPECT_THAT(accounts[1]["credential"]["url"].get<std::string>(), HasSubstr("/school2"));
  EXPECT_NE(accounts[0]["credential"]["api_key"], accounts[1]["credential"]["api_key"]);
  const auto nobody = client_->Send("GET", "/school9/Api/V2/GetLeads?" + Key());
  EXPECT_EQ(nobody.status, 404);
  EXPECT_THAT(nobody.body, HasSubstr("<html>"));
}

TEST_F(SimulatorTest, WantsTheKeyAsItIs) {
  Start();
  for (const char* query : {"", "?authkey=x"}) {
    const auto refused = client_->Send("GET", std::string("/school1/Api/V2/GetLeads") + query);
    EXPECT_EQ(refused.status, 403);
    EXPECT_EQ(Json::parse(refused.body)["Error"], "Доступ запрещён");
  }
  // A plus that isn't encoded is a blank.
  EXPECT_EQ(client_->Send("GET", "/school1/Api/V2/GetLeads?authkey=" + key_).status, 403);
  EXPECT_EQ(client_->Stats()["violations"]["wrong_key"], 3);
  EXPECT_EQ(Send("GetLeads").status, 200);
}

TEST_F(SimulatorTest, NamesInAnyCaseAndByPost) {
  Start();
  client_->NewDeal();
  EXPECT_THAT(Get("getleads", "TAKE=1")["Leads"], SizeIs(1));
  EXPECT_EQ(client_->Send("GET", "/school1//api/v2/GetLeads?" + Key()).status, 200);
  const auto posted = client_->Send("POST", "/school1/Api/V2/GetLeads", Key() + "&take=1");
  EXPECT_THAT(Json::parse(posted.body)["Leads"], SizeIs(1));
  EXPECT_EQ(Send("GetEverything").status, 404);
}

TEST_F(SimulatorTest, ListsInPages) {
  SimOptions options;
  options.settings = {{"default_take", "3"}, {"most_take", "4"}};
  Start(options);
  Control("POST", "burst", {{"deals", 10}, {"changes", 0}});
  EXPECT_THAT(Get("GetLeads")["Leads"], SizeIs(3));
  EXPECT_THAT(Get("GetLeads", "take=100")["Leads"], SizeIs(4));
  EXPECT_THAT(Get("GetLeads", "skip=8&take=4")["Leads"], SizeIs(2));
  EXPECT_THAT(Get("GetLeads", "skip=10")["Leads"], SizeIs(0));
  EXPECT_TRUE(Get("GetLeads").contains("Now"));
}

TEST_F(SimulatorTest, FiltersByUpdateTime) {
  Start();
  client_->NewDeal();
  Control("POST", "clock", {{"ahead_seconds", 86'400}});
  const Json later = client_->NewDeal();
  const std::string now = Get("GetLeads")["Now"];
  const Json listed = Get("GetLeads", "lastUpdatedFrom=" + now.substr(0, 10))["Leads"];
  ASSERT_THAT(listed, SizeIs(1));
  EXPECT_EQ(std::to_string(listed[0]["Id"].get<int64_t>()), later["id"]);
}

TEST_F(SimulatorTest, LeavesOutWhatHasNoValue) {
  Start();
  client_->NewDeal({{"amount", nullptr},
                    {"branch", nullptr},
                    {"responsible", nullptr},
                    {"stage", nullptr},
                    {"agents", Json::array()},
                    {"phone", ""},
                    {"level", ""},
                    {"extra_fields", Json::object()}});
  const Json lead = Get("GetLeads")["Leads"][0];
  for (const char* key : {"Budget",
                          "OfficesAndCompanies",
                          "Assignees",
                          "StatusId",
                          "Agents",
                          "Phone",
                          "Level",
                          "ExtraFields",
                          "StudentClientId"}) {
    EXPECT_FALSE(lead.contains(key)) << key << lead;
  }
}

TEST_F(SimulatorTest, WritesBudgetsInFourForms) {
  Start();
  client_->NewDeal({{"amount", "48000"}, {"budget_form", "number"}});
  client_->NewDeal({{"amount", "1500.5"}, {"budget_form", "text"}});
  client_->NewDeal({{"amount", "0"}, {"budget_form", "quantity"}});
  client_->NewDeal(
      {{"amount", "1"}, {"budget_form", "extra_field"}, {"extra_fields", {{"Класс", "5"}}}});
  const Json leads = Get("GetLeads")["Leads"];
  EXPECT_EQ(leads[0]["Budget"], 48000);
  EXPECT_EQ(leads[1]["Budget"], "1\u00a0500,50\u00a0руб.");
  EXPECT_EQ(leads[2]["BudgetQuantity"], 0);
  EXPECT_EQ(leads[2]["BudgetCurrency"], "руб.");
  EXPECT_EQ(leads[3]["ExtraFields"],
            Json::parse("[{\"Name\":\"Бюджет\",\"Value\":\"1,00\u00a0руб.\"},"
                        "{\"Name\":\"Класс\",\"Value\":\"5\"}]"));
}

TEST_F(SimulatorTest, StepsOfADeal) {
  Start();
  const Json deal = client_->NewDeal({{"amount", "100"}, {"stage", "Новый"}});
  const std::string path = "deals/" + deal["id"].get<std::string>();
  EXPECT_EQ(Control("POST", path + "/move")["stage"], "Пробное занятие");
  EXPECT_EQ(Control("POST", path + "/move", {{"stage", "Думает"}})["stage_kind"], "OPEN");
  const Json paid = Control("POST", path + "/pay", {{"amount", 40}});
  EXPECT_EQ(paid["stage_kind"], "WON");
  EXPECT_EQ(paid["amount"], "100");
  EXPECT_EQ(Get("GetPayments")["Payments"][0]["ValueQuantity"], 40);
  EXPECT_THAT(Get("GetHistoryModifyLeadStatus")["Actions"], SizeIs(4));
  EXPECT_THAT(Get("GetStudents")["Students"], SizeIs(1));
  // It has no webhooks and takes no refunds of deals.
  EXPECT_EQ(client_->Send("POST", "/_sim/" + path + "/notify", "{}").status, 400);
  EXPECT_EQ(client_->Send("POST", "/_sim/" + path + "/refund", "{}").status, 400);
  EXPECT_EQ(client_->Send("POST", "/_sim/" + path, R"({"amount":"much"})").status, 400);
  EXPECT_EQ(client_->Send("POST", "/_sim/" + path, R"({"colour":"red"})").status, 400);
  EXPECT_EQ(Control("DELETE", path)["gone"], true);
  EXPECT_THAT(Get("GetLeads")["Leads"], SizeIs(0));
}

TEST_F(SimulatorTest, CountsTheLimit) {
  SimOptions options;
  options.settings = {{"requests", "3"}};
  Start(options);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(Get("GetLeadStatuses").contains("Statuses"));
  }
  EXPECT_EQ(Get("GetLeadStatuses")["Error"],
            "Requests limit is exceeded: 3 requests per 30 seconds");
  EXPECT_EQ(client_->Stats()["violations"]["rate"], 1);
}

TEST_F(SimulatorTest, DirectoriesAndWriting) {
  Start();
  for (const auto& [function, key] :
       std::map<std::string, std::string>{{"GetLeadStatuses", "Statuses"},
                                          {"GetOffices", "Offices"},
                                          {"GetEmployees", "Employees"},
                                          {"GetLocations", "Locations"},
                                          {"GetDisciplines", "Disciplines"},
                                          {"GetLearningTypes", "LearningTypes"},
                                          {"GetLevels", "Levels"},
                                          {"GetStudyRequests", "StudyRequests"}}) {
    EXPECT_TRUE(Get(function)[key].is_array()) << function;
  }
  EXPECT_THAT(Get("AddLead", "firstName=x")["Error"].get<std::string>(), HasSubstr("POST"));
  const auto added = client_->Send("POST",
                                   "/school1/Api/V2/AddLead",
                                   Key() + "&firstName=Call&status=" + simkit::UrlEncode("Новый"));
  const Json lead = Json::parse(added.body);
  ASSERT_TRUE(lead.contains("LeadId")) << added.body;
  client_->Send(
      "POST",
      "/school1/Api/V2/EditContacts",
      fmt::format("{}&leadId={}&mobile=%2B79990001250", Key(), lead["LeadId"].get<int64_t>()));
  EXPECT_EQ(Get("GetLeads")["Leads"][0]["Mobile"], "+79990001250");
}

TEST_F(SimulatorTest, TheSameSeedPlaysTheSameLife) {
  std::string first;
  for (int i = 0; i < 2; ++i) {
    client_.reset();
    SimOptions options;
    options.seed = 5;
    Start(options);
    Control("POST", "burst", {{"deals", 20}, {"changes", 100}});
    Json deals = Control("GET", "deals")["deals"];
    for (Json& deal : deals) {
      deal.erase("updated_us");
    }
    if (i == 0) {
      first = deals.dump();
    } else {
      EXPECT_EQ(deals.dump(), first);
    }
  }
}

}  // namespace
}  // namespace dealstream::crm::hollihop
