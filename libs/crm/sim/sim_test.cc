// A CRM with the least that there can be, and what the kit makes of it.
#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libs/crm/sim/crm.h"
#include "libs/crm/sim/names.h"
#include "libs/crm/sim/testing.h"

namespace dealstream::crm::simkit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

class ToyAccount final : public Account {
 public:
  ToyAccount(int number, uint64_t seed, const Setting& requests, const Setting& parallel)
      : Account(number, fmt::format("shop{}", number), fmt::format("id-{}", number), seed),
        key_(side_random().Hex(8)),
        requests_(requests),
        parallel_(parallel) {}

  const std::string& key() const { return key_; }

  http::ServerResponse Serve(const http::ServerRequest& request) {
    return Pass("deal.get", [&] {
      const auto deal = FindDeal(request.path.substr(1));
      // Throws where there is no JSON.
      const Json body = Json::parse(request.body.empty() ? "{}" : request.body);
      return deal.ok() ? JsonAnswer({{"name", deal->title}, {"filler", "0123456789"}}) : Fail(404);
    });
  }

  Json Credential() const override { return {{"key", key_}}; }
  http::ServerResponse Fail(int status) override { return JsonAnswer({{"Error", status}}, status); }
  Limits limits() const override {
    return {requests_.Int(), absl::Milliseconds(300), parallel_.Int()};
  }

  std::vector<DealTruth> Deals() const override {
    std::vector<DealTruth> deals;
    for (const auto& [id, deal] : deals_) {
      deals.push_back(deal);
    }
    return deals;
  }
  Result<DealTruth> FindDeal(const std::string& deal) const override {
    const auto found = deals_.find(deal);
    return found == deals_.end() ? Result<DealTruth>(absl::NotFoundError("no such deal"))
                                 : found->second;
  }
  Result<DealTruth> CreateDeal(const Json& fields) override {
    if (!fields.contains("title")) {
      return absl::InvalidArgumentError("title: absent, want a text");
    }
    DealTruth deal;
    deal.id = std::to_string(next_++);
    deal.title = TextOf(fields, "title");
    return Keep(deal);
  }
  Result<DealTruth> EditDeal(const std::string& deal, const Json& fields) override {
    DealTruth& changed = deals_.at(deal);
    changed.title = TextOf(fields, "title");
    return Keep(changed);
  }
  Result<DealTruth> PayDeal(const std::string& deal, const Json& fields) override {
    DealTruth& changed = deals_.at(deal);
    changed.amount = TextOf(fields, "amount");
    return Keep(changed);
  }
  Result<DealTruth> DeleteDeal(const std::string& deal, const Json&) override {
    DealTruth& changed = deals_.at(deal);
    changed.gone = true;
    return Keep(changed);
  }
  Result<Json> OwnControl(const std::string& method,
                          const std::string& path,
                          const Json& fields) override {
    if (path == "broken") {
      return fields.at("absent");  // throws
    }
    return path != "echo" ? Account::OwnControl(method, path, fields)
                          : Result<Json>(Json{{method, fields}});
  }
  Status SetOwnFault(const std::string& name, const Json& value) override {
    return name == "odd" ? absl::OkStatus() : Account::SetOwnFault(name, value);
  }
  void LiveOneChange() override { LiveNewDeal(); }
  std::string LiveNewDeal() override { return CreateDeal({{"title", MakeProduct(random())}})->id; }

 private:
  DealTruth Keep(DealTruth deal) {
    deal.updated = absl::Now();
    Happened();
    Webhook webhook;
    webhook.url = WebhookUrl();
    webhook.body = deal.id;
    Send(std::move(webhook));
    return deals_[deal.id] = deal;
  }

  const std::string key_;
  const Setting& requests_;
  const Setting& parallel_;
  std::map<std::string, DealTruth> deals_;
  int next_ = 1;
};

