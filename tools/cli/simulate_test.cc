#include "tools/cli/simulate.h"

#include <atomic>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "libs/crm/simulators.h"
#include "libs/http/curl_transport.h"
#include "libs/http/server.h"

namespace dealstream::cli {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Says what a simulator's control interface says, and remembers what it was asked.
class FakeSimulator {
 public:
  FakeSimulator() {
    http::ServerOptions options;
    options.address = "127.0.0.1:0";
    server_ = *http::Server::Create(
        options, [this](const http::ServerRequest& request) { return Serve(request); });
  }

  std::string Url() const { return fmt::format("http://127.0.0.1:{}", server_->port()); }
  void Empty() { is_empty_ = true; }
  // "POST deals/1/move {…}", without the requests for accounts.
  std::vector<std::string> Asked() const {
    std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  http::ServerResponse Serve(const http::ServerRequest& request) {
    std::lock_guard lock(mutex_);
    http::ServerResponse response;
    const std::string path = request.path.substr(std::string("/_sim/").size());
    if (path == "accounts") {
      response.body =
          is_empty_
              ? "[]"
              : R"([{"account":"shop1","account_id":"a-1"},{"account":"shop2","account_id":"a-2"}])";
      return response;
    }
    asked_.push_back(fmt::format("{} {}{}{}{}{}",
                                 request.method,
                                 path,
                                 request.query.empty() ? "" : "?",
                                 request.query,
                                 request.body.empty() ? "" : " ",
                                 request.body));
    if (path.ends_with("/refund")) {
      response.status = 400;
      response.body = R"({"error":"shop1: this CRM has no step 'refund'","code":"unimplemented"})";
    } else if (path.ends_with("/pay")) {
      response.status = 400;
      response.body = R"({"error":"amount: got -5","code":"invalid_argument"})";
    } else if (path == "settings") {
      response.status = 500;
      response.body = "<html>";
    } else {
      response.body = fmt::format(R"({{"id":"lead:{}","title":"Chair","amount":null}})", ++made_);
    }
    return response;
  }

  mutable std::mutex mutex_;
  std::vector<std::string> asked_;
  int made_ = 0;
  std::atomic<bool> is_empty_ = false;
  std::unique_ptr<http::Server> server_;
};

class PlayerTest : public ::testing::Test {
 protected:
  PlayerTest() {
    http::CurlOptions options;
    options.allow_loopback = true;
    transport_ = *http::CurlTransport::Create(std::move(options));
    player_ = std::make_unique<Player>(
        *transport_,
        simulator_.Url(),
        [this](absl::Duration wait) { slept_ += wait; },
        [this](const std::string& line) { lines_.push_back(line); });
  }

  Status Play(const std::string& text, const std::vector<std::string>& accounts = {"shop1"}) {
    const auto scenario = ParseScenario(text, "a.yaml");
    EXPECT_TRUE(scenario.ok()) << scenario.status();
    return player_->Play(*scenario, accounts);
  }

