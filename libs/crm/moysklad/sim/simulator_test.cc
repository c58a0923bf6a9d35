#include "libs/crm/moysklad/sim/simulator.h"

#include <atomic>
#include <chrono>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libs/crm/sim/testing.h"

namespace dealstream::crm::moysklad {
namespace {

using simkit::Json;
using simkit::WaitFor;
using simkit::WebhookReceiver;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

class SimulatorTest : public ::testing::Test {
 protected:
  void Start(SimOptions options = {}) {
    // Most tests ask more than 15 times in 3 s.
    options.settings.try_emplace("units", "100000");
    auto made = MakeSimulator(options);
    ASSERT_TRUE(made.ok()) << made.status();
    simulator_ = *std::move(made);
    client_ = std::make_unique<simkit::SimulatorClient>(*simulator_);
    credential_ = client_->Credential();
  }

  http::Response Send(const std::string& method,
                      const std::string& path,
                      const std::string& body = {},
                      http::Headers headers = {}) {
    return client_->Send(method, path, body, std::move(headers));
  }

  http::Headers Credentials() const {
    const std::string plain =
        credential_["login"].get<std::string>() + ":" + credential_["password"].get<std::string>();
    return {{"Authorization", "Basic " + absl::Base64Escape(plain)}};
  }

  // Of the first account.
  http::Response Api(const std::string& method, const std::string& path, const Json& body = {}) {
    return Send(method, "/api/remap/1.2" + path, body.is_null() ? "" : body.dump(), Credentials());
  }

  Json Get(const std::string& path) {
    const http::Response response = Api("GET", path);
    EXPECT_EQ(response.status, 200) << path << response.body;
    return Json::parse(response.body, nullptr, false);
  }

  Json Control(const std::string& method, const std::string& path, const Json& body = {}) {
    return client_->Control(method, path, body);
  }

  Json NewOrder(const Json& fields = Json::object()) { return client_->NewDeal(fields); }

  Json Stats() { return client_->Stats(); }

  static int CodeOf(const http::Response& response) {
    const Json body = Json::parse(response.body, nullptr, false);
    return body.is_object() ? body["errors"][0]["code"].get<int>() : 0;
  }

  static std::string PathOf(const std::string& href) {
    return href.substr(href.find("/api/remap/1.2") + 14);
  }