class ToyCrm final : public Crm {
 public:
  std::string name() const override { return "toy"; }
  std::unique_ptr<Account> MakeAccount(int number, uint64_t seed, const std::string&) override {
    auto account = std::make_unique<ToyAccount>(number, seed, requests_, parallel_);
    by_key_[account->key()] = account.get();
    return account;
  }
  http::ServerResponse Serve(const http::ServerRequest& request) override {
    const auto found = by_key_.find(std::string(http::FindHeader(request.headers, "key")));
    return found == by_key_.end() ? JsonAnswer({{"Error", 401}}, 401)
                                  : found->second->Serve(request);
  }
  WebhookPolicy webhook_policy() const override {
    WebhookPolicy policy;
    policy.attempts = 3;
    policy.pause = absl::Milliseconds(20);
    policy.patience = absl::Milliseconds(300);
    return policy;
  }

 private:
  const Setting& requests_ = settings().Add("requests", 0, 0, 1000);
  const Setting& parallel_ = settings().Add("parallel", 0, 0, 1000);
  std::map<std::string, ToyAccount*> by_key_;
};

class KitTest : public ::testing::Test {
 protected:
  void Start(SimOptions options = {}) {
    auto started = simkit::Start(std::make_unique<ToyCrm>(), options);
    ASSERT_TRUE(started.ok()) << started.status();
    simulator_ = *std::move(started);
    client_ = std::make_unique<SimulatorClient>(*simulator_);
    key_ = client_->Credential()["key"];
  }
  http::Response Api(const std::string& path, const std::string& body = {}) {
    return client_->Send("GET", path, body, {{"Key", key_}});
  }
  std::string NewDeal(const std::string& title = "Chair") {
    return client_->NewDeal({{"title", title}})["id"];
  }
  Json Faults(Json faults) {
    faults["account"] = 1;
    return client_->Control("POST", "faults", faults);
  }
  int StatusOf(const std::string& method, const std::string& path, const std::string& body = {}) {
    return client_->Send(method, "/_sim/" + path, body).status;
  }

  std::unique_ptr<Simulator> simulator_;
  std::unique_ptr<SimulatorClient> client_;
  std::string key_;
};

TEST_F(KitTest, StepsChangeTheTruth) {
  Start();
  const std::string id = NewDeal();
  EXPECT_EQ(client_->Control("POST", "deals/" + id, {{"title", "Table"}})["title"], "Table");
  EXPECT_EQ(client_->Control("POST", "deals/" + id + "/pay", {{"amount", 12.5}})["amount"], "12.5");
  const Json truth = client_->Control("GET", "deals?account=shop1")["deals"];
  ASSERT_THAT(truth, SizeIs(1));
  EXPECT_EQ(truth[0]["account"], "shop1");
  EXPECT_EQ(truth[0]["stage"], nullptr);
  EXPECT_EQ(truth[0]["stage_kind"], "OPEN");
  EXPECT_EQ(truth[0]["gone"], false);
  EXPECT_EQ(client_->Control("DELETE", "deals/" + id)["gone"], true);
  EXPECT_EQ(client_->Control("GET", "deals/" + id)["gone"], true);
}

TEST_F(KitTest, SaysWhatIsWrong) {
  Start();
  const std::string id = NewDeal();
  const auto error = [&](const std::string& path, const std::string& body, int status) {
    const auto response = client_->Send("POST", "/_sim/" + path, body);
    EXPECT_EQ(response.status, status) << path << response.body;
    const Json answer = Json::parse(response.body);
    EXPECT_EQ(answer["code"] == "unimplemented",
              path.ends_with("/move") || path.ends_with("/dance") || path == "requests");
    return answer["error"].get<std::string>();
  };
  EXPECT_THAT(error("deals/" + id + "/move", "{}", 400), HasSubstr("no step 'move'"));
  EXPECT_THAT(error("deals/" + id + "/dance", "{}", 400), HasSubstr("no step 'dance'"));
  EXPECT_THAT(error("requests", "{}", 400), HasSubstr("no requests"));
  EXPECT_THAT(error("deals", "{}", 400), HasSubstr("title"));
  EXPECT_THAT(error("deals", R"({"account":"nobody"})", 400), HasSubstr("'nobody'"));
  EXPECT_THAT(error("deals", "nonsense", 400), HasSubstr("JSON"));
  EXPECT_THAT(error("deals/77", "{}", 404), HasSubstr("77"));
  EXPECT_THAT(error("nonsense", "{}", 404), HasSubstr("nonsense"));
  EXPECT_THAT(error("faults", R"({"latency":1})", 400), HasSubstr("latency"));
  EXPECT_THAT(error("faults", R"({"latency_ms":"1"})", 400), HasSubstr("whole number"));
  EXPECT_THAT(error("settings", R"({"x":1})", 400), HasSubstr("deals, requests, parallel"));
  EXPECT_THAT(error("life", R"({"changes_per_second":-1})", 400), HasSubstr("changes_per_second"));
}

