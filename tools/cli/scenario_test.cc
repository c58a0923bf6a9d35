#include "tools/cli/scenario.h"

#include <filesystem>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dealstream::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

std::string ErrorOf(const std::string& text) {
  const auto scenario = ParseScenario(text, "a.yaml");
  EXPECT_EQ(scenario.status().code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(scenario.status().message());
}

// Of a scenario with this one step, on line 2.
std::string ErrorOfStep(const std::string& step) { return ErrorOf("steps:\n  - " + step); }

TEST(ScenarioTest, ReadsEverySortOfStep) {
  const auto scenario = ParseScenario(R"(
about: All there is.
unsupported: skip
steps:
  - create: {as: chair, title: "15", amount: 12.50, color: null}
  - create:
  - edit: {deal: chair, title: Table}
  - move: chair
  - move: {deal: chair, stage: Won}
  - pay: {deal: chair, amount: 5}
  - refund: chair
  - duplicate: chair
  - delete: {deal: chair, silent: true}
  - own: {deal: chair, step: trash, event: UPDATE}
  - request: {name: Ann}
  - burst: {deals: 10}
  - life: 0.5
  - slow: {latency: 500ms, for_requests: 10}
  - slow: 2s
  - fail: 429
  - fail: {with: html, kind: deal.get}
  - reorder: false
  - faults: {drop_webhooks: 0.2}
  - heal
  - settings: {page_size: 5}
  - wait: 1500ms
  - repeat: {times: 3, steps: [{move: chair}, heal]}
)",
                                      "a.yaml");
  ASSERT_TRUE(scenario.ok()) << scenario.status();
  EXPECT_EQ(scenario->about, "All there is.");
  EXPECT_TRUE(scenario->skip_unsupported);
  const auto& steps = scenario->steps;
  ASSERT_THAT(steps, SizeIs(23));
  EXPECT_EQ(steps[0].where, "a.yaml:5");
  EXPECT_EQ(steps[0].deal, "chair");
  EXPECT_EQ(steps[0].fields.dump(), R"({"title":"15","amount":12.5,"color":null})");
  EXPECT_EQ(steps[1].deal, "");
  EXPECT_EQ(steps[4].fields.dump(), R"({"stage":"Won"})");
  EXPECT_EQ(steps[5].verb, Verb::kPay);
  EXPECT_EQ(steps[5].fields.dump(), R"({"amount":5})");
  EXPECT_EQ(steps[8].fields.dump(), R"({"silent":true})");
  EXPECT_EQ(steps[9].own_step, "trash");
  EXPECT_EQ(steps[9].fields.dump(), R"({"event":"UPDATE"})");
  EXPECT_EQ(steps[12].fields.dump(), R"({"changes_per_second":0.5})");
  EXPECT_EQ(steps[13].fields.dump(), R"({"for_requests":10,"latency_ms":500})");
  EXPECT_EQ(steps[14].fields.dump(), R"({"latency_ms":2000})");
  EXPECT_EQ(steps[15].fields.dump(), R"({"status":429})");
  EXPECT_EQ(steps[16].fields.dump(), R"({"kind":"deal.get","html":true})");
  EXPECT_EQ(steps[17].fields.dump(), R"({"reorder":false})");
  EXPECT_EQ(steps[19].verb, Verb::kHeal);
  EXPECT_EQ(steps[21].wait, absl::Milliseconds(1500));
  EXPECT_EQ(steps[22].times, 3);
  EXPECT_THAT(steps[22].steps, SizeIs(2));
}

TEST(ScenarioTest, ReadsJson) {
  const auto scenario = ParseScenario(
      R"({"steps": [{"create": {"as": "a", "amount": "1.50"}}, {"move": "a"}]})", "a");
  ASSERT_TRUE(scenario.ok()) << scenario.status();
  EXPECT_EQ(scenario->steps[0].fields["amount"], "1.50");
}

TEST(ScenarioTest, ErrorsNameFileLineAndWhatIsWanted) {
  EXPECT_EQ(ErrorOfStep("wait: soon"), "a.yaml:2: wait: got \"soon\", want a duration (2s, 100ms)");
  EXPECT_THAT(ErrorOfStep("dance: a"),
              StartsWith("a.yaml:2: dance: no such step; there are create, "));
  EXPECT_THAT(ErrorOfStep("{move: a, pay: a}"), HasSubstr("one word with its value"));
  EXPECT_EQ(ErrorOf("steps:\n  - create: {as: a}\n  - move: b"),
            "a.yaml:3: move: no deal is called 'b'; `create: {as: b}` comes first");
  EXPECT_THAT(ErrorOfStep("create: a"), HasSubstr("want a map"));
  EXPECT_THAT(ErrorOfStep("create: {as: 5}"), HasSubstr("want a map"));
  EXPECT_THAT(ErrorOfStep("create: {account: 5}"), HasSubstr("want a map"));
  EXPECT_THAT(ErrorOfStep("move:"), HasSubstr("got nothing, want a deal's name"));
  EXPECT_THAT(ErrorOfStep("edit: {deal: a}"), HasSubstr("want {deal: name, field"));
  EXPECT_THAT(ErrorOfStep("own: {deal: a}"), HasSubstr("step: step"));
  EXPECT_THAT(ErrorOfStep("fail: 42"), HasSubstr("want a status (429)"));
  EXPECT_THAT(ErrorOfStep("fail: {for_requests: 3}"), HasSubstr("want a status (429)"));
  EXPECT_THAT(ErrorOfStep("slow: {latency: 1s, requests: 3}"), HasSubstr("for_requests"));
  EXPECT_THAT(ErrorOfStep("reorder: maybe"), HasSubstr("true or false"));
  EXPECT_THAT(ErrorOfStep("life: fast"), HasSubstr("a number"));
  EXPECT_THAT(ErrorOfStep("heal: all"), HasSubstr("want nothing"));
  EXPECT_THAT(ErrorOfStep("repeat: {times: 0, steps: []}"), HasSubstr("times: number"));
  EXPECT_THAT(ErrorOfStep("repeat: {times: 2, steps: [{wait: x}]}"), HasSubstr("wait: got \"x\""));
  EXPECT_THAT(ErrorOf("steps: []"), HasSubstr("steps: none"));
  EXPECT_THAT(ErrorOf("stages: []"), HasSubstr("a.yaml:1: stages: unknown"));
  EXPECT_THAT(ErrorOf("[]"), HasSubstr("want a map with steps"));
  EXPECT_THAT(ErrorOf("unsupported: never\nsteps: [heal]"), HasSubstr("want skip or fail"));
  EXPECT_THAT(ErrorOf("steps:\n  - {"), HasSubstr("not YAML"));
}

TEST(ScenarioTest, AMissingFileIsNamed) {
  EXPECT_THAT(std::string(LoadScenario("/nowhere/x.yaml").status().message()),
              HasSubstr("/nowhere/x.yaml"));
}

TEST(ScenarioTest, WhatShipsIsGood) {
  int count = 0;
  for (const auto& file :
       std::filesystem::directory_iterator(DEALSTREAM_SOURCE_DIR "/tools/cli/scenarios")) {
    const auto scenario = LoadScenario(file.path().string());
    ASSERT_TRUE(scenario.ok()) << scenario.status();
    EXPECT_NE(scenario->about, "") << file.path();
    ++count;
  }
  EXPECT_GE(count, 3);
}

}  // namespace
}  // namespace dealstream::cli