  std::unique_ptr<Simulator> simulator_;
  // Goes first, and its connections with it: the server waits for nobody then.
  std::unique_ptr<simkit::SimulatorClient> client_;
  Json credential_;
};

// ---- The transport's rules
// -----------------------------------------------------------------------

TEST_F(SimulatorTest, DemandsGzipAndPacksEveryAnswer) {
  Start();
  auto headers = Credentials();
  headers.emplace_back("Accept-Encoding", "identity");
  const auto refused = Send("GET", "/api/remap/1.2/entity/store", "", headers);
  EXPECT_EQ(refused.status, 415);
  EXPECT_EQ(refused.body, "");
  const auto good = Api("GET", "/entity/store");
  EXPECT_EQ(good.status, 200);
  EXPECT_EQ(http::FindHeader(good.headers, "content-encoding"), "gzip");
  EXPECT_EQ(http::FindHeader(good.headers, "content-type"), "application/json;charset=utf-8");
  const auto error = Api("GET", "/entity/nonsense");
  EXPECT_EQ(http::FindHeader(error.headers, "content-encoding"), "gzip");
  EXPECT_EQ(Stats()["violations"]["no_gzip"], 1);
}

TEST_F(SimulatorTest, RefusesWrongCredentials) {
  Start();
  for (const char* plain : {"admin@company1:wrong", "nobody@company1:x", "nonsense"}) {
    const auto response = Send("GET",
                               "/api/remap/1.2/entity/store",
                               "",
                               {{"Authorization", "Basic " + absl::Base64Escape(plain)}});
    EXPECT_EQ(response.status, 401);
    EXPECT_EQ(CodeOf(response), 1056);
  }
  EXPECT_EQ(Send("GET", "/api/remap/1.2/entity/store").status, 401);
}

TEST_F(SimulatorTest, ANewTokenRevokesTheFormerOne) {
  Start();
  const auto token = [&] {
    const Json answer = Json::parse(Api("POST", "/security/token").body);
    return answer["access_token"].get<std::string>();
  };
  const std::string first = token();
  const std::string second = token();
  const auto status = [&](const std::string& bearer) {
    return Send("GET", "/api/remap/1.2/entity/store", "", {{"Authorization", "Bearer " + bearer}})
        .status;
  };
  EXPECT_THAT(first, SizeIs(40));
  EXPECT_EQ(status(first), 401);
  EXPECT_EQ(status(second), 200);
}

TEST_F(SimulatorTest, GivesFifteenRequestsInAnInterval) {
  SimOptions options;
  options.settings = {{"units", "45"}, {"interval_ms", "1500"}};
  Start(options);
  for (int i = 1; i <= 15; ++i) {
    const auto good = Api("GET", "/context/employee");
    ASSERT_EQ(good.status, 200) << i;
    EXPECT_EQ(http::FindHeader(good.headers, "x-ratelimit-limit"), "45");
    EXPECT_EQ(http::FindHeader(good.headers, "x-ratelimit-remaining"), std::to_string(45 - 3 * i));
    EXPECT_EQ(http::FindHeader(good.headers, "x-lognex-retry-after"), "0");
  }
  const auto refused = Api("GET", "/context/employee");
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(CodeOf(refused), 1049);
  const int wait =
      std::stoi(std::string(http::FindHeader(refused.headers, "x-lognex-retry-after")));
  EXPECT_GT(wait, 0);
  EXPECT_LE(wait, 1500);
  EXPECT_EQ(Stats()["violations"]["rate"], 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(wait));
  EXPECT_EQ(Api("GET", "/context/employee").status, 200);
}

TEST_F(SimulatorTest, TakesFiveAtOnce) {
  Start();
  Control("POST", "faults", {{"account", 1}, {"latency_ms", 300}});
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  std::atomic<int> refused = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const auto response = Api("GET", "/context/employee");
      if (response.status == 200) {
        ++good;
      } else if (CodeOf(response) == 1073) {
        EXPECT_EQ(response.status, 429);
        EXPECT_EQ(http::FindHeader(response.headers, "x-ratelimit-limit"), "");
        ++refused;
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(good, 5);
  EXPECT_EQ(refused, 3);
  EXPECT_EQ(Stats()["violations"]["parallel"], 3);
}

TEST_F(SimulatorTest, TooManyRefusalsSwitchTheUserOff) {
  SimOptions options;
  options.settings = {{"units", "3"}, {"refusals_to_block", "2"}};
  Start(options);
  std::vector<int> statuses;
  for (int i = 0; i < 6; ++i) {
    statuses.push_back(Api("GET", "/context/employee").status);
  }
  EXPECT_THAT(statuses, ElementsAre(200, 429, 429, 429, 403, 403));
  Control("DELETE", "faults");
  EXPECT_EQ(Api("GET", "/context/employee").status, 429);
}

TEST_F(SimulatorTest, OneAccountsLimitIsNotAnothers) {
  SimOptions options;
  options.accounts = 2;
  options.settings = {{"units", "3"}};
  Start(options);
  EXPECT_EQ(Api("GET", "/context/employee").status, 200);
  EXPECT_EQ(Api("GET", "/context/employee").status, 429);
  credential_ = Json::parse(simulator_->Describe())["accounts"][1]["credential"];
  EXPECT_EQ(Api("GET", "/context/employee").status, 200);
}

// ---- Reading
// -------------------------------------------------------------------------------------

TEST_F(SimulatorTest, ReadsAnOrderWithItsReferencesExpanded) {
  Start();
  const Json order =
      NewOrder({{"state", "Подтверждён"},
                {"store", "Основной склад"},
                {"agent", {{"name", "Лукин Егор"}, {"phone", "8 900 000-11-22"}}},
                {"positions", {{{"quantity", 2}, {"price", 189900}, {"discount", 5}}}}});
  const std::string path = "/entity/customerorder/" + order["id"].get<std::string>();
  const Json plain = Get(path);
  EXPECT_FALSE(plain["agent"].contains("name"));
  EXPECT_FALSE(plain["positions"].contains("rows"));
  EXPECT_EQ(plain["positions"]["meta"]["size"], 1);
  const Json full =
      Get(path + "?expand=agent,state,store,owner,rate.currency,positions.assortment");
  EXPECT_EQ(full["agent"]["name"], "Лукин Егор");
  EXPECT_EQ(full["agent"]["phone"], "8 900 000-11-22");
  EXPECT_EQ(full["state"]["stateType"], "Regular");
  EXPECT_EQ(full["store"]["name"], "Основной склад");
  EXPECT_EQ(full["rate"]["currency"]["isoCode"], "RUB");
  EXPECT_FALSE(full["rate"].contains("value"));
  EXPECT_EQ(full["sum"].dump(), "360810.0");
  EXPECT_EQ(full["positions"]["rows"][0]["quantity"].dump(), "2.0");
  EXPECT_TRUE(full["positions"]["rows"][0]["assortment"].contains("name"));
  EXPECT_THAT(full["updated"].get<std::string>(),
              ::testing::MatchesRegex("[0-9-]{10} [0-9:]{8}\\.[0-9]{3}"));
}

TEST_F(SimulatorTest, LeavesAbsentFieldsOut) {
  Start();
  const Json order =
      NewOrder({{"state", nullptr}, {"store", nullptr}, {"owner", nullptr}, {"agent", nullptr}});
  const Json read = Get("/entity/customerorder/" + order["id"].get<std::string>());
  for (const char* key :
       {"state", "store", "owner", "agent", "attributes", "deleted", "description", "syncId"}) {
    EXPECT_FALSE(read.contains(key)) << key;
  }
}

TEST_F(SimulatorTest, KeepsFractionsOfAKopeckAndForeignCurrency) {
  Start();
  const Json order = NewOrder({{"sum", "12345.6789"}, {"currency", "USD"}});
  EXPECT_EQ(order["amount"], "123.456789");
  const Json read =
      Get("/entity/customerorder/" + order["id"].get<std::string>() + "?expand=rate.currency");
  EXPECT_EQ(read["sum"].dump(), "12345.6789");
  EXPECT_EQ(read["rate"]["currency"]["isoCode"], "USD");
  EXPECT_EQ(read["rate"]["value"].dump(), "92.35");
}

TEST_F(SimulatorTest, ShowsAttributesOfEveryType) {
  SimOptions options;
  options.settings = {{"deals", "60"}};
  Start(options);
  std::set<std::string> types;
  const Json list = Get("/entity/customerorder?limit=100");
  for (const Json& order : list["rows"]) {
    const Json attributes = order.value("attributes", Json::array());
    for (const Json& attribute : attributes) {
      types.insert(attribute["type"]);
      const Json& value = attribute["value"];
      EXPECT_TRUE(!value.is_object() || (value.contains("meta") && value.contains("name")))
          << attribute;
    }
  }
  EXPECT_THAT(types, SizeIs(16));
  const Json metadata = Get("/entity/customerorder/metadata?expand=attributes");
  EXPECT_THAT(metadata["attributes"]["rows"], SizeIs(17));
  EXPECT_THAT(metadata["states"], SizeIs(7));
  EXPECT_FALSE(Get("/entity/customerorder/metadata")["attributes"].contains("rows"));
}

TEST_F(SimulatorTest, IgnoresExpandOnListsAboveAHundredWithoutAWord) {
  Start();
  const auto expanded = [&](const std::string& query) {
    return Get("/entity/customerorder?expand=agent" + query)["rows"][0]["agent"].contains("name");
  };
  EXPECT_TRUE(expanded("&limit=100"));
  EXPECT_FALSE(expanded("&limit=101"));
  EXPECT_FALSE(expanded(""));
}

TEST_F(SimulatorTest, PagesThroughPositionsThatOneAnswerDoesNotHold) {
  SimOptions options;
  options.settings = {{"nested_limit", "100"}};
  Start(options);
  const Json order = NewOrder({{"positions", 250}});
  const std::string path = "/entity/customerorder/" + order["id"].get<std::string>();
  const Json read = Get(path + "?expand=positions.assortment");
  EXPECT_EQ(read["positions"]["meta"]["size"], 250);
  EXPECT_EQ(read["positions"]["meta"]["limit"], 100);
  EXPECT_THAT(read["positions"]["rows"], SizeIs(100));
  std::set<std::string> ids;
  std::string next = path + "/positions?expand=assortment&limit=100&offset=0";
  int pages = 0;
  while (!next.empty()) {
    const Json page = Get(next);
    ++pages;
    for (const Json& row : page["rows"]) {
      ids.insert(row["id"]);
      EXPECT_TRUE(row["assortment"].contains("name"));
    }
    next = page["meta"].contains("nextHref") ? PathOf(page["meta"]["nextHref"]) : "";
  }
  EXPECT_EQ(pages, 3);
  EXPECT_THAT(ids, SizeIs(250));
}

TEST_F(SimulatorTest, FollowsNextHrefThroughAFilteredAndOrderedList) {
  Start();
  std::string last;
  std::set<std::string> ids;
  std::string next =
      "/entity/customerorder?filter=updated%3E%3D2020-01-01%2000:00:00&order=updated,asc&limit=7";
  while (!next.empty()) {
    const Json page = Get(next);
    EXPECT_EQ(page["meta"]["size"], 20);
    for (const Json& row : page["rows"]) {
      EXPECT_LE(last, row["updated"].get<std::string>());
      last = row["updated"];
      ids.insert(row["id"]);
    }
    next = page["meta"].contains("nextHref") ? PathOf(page["meta"]["nextHref"]) : "";
  }
  EXPECT_THAT(ids, SizeIs(20));
}

TEST_F(SimulatorTest, FiltersByTimeIdStateAndBin) {
  SimOptions options;
  options.settings = {{"deals", "0"}};
  Start(options);
  const Json one = NewOrder({{"state", "Новый"}});
  const Json two = NewOrder({{"state", "Доставлен"}});
  Control("POST", "deals/" + two["id"].get<std::string>() + "/trash");
  const auto count = [&](const std::string& filter) {
    return Get("/entity/customerorder?filter=" + filter)["meta"]["size"].get<int>();
  };
  EXPECT_EQ(Get("/entity/customerorder")["meta"]["size"], 1);
  EXPECT_EQ(count("isDeleted=true"), 1);
  EXPECT_EQ(count("isDeleted=true;isDeleted=false"), 2);
  EXPECT_EQ(count("id=" + one["id"].get<std::string>()), 1);
  EXPECT_EQ(count("state.name=%D0%9D%D0%BE%D0%B2%D1%8B%D0%B9"), 1);
  EXPECT_EQ(count("updated%3E2100-01-01"), 0);
  EXPECT_EQ(count("updated%3C2100-01-01%2000:00;updated%3E=2020-01-01"), 1);
  EXPECT_EQ(CodeOf(Api("GET", "/entity/customerorder?filter=updated%3Eyesterday")), 1034);
  EXPECT_EQ(Api("GET", "/entity/customerorder?limit=1001").status, 400);
}

TEST_F(SimulatorTest, SaysWhatIsNotThere) {
  Start();
  const auto gone = Api("GET", "/entity/customerorder/210f4d0c-f3d2-11f1-0a81-ebb700b713b4");
  EXPECT_EQ(gone.status, 404);
  EXPECT_EQ(CodeOf(gone), 1021);
  const auto bad = Api("GET", "/entity/customerorder/nonsense");
  EXPECT_EQ(CodeOf(bad), 1052);
  const auto type = Api("GET", "/entity/customerordr");
  EXPECT_EQ(type.status, 412);
  EXPECT_EQ(CodeOf(type), 1005);
  EXPECT_EQ(Api("PUT", "/entity/store", Json::object()).status, 405);
  EXPECT_EQ(Api("GET", "/nonsense").status, 404);
}

TEST_F(SimulatorTest, ListsContactPersonsOfACounterparty) {
  Start();
  bool found = false;
  const Json agents = Get("/entity/counterparty?limit=100");
  for (const Json& agent : agents["rows"]) {
    const size_t size = agent["contactpersons"]["meta"]["size"];
    const Json contacts =
        Get("/entity/counterparty/" + agent["id"].get<std::string>() + "/contactpersons");
    EXPECT_THAT(contacts["rows"], SizeIs(size));
    found = found || size > 0;
  }
  EXPECT_TRUE(found);
}

// ---- Changes
// -------------------------------------------------------------------------------------

TEST_F(SimulatorTest, UpdatedGrowsWithEveryChange) {
  Start();
  const Json order = NewOrder();
  const std::string path = "deals/" + order["id"].get<std::string>();
  int64_t last = order["updated_us"];
  for (int i = 0; i < 20; ++i) {
    const Json changed = Control("POST", path, {{"sum", i}});
    EXPECT_GT(changed["updated_us"].get<int64_t>(), last);
    last = changed["updated_us"];
  }
}

TEST_F(SimulatorTest, TheBinAndTheEnd) {
  Start();
  const std::string id = NewOrder()["id"];
  const std::string path = "/entity/customerorder/" + id;
  Control("POST", "deals/" + id + "/trash");
  EXPECT_TRUE(Get(path).contains("deleted"));
  Control("POST", "deals/" + id + "/restore");
  EXPECT_FALSE(Get(path).contains("deleted"));
  Control("DELETE", "deals/" + id);
  EXPECT_EQ(CodeOf(Api("GET", path)), 1021);
  EXPECT_EQ(Send("POST", "/_sim/deals/" + id, "{}").status, 404);
  bool told = false;
  const Json truth = Control("GET", "deals?account=company1");
  for (const Json& order : truth["deals"]) {
    told = told || (order["id"] == id && order["gone"] == true);
  }
  EXPECT_TRUE(told);
}

TEST_F(SimulatorTest, MovesPaysAndRefunds) {
  Start();
  const Json order = NewOrder({{"title", "Заказ"}, {"amount", "150.25"}, {"stage", "Новый"}});
  EXPECT_EQ(order["title"], "Заказ");
  EXPECT_EQ(order["amount"], "150.25");
  const std::string path = "deals/" + order["id"].get<std::string>();
  EXPECT_EQ(Control("POST", path + "/pay", {{"amount", 50.25}})["payed"], 5025);
  EXPECT_EQ(Control("POST", path + "/pay")["payed"], 15025);
  EXPECT_EQ(Control("POST", path + "/refund", {{"amount", "0.25"}})["payed"], 15000);
  EXPECT_EQ(Control("POST", path + "/refund")["payed"], 0);
  for (const char* stage : {"Подтверждён", "Собран", "Отгружен", "Доставлен"}) {
    EXPECT_EQ(Control("POST", path + "/move")["stage"], stage);
  }
  EXPECT_EQ(Control("GET", path)["stage_kind"], "WON");
  EXPECT_EQ(Send("POST", "/_sim/" + path + "/move").status, 400);
  EXPECT_EQ(Control("POST", path + "/move", {{"stage", "Отменён"}})["stage_kind"], "LOST");
}

TEST_F(SimulatorTest, ClientsWriteOrders) {
  Start();
  const auto ref = [](const Json& entity) { return Json{{"meta", entity["meta"]}}; };
  const Json agent = Get("/entity/counterparty?limit=1")["rows"][0];
  const Json organization = Get("/entity/organization?limit=1")["rows"][0];
  Json body = {{"organization", ref(organization)},
               {"agent", ref(agent)},
               {"syncId", "210f4d0c-f3d2-11f1-0a81-ebb700b713b4"}};
  const Json made = Json::parse(Api("POST", "/entity/customerorder", body).body);
  EXPECT_TRUE(made.contains("state"));
  EXPECT_EQ(Json::parse(Api("POST", "/entity/customerorder", body).body)["id"], made["id"]);
  const std::string path = "/entity/customerorder/" + made["id"].get<std::string>();
  const Json changed = Json::parse(
      Api("PUT", path, {{"positions", {{{"quantity", 1}, {"price", 100}}}}, {"store", nullptr}})
          .body);
  EXPECT_EQ(changed["sum"].dump(), "100.0");
  EXPECT_GT(changed["updated"], made["updated"]);
  const auto bad = Api("POST", "/entity/customerorder", {{"agent", ref(agent)}});
  EXPECT_EQ(bad.status, 412);
  EXPECT_EQ(CodeOf(bad), 3000);
  const Json bulk = Json::parse(
      Api("POST", "/entity/customerorder", Json::array({{{"x", 1}}, {{"meta", made["meta"]}}}))
          .body);
  EXPECT_TRUE(bulk[0].contains("errors"));
  EXPECT_EQ(bulk[1]["id"], made["id"]);
  EXPECT_EQ(Api("DELETE", path).body, "");
  EXPECT_EQ(Api("DELETE", path).status, 404);
}

// ---- Webhooks
// ------------------------------------------------------------------------------------

TEST_F(SimulatorTest, DeliversAWebhook) {
  Start();
  WebhookReceiver receiver;
  const auto registered = Api("POST",
                              "/entity/webhook",
                              {{"url", receiver.Url()},
                               {"action", "UPDATE"},
                               {"entityType", "customerorder"},
                               {"diffType", "FIELDS"}});
  EXPECT_EQ(registered.status, 200);
  const Json order = NewOrder();
  Control("POST", "deals/" + order["id"].get<std::string>(), {{"state", "Собран"}});
  ASSERT_TRUE(receiver.WaitForCount(1));
  ASSERT_TRUE(WaitFor([&] { return Stats()["webhooks"]["acked"] == 1; }));
  ASSERT_THAT(receiver.received(), SizeIs(1));
  const http::ServerRequest request = receiver.received()[0];
  EXPECT_EQ(request.method, "POST");
  EXPECT_THAT(request.query, StartsWith("requestId="));
  EXPECT_EQ(http::FindHeader(request.headers, "user-agent"),
            "MoySklad webhook touch agent 2.0 (/https://www.moysklad.ru)");
  EXPECT_EQ(http::FindHeader(request.headers, "content-type"), "application/json");
  const Json body = Json::parse(request.body);
  EXPECT_EQ(body["auditContext"]["uid"], "admin@company1");
  EXPECT_THAT(body["auditContext"]["moment"].get<std::string>(), SizeIs(19));
  ASSERT_THAT(body["events"], SizeIs(1));
  const Json& event = body["events"][0];
  EXPECT_EQ(event["action"], "UPDATE");
  EXPECT_EQ(event["updatedFields"], Json::array({"state"}));
  EXPECT_EQ(event["accountId"], Json::parse(simulator_->Describe())["accounts"][0]["account_id"]);
  EXPECT_THAT(event["meta"]["href"].get<std::string>(),
              HasSubstr("/entity/customerorder/" + order["id"].get<std::string>()));
}

TEST_F(SimulatorTest, TriesFourTimesAtOnceWithOneRequestIdThenLosesIt) {
  Start();
  WebhookReceiver receiver([] { return 500; });
  Control("POST", "webhook", {{"account", 1}, {"url", receiver.Url()}});
  NewOrder();
  ASSERT_TRUE(WaitFor([&] { return Stats()["webhooks"]["lost"] == 1; }));
  const auto received = receiver.received();
  ASSERT_THAT(received, SizeIs(4));
  for (const auto& request : received) {
    EXPECT_EQ(request.query, received[0].query);
  }
  EXPECT_EQ(Stats()["webhooks"]["attempts"], 4);
}

TEST_F(SimulatorTest, WaitsFifteenHundredMillisecondsAndNoLonger) {
  Start();
  std::atomic<int> calls = 0;
  // The first answer comes too late.
  WebhookReceiver receiver([&calls] {
    if (calls++ == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1700));
    }
    return 200;
  });
  Control("POST", "webhook", {{"account", 1}, {"url", receiver.Url()}});
  NewOrder();
  ASSERT_TRUE(WaitFor([&] { return Stats()["webhooks"]["acked"] == 1; }));
  EXPECT_EQ(Stats()["webhooks"]["attempts"], 2);
}

TEST_F(SimulatorTest, ASlowReceiverDoesNotHoldUpLifeNorOthers) {
  SimOptions options;
  options.accounts = 2;
  Start(options);
  std::atomic<bool> release = false;
  WebhookReceiver slow([&release] {
    while (!release) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return 200;
  });
  WebhookReceiver quick;
  Control("POST", "webhook", {{"account", 1}, {"url", slow.Url()}});
  Control("POST", "webhook", {{"account", 2}, {"url", quick.Url()}});
  Control("POST", "burst", {{"account", 1}, {"deals", 5}});
  Control("POST", "burst", {{"account", 2}, {"deals", 20}});
  EXPECT_TRUE(quick.WaitForCount(20));
  release = true;
}

TEST_F(SimulatorTest, SeveralChangesAtOnceShareABody) {
  Start();
  WebhookReceiver receiver;
  Control("POST", "webhook", {{"account", 1}, {"url", receiver.Url()}});
  const Json agent = Get("/entity/counterparty?limit=1")["rows"][0];
  const Json organization = Get("/entity/organization?limit=1")["rows"][0];
  const Json order = {{"organization", {{"meta", organization["meta"]}}},
                      {"agent", {{"meta", agent["meta"]}}}};
  EXPECT_EQ(Api("POST", "/entity/customerorder", Json::array({order, order, order})).status, 200);
  ASSERT_TRUE(receiver.WaitForCount(1));
  EXPECT_THAT(Json::parse(receiver.received()[0].body)["events"], SizeIs(3));
}

TEST_F(SimulatorTest, DropsDoublesAndMixesOnOrder) {
  Start();
  WebhookReceiver receiver;
  Control("POST", "webhook", {{"account", 1}, {"url", receiver.Url()}});
  Control("POST", "faults", {{"account", 1}, {"drop_webhooks", true}});
  NewOrder();
  Control("POST", "faults", {{"account", 1}, {"duplicate_webhooks", true}});
  NewOrder();
  ASSERT_TRUE(WaitFor([&] { return Stats()["webhooks"]["acked"] == 2; }));
  ASSERT_THAT(receiver.received(), SizeIs(2));
  EXPECT_EQ(receiver.received()[0].query, receiver.received()[1].query);
  EXPECT_EQ(Stats()["webhooks"]["dropped"], 1);
  NewOrder({{"silent", true}});
  EXPECT_EQ(Stats()["webhooks"]["pending"], 0);
}

TEST_F(SimulatorTest, ChecksRegistrations) {
  Start();
  const auto code = [&](const Json& body) {
    const auto response = Api("POST", "/entity/webhook", body);
    return response.status == 200 ? 200 : CodeOf(response);
  };
  Json good = {
      {"url", "https://a.example/1"}, {"action", "UPDATE"}, {"entityType", "customerorder"}};
  const auto with = [&](const char* key, const Json& value) {
    Json changed = good;
    changed[key] = value;
    return changed;
  };
  EXPECT_EQ(code(good), 200);
  EXPECT_EQ(code(good), 30003);
  EXPECT_EQ(code(with("url", "ftp://x")), 30000);
  EXPECT_EQ(code(with("url", "https://a.example/" + std::string(255, 'x'))), 30000);
  EXPECT_EQ(code(with("action", "MOVE")), 30001);
  EXPECT_EQ(code(with("diffType", "ALL")), 30008);
  for (int i = 2; i <= 5; ++i) {
    EXPECT_EQ(code(with("url", fmt::format("https://a.example/{}", i))), 200);
  }
  EXPECT_EQ(code(with("url", "https://a.example/6")), 30007);
  const Json list = Get("/entity/webhook");
  ASSERT_THAT(list["rows"], SizeIs(5));
  const std::string path = "/entity/webhook/" + list["rows"][0]["id"].get<std::string>();
  EXPECT_EQ(Json::parse(Api("PUT", path, {{"enabled", false}}).body)["enabled"], false);
  EXPECT_EQ(Api("DELETE", path).status, 200);
  EXPECT_EQ(Api("GET", path).status, 404);
}

// ---- Faults and life
// -----------------------------------------------------------------------------

TEST_F(SimulatorTest, PlaysFaultsForSoManyRequests) {
  Start();
  Control("POST", "faults", {{"account", 1}, {"html", true}, {"for_requests", 2}});
  for (int i = 0; i < 2; ++i) {
    const auto response = Api("GET", "/context/employee");
    EXPECT_EQ(response.status, 503);
    EXPECT_THAT(response.body, StartsWith("<html>"));
  }
  EXPECT_EQ(Api("GET", "/context/employee").status, 200);
}

TEST_F(SimulatorTest, HangsUntilCleared) {
  Start();
  Control("POST", "faults", {{"account", 1}, {"hang", true}});
  std::atomic<bool> answered = false;
  std::thread caller([&] {
    EXPECT_EQ(Api("GET", "/context/employee").status, 200);
    answered = true;
  });
  ASSERT_TRUE(WaitFor([&] { return Stats()["accounts"]["company1"]["running"] == 1; }));
  EXPECT_FALSE(answered);
  Control("DELETE", "faults");
  caller.join();
}

TEST_F(SimulatorTest, ACutAnswerIsNotTakenForAWholeOne) {
  Start();
  Control("POST", "faults", {{"account", 1}, {"cut", true}});
  http::Request request;
  request.url = fmt::format("http://127.0.0.1:{}/api/remap/1.2/entity/store", simulator_->port());
  request.headers = Credentials();
  request.operation = "test";
  EXPECT_EQ(ReasonOf(client_->transport().Send(request).status()), "broken_answer");
}

TEST_F(SimulatorTest, ReadsFromAReplicaThatIsBehind) {
  Start();
  WebhookReceiver receiver;
  Control("POST", "webhook", {{"account", 1}, {"url", receiver.Url()}});
  const std::string id = NewOrder({{"sum", 100}, {"silent", true}})["id"];
  const auto sum = [&] { return Get("/entity/customerorder/" + id)["sum"].get<double>(); };
  Control("POST", "snapshot");
  Control("POST", "deals/" + id, {{"sum", 200}, {"silent", true}});
  EXPECT_EQ(sum(), 200);
  Control("POST", "faults", {{"account", 1}, {"stale", true}});
  EXPECT_EQ(sum(), 100);
  Control("POST", "deals/" + id + "/notify");
  EXPECT_TRUE(receiver.WaitForCount(1));
  Control("DELETE", "faults");
  EXPECT_EQ(sum(), 200);
}

TEST_F(SimulatorTest, AnOrderedRefusalSaysHowLongToWait) {
  Start();
  Control("POST", "faults", {{"account", 1}, {"status", 429}, {"for_requests", 1}});
  const auto refused = Api("GET", "/context/employee");
  EXPECT_EQ(refused.status, 429);
  EXPECT_NE(http::FindHeader(refused.headers, "x-lognex-retry-after"), "0");
  EXPECT_EQ(Api("GET", "/context/employee").status, 200);
}

TEST_F(SimulatorTest, TheSameSeedPlaysTheSameLife) {
  const auto play = [&] {
    SimOptions options;
    options.seed = 42;
    Start(options);
    Control("POST", "burst", {{"account", 1}, {"changes", 300}});
    Json orders = Control("GET", "deals?account=1")["deals"];
    for (Json& order : orders) {
      for (const char* key : {"created", "updated", "updated_us"}) {
        order.erase(key);
      }
    }
    return orders;
  };
  const Json first = play();
  EXPECT_EQ(first, play());
}

TEST_F(SimulatorTest, LifeGoesOnByItself) {
  SimOptions options;
  options.accounts = 3;
  options.changes_per_second = 2000;
  Start(options);
  ASSERT_TRUE(WaitFor([&] { return Stats()["events"] > 1000; }));
  Control("POST", "life", {{"changes_per_second", 0}});
  size_t gone = 0;
  size_t binned = 0;
  std::set<std::string> kinds;
  const Json truth = Control("GET", "deals");
  for (const Json& order : truth["deals"]) {
    gone += order["gone"] ? 1 : 0;
    binned += !order["gone"] && order["deleted"] ? 1 : 0;
    kinds.insert(order["stage_kind"]);
  }
  EXPECT_GT(gone, 0U);
  EXPECT_GT(binned, 0U);
  EXPECT_THAT(kinds, SizeIs(3));
}

TEST_F(SimulatorTest, RefusesUnknownSettingsAndNonsense) {
  SimOptions options;
  options.settings = {{"nonsense", "1"}};
  EXPECT_EQ(MakeSimulator(options).status().code(), absl::StatusCode::kInvalidArgument);
  Start();
  EXPECT_EQ(Send("POST", "/_sim/deals", "not json").status, 400);
  EXPECT_EQ(Send("POST", "/_sim/deals", R"({"account":"nobody"})").status, 400);
  EXPECT_EQ(Send("POST", "/_sim/deals", R"({"account":1,"state":"x"})").status, 400);
  EXPECT_EQ(Send("POST", "/_sim/deals", R"({"account":1,"sum":"1.23456"})").status, 400);
  EXPECT_EQ(Send("POST", "/_sim/deals", R"({"account":1,"positions":{"a":1}})").status, 400);
  EXPECT_EQ(Send("GET", "/_sim/nonsense").status, 404);
  EXPECT_EQ(Api("POST", "/entity/webhook", {{"url", 5}}).status, 400);
}

}  // namespace
}  // namespace dealstream::crm::moysklad