TEST_F(KitTest, AsksForTheAccountWhereItMatters) {
  SimOptions options;
  options.accounts = 2;
  Start(options);
  EXPECT_EQ(StatusOf("POST", "deals", R"({"title":"x"})"), 400);
  for (const char* account : {"shop1", "id-2"}) {
    client_->NewDeal({{"account", account}, {"title", account}});
  }
  // Both accounts have a deal 1.
  EXPECT_EQ(StatusOf("POST", "deals/1", R"({"title":"y"})"), 400);
  EXPECT_EQ(client_->Control("GET", "deals/1?account=2")["title"], "id-2");
}

TEST_F(KitTest, OwnControlsGoToTheCrm) {
  SimOptions options;
  options.accounts = 2;
  Start(options);
  EXPECT_EQ(Dump(client_->Control("GET", "echo?account=2&a=1")), R"({"GET":{"a":"1"}})");
  EXPECT_THAT(client_->Control("POST", "echo", {{"b", 2}})["accounts"], SizeIs(2));
  EXPECT_EQ(Faults({{"odd", true}})["accounts"], 1);
}

TEST_F(KitTest, DeliversWebhooksInOrder) {
  Start();
  WebhookReceiver receiver;
  client_->Control("POST", "webhook", {{"account", 1}, {"url", receiver.Url()}});
  client_->Control("POST", "burst", {{"deals", 50}});
  ASSERT_TRUE(receiver.WaitForCount(50));
  const auto received = receiver.received();
  for (size_t i = 0; i < received.size(); ++i) {
    EXPECT_EQ(received[i].body, std::to_string(i + 1));
  }
  client_->NewDeal({{"title", "x"}, {"silent", true}});
  client_->Control("POST", "webhook", {{"enabled", false}});
  NewDeal();
  ASSERT_TRUE(WaitFor([&] { return client_->Stats()["webhooks"]["acked"] == 50; }));
  EXPECT_EQ(client_->Stats()["webhooks"]["pending"], 0);
  EXPECT_EQ(client_->Stats()["events"], 52);
}

TEST_F(KitTest, TriesAgainThenLosesTheWebhook) {
  Start();
  std::atomic<int> status = 500;
  WebhookReceiver receiver([&status] { return status.load(); });
  client_->Control("POST", "webhook", {{"account", 1}, {"url", receiver.Url()}});
  NewDeal();
  ASSERT_TRUE(WaitFor([&] { return client_->Stats()["webhooks"]["lost"] == 1; }));
  EXPECT_EQ(client_->Stats()["webhooks"]["attempts"], 3);
  status = 200;
  NewDeal();
  ASSERT_TRUE(WaitFor([&] { return client_->Stats()["webhooks"]["acked"] == 1; }));
}