  FakeSimulator simulator_;
  // Goes first: the server waits for open connections.
  std::unique_ptr<http::CurlTransport> transport_;
  absl::Duration slept_;
  std::vector<std::string> lines_;
  std::unique_ptr<Player> player_;
};

TEST_F(PlayerTest, SaysEachStepToTheSimulator) {
  ASSERT_TRUE(Play(R"(
steps:
  - create: {as: a, amount: 5}
  - move: a
  - edit: {deal: a, title: x}
  - duplicate: a
  - own: {deal: a, step: trash}
  - delete: a
  - request:
  - burst: {deals: 2}
  - life: 3
  - wait: 2s
)")
                  .ok());
  EXPECT_THAT(simulator_.Asked(),
              ElementsAre(R"(POST deals {"amount":5,"account":"shop1"})",
                          R"(POST deals/lead%3A1/move {"account":"shop1"})",
                          R"(POST deals/lead%3A1 {"title":"x","account":"shop1"})",
                          R"(POST deals/lead%3A1/notify {"account":"shop1"})",
                          R"(POST deals/lead%3A1/trash {"account":"shop1"})",
                          R"(DELETE deals/lead%3A1 {"account":"shop1"})",
                          R"(POST requests {"account":"shop1"})",
                          R"(POST burst {"deals":2,"account":"shop1"})",
                          R"(POST life {"changes_per_second":3})"));
  EXPECT_EQ(slept_, absl::Seconds(2));
  EXPECT_EQ(lines_[0], "a.yaml:3  create shop1  lead:1  title Chair");
  EXPECT_EQ(player_->Summary().dump(),
            R"({"accounts":[{"account":"shop1","deals":{"a":"lead:1"}}],"played":10,"skipped":0})");
}

TEST_F(PlayerTest, FaultsAddUpUntilHealed) {
  ASSERT_TRUE(Play(R"(
steps:
  - fail: html
  - reorder: true
  - slow: {latency: 10ms, for_requests: 2}
  - fail: 500
  - heal
  - fail: cut
)")
                  .ok());
  EXPECT_THAT(
      simulator_.Asked(),
      ElementsAre(
          R"(POST faults {"html":true,"account":"shop1"})",
          R"(POST faults {"html":true,"reorder":true,"account":"shop1"})",
          R"(POST faults {"html":true,"reorder":true,"for_requests":2,"latency_ms":10,"otherwise":{"html":true,"reorder":true},"account":"shop1"})",
          R"(POST faults {"reorder":true,"status":500,"account":"shop1"})",
          R"(DELETE faults?account=shop1)",
          R"(POST faults {"cut":true,"account":"shop1"})"));
}

TEST_F(PlayerTest, PlaysAllAccountsInStepAndRepeats) {
  ASSERT_TRUE(
      Play("steps: [{repeat: {times: 2, steps: [{create: {as: a}}]}}, {move: a}]", {}).ok());
  EXPECT_THAT(simulator_.Asked(),
              ElementsAre(R"(POST deals {"account":"shop1"})",
                          R"(POST deals {"account":"shop2"})",
                          R"(POST deals {"account":"shop1"})",
                          R"(POST deals {"account":"shop2"})",
                          // The last one of that name.
                          R"(POST deals/lead%3A3/move {"account":"shop1"})",
                          R"(POST deals/lead%3A4/move {"account":"shop2"})"));
}

TEST_F(PlayerTest, AccountsGoByNameNumberOrId) {
  ASSERT_TRUE(Play("steps: [create]", {"2"}).ok());
  ASSERT_TRUE(Play("steps: [create]", {"a-2"}).ok());
  EXPECT_THAT(
      simulator_.Asked(),
      ElementsAre(R"(POST deals {"account":"shop2"})", R"(POST deals {"account":"shop2"})"));
  const Status status = Play("steps: [create]", {"shop7"});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("'shop7'; there are shop1, shop2"));
}

TEST_F(PlayerTest, ASimulatorWithoutAccountsIsAnError) {
  simulator_.Empty();
  const Status status = Play("steps: [create]", {});
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no account"));
}

TEST_F(PlayerTest, WhatTheCrmDoesNotHaveEndsTheScenarioOrNot) {
  const std::string steps = "steps:\n  - create: {as: a}\n  - refund: a\n  - move: a\n";
  EXPECT_EQ(std::string(Play(steps).message()),
            "a.yaml:3: refund shop1: 400 shop1: this CRM has no step 'refund'");
  ASSERT_TRUE(Play("unsupported: skip\n" + steps).ok());
  EXPECT_EQ(player_->Summary()["skipped"], 1);
  EXPECT_EQ(player_->Summary()["played"], 2);
  EXPECT_THAT(lines_.at(lines_.size() - 2), HasSubstr("a.yaml:4  refund shop1  passed over"));
}

TEST_F(PlayerTest, ErrorsOfTheSimulatorNameTheStep) {
  EXPECT_EQ(
      std::string(
          Play("unsupported: skip\nsteps:\n  - create: {as: a}\n  - pay: {deal: a, amount: -5}")
              .message()),
      "a.yaml:4: pay shop1: 400 amount: got -5");
  EXPECT_THAT(std::string(Play("steps:\n  - settings: {x: 1}").message()),
              HasSubstr("is it a simulator?"));
}

// What ships can be played on every CRM's simulator.
TEST_F(PlayerTest, EverySimulatorPlaysWhatShips) {
  for (const auto& [crm, make] : crm::AllSimulators()) {
    crm::SimOptions options;
    options.accounts = 2;
    const auto simulator = make(options);
    ASSERT_TRUE(simulator.ok()) << crm << simulator.status();
    // Goes before the simulator, which waits for open connections.
    http::CurlOptions curl;
    curl.allow_loopback = true;
    const auto transport = *http::CurlTransport::Create(std::move(curl));
    Player player(
        *transport,
        fmt::format("http://127.0.0.1:{}", (*simulator)->port()),
        [](absl::Duration) {},
        [](const std::string&) {});
    for (const auto& file :
         std::filesystem::directory_iterator(DEALSTREAM_SOURCE_DIR "/tools/cli/scenarios")) {
      const auto scenario = LoadScenario(file.path().string());
      ASSERT_TRUE(scenario.ok()) << scenario.status();
      const Status played = player.Play(*scenario, {});
      EXPECT_TRUE(played.ok()) << crm << ": " << played;
      EXPECT_GT(player.Summary()["played"].get<int>(), 10) << crm;
    }
  }
}

TEST_F(PlayerTest, ASimulatorThatIsNotThereIsNamed) {
  Player player(*transport_, "http://127.0.0.1:1", {}, {});
  const Status status = player.Play(*ParseScenario("steps: [create]", "a"), {});
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("http://127.0.0.1:1"));
}

}  // namespace
}  // namespace dealstream::cli