TEST_F(KitTest, ASlowReceiverHoldsUpItsOwnAccountOnly) {
  SimOptions options;
  options.accounts = 2;
  Start(options);
  std::atomic<bool> release = false;
  WebhookReceiver slow([&release] {
    WaitFor([&release] { return release.load(); });
    return 200;
  });
  WebhookReceiver quick;
  client_->Control("POST", "webhook", {{"account", 1}, {"url", slow.Url()}});
  client_->Control("POST", "webhook", {{"account", 2}, {"url", quick.Url()}});
  client_->Control("POST", "burst", {{"account", 1}, {"deals", 30}});
  client_->Control("POST", "burst", {{"account", 2}, {"deals", 30}});
  EXPECT_TRUE(quick.WaitForCount(30));
  EXPECT_LE(slow.received().size(), 3U);
  release = true;
}

TEST_F(KitTest, DropsDoublesDelaysAndReorders) {
  Start();
  WebhookReceiver receiver;
  client_->Control("POST", "webhook", {{"account", 1}, {"url", receiver.Url()}});
  Faults({{"drop_webhooks", true}});
  NewDeal();
  Faults({{"duplicate_webhooks", 1.0}, {"delay_webhooks_ms", 100}});
  const absl::Time begin = absl::Now();
  NewDeal();
  ASSERT_TRUE(receiver.WaitForCount(2));
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(100));
  EXPECT_EQ(receiver.received()[0].body, receiver.received()[1].body);
  EXPECT_EQ(client_->Stats()["webhooks"]["dropped"], 1);
  Faults({{"reorder", true}});
  client_->Control("POST", "burst", {{"deals", 20}});
  ASSERT_TRUE(receiver.WaitForCount(22));
  std::vector<int> order;
  for (const auto& request : receiver.received()) {
    order.push_back(std::stoi(request.body));
  }
  EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
}

TEST_F(KitTest, CountsWhatExceedsTheRate) {
  SimOptions options;
  options.settings = {{"requests", "2"}};
  Start(options);
  std::vector<int> statuses;
  for (int i = 0; i < 3; ++i) {
    statuses.push_back(Api("/1").status);
  }
  EXPECT_THAT(statuses, ElementsAre(404, 404, 429));
  const Json stats = client_->Stats();
  EXPECT_EQ(stats["violations"]["rate"], 1);
  EXPECT_EQ(stats["requests"]["deal.get"], 3);
  EXPECT_EQ(stats["answers"]["429"], 1);
  EXPECT_EQ(stats["accounts"]["shop1"]["answers"]["404"], 2);
  client_->Control("POST", "settings", {{"requests", 0}});
  EXPECT_EQ(Api("/1").status, 404);
}

TEST_F(KitTest, CountsWhatComesAtOnce) {
  SimOptions options;
  options.settings = {{"parallel", "2"}};
  Start(options);
  Faults({{"hang", true}});
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([this] { EXPECT_EQ(Api("/1").status, 404); });
  }
  EXPECT_TRUE(WaitFor([&] { return client_->Stats()["accounts"]["shop1"]["running"] == 2; }));
  EXPECT_EQ(Api("/1").status, 429);
  EXPECT_EQ(client_->Stats()["violations"]["parallel"], 1);
  client_->Control("DELETE", "faults");
  for (auto& thread : threads) {
    thread.join();
  }
}

TEST_F(KitTest, PlaysFaultsOfAnswers) {
  Start();
  const std::string path = "/" + NewDeal();
  Faults({{"status", 500}, {"for_requests", 1}});
  EXPECT_EQ(Api(path).body, R"({"Error":500})");
  EXPECT_EQ(Api(path).status, 200);
  Faults({{"html", true}});
  EXPECT_EQ(Api(path).status, 503);
  EXPECT_THAT(Api(path).body, StartsWith("<html>"));
  Faults({{"cut", true}});
  EXPECT_THAT(Api(path).body, SizeIs(19));
  Faults({{"status", 403}, {"kind", "deal.list"}});
  EXPECT_EQ(Api(path).status, 200);
  Faults({{"latency_ms", 80}});
  const absl::Time begin = absl::Now();
  EXPECT_EQ(Api(path).status, 200);
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(80));
}

TEST_F(KitTest, WhatACountedFaultDoesNotMeetMeetsTheOthers) {
  Start();
  const std::string path = "/" + NewDeal();
  Faults({{"status", 429}, {"for_requests", 2}, {"otherwise", {{"status", 500}}}});
  std::vector<int> statuses;
  for (int i = 0; i < 4; ++i) {
    statuses.push_back(Api(path).status);
  }
  EXPECT_THAT(statuses, ElementsAre(429, 429, 500, 500));
  Faults({{"status", 429}, {"kind", "deal.list"}, {"otherwise", {{"status", 500}}}});
  EXPECT_EQ(Api(path).status, 500);
  client_->Control("DELETE", "faults");
  EXPECT_EQ(Api(path).status, 200);
  for (const char* wrong : {R"({"otherwise":1})", R"({"otherwise":{"nonsense":1}})"}) {
    EXPECT_EQ(StatusOf("POST", "faults", wrong), 400) << wrong;
  }
}

TEST_F(KitTest, AHangThatIsNotCountedEndsWithTheFaults) {
  Start();
  Faults({{"status", 429}, {"for_requests", 0}, {"otherwise", {{"hang", true}}}});
  std::thread caller([this] { EXPECT_EQ(Api("/1").status, 404); });
  EXPECT_TRUE(WaitFor([&] { return client_->Stats()["accounts"]["shop1"]["running"] == 1; }));
  client_->Control("DELETE", "faults");
  caller.join();
}

TEST_F(KitTest, ASilentStepThatThrowsSilencesNoOther) {
  Start();
  WebhookReceiver receiver;
  client_->Control("POST", "webhook", {{"account", 1}, {"url", receiver.Url()}});
  EXPECT_EQ(StatusOf("POST", "broken", R"({"silent":true})"), 400);
  // Life, which is no step of the control interface.
  client_->Control("POST", "life", {{"changes_per_second", 100}});
  EXPECT_TRUE(receiver.WaitForCount(1));
}

TEST_F(KitTest, CountsWhatNeverWaitedAsSentAndLost) {
  Start();
  client_->Control("POST", "webhook", {{"account", 1}, {"url", "http://127.0.0.1:1/"}});
  Faults({{"duplicate_webhooks", true}, {"delay_webhooks_ms", 3'600'000}});
  for (int i = 0; i < 20; ++i) {
    client_->Control("POST", "burst", {{"deals", 5'000}});
  }
  client_->Control("POST", "burst", {{"deals", 5}});
  const Json webhooks = client_->Stats()["webhooks"];
  EXPECT_EQ(webhooks["pending"], 200'000);
  EXPECT_EQ(webhooks["lost"], 10);
  EXPECT_EQ(webhooks["sent"], 10);
}

TEST_F(KitTest, AnExceptionOfTheCrmIsItsBadRequest) {
  Start();
  EXPECT_EQ(Api("/1", "{nonsense").status, 400);
  EXPECT_EQ(client_->Send("GET", "/1").status, 401);
}

TEST_F(KitTest, StopsWhileRequestsHang) {
  Start();
  Faults({{"hang", true}});
  std::thread caller([this] { Api("/1"); });
  EXPECT_TRUE(WaitFor([&] { return client_->Stats()["accounts"]["shop1"]["running"] == 1; }));
  simulator_.reset();
  caller.join();
}

TEST_F(KitTest, LifeGoesOnByItself) {
  SimOptions options;
  options.accounts = 3;
  options.changes_per_second = 1000;
  Start(options);
  EXPECT_TRUE(WaitFor([&] { return client_->Stats()["events"] > 200; }));
  client_->Control("POST", "life", {{"changes_per_second", 0}});
}

TEST_F(KitTest, RefusesUnknownSettings) {
  SimOptions options;
  for (const auto& [name, value] :
       {std::pair{"nonsense", "1"}, std::pair{"deals", "many"}, std::pair{"deals", "-1"}}) {
    options.settings = {{name, value}};
    EXPECT_EQ(simkit::Start(std::make_unique<ToyCrm>(), options).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace dealstream::crm::simkit
