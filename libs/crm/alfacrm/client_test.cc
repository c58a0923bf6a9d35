#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/alfacrm/adapter.h"
#include "libs/crm/alfacrm/sim/simulator.h"
#include "libs/crm/alfacrm/wire.h"
#include "libs/crm/api/fixture.h"
#include "libs/crm/api/settings.h"
#include "libs/crm/sim/testing.h"

// The adapter against the simulator, over HTTP: the two share no code, so that a mistake in one
// shows against the other.
namespace dealstream::crm::alfacrm {
namespace {

using fixture::kDeals;
using simkit::Json;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Sends as the reader does, without its limits; keeps notes, too.
class PlainSession final : public Session {
 public:
  PlainSession(http::Transport& transport, const Access& access)
      : transport_(transport), access_(access) {}

  Result<http::Response> Send(const Call& call) override {
    http::Request request;
    request.method = call.method;
    request.url = access_.base_url + call.path;
    request.headers = call.headers;
    request.body = call.body;
    for (const auto& [name, value] : access_.headers) {
      request.headers.emplace_back(name, value.Reveal(RevealToken{}));
    }
    request.operation = call.operation;
    ++calls;
    return transport_.Send(request);
  }
  absl::Time Now() const override { return now; }
  const std::string* Noted(std::string_view key, absl::Duration) override {
    const auto found = notes_.find(std::string(key));
    return found == notes_.end() ? nullptr : &found->second;
  }
  void Note(std::string_view key, std::string value) override {
    notes_[std::string(key)] = std::move(value);
  }

  int calls = 0;
  absl::Time now = absl::Now();

 private:
  http::Transport& transport_;
  const Access& access_;
  std::map<std::string, std::string> notes_;
};

class AdapterAgainstSimulatorTest : public ::testing::Test {
 protected:
  void Start(std::map<std::string, std::string> settings = {}) {
    SimOptions options;
    options.settings = std::move(settings);
    options.settings.emplace("deals", "0");
    options.settings.emplace("requests_per_second", "0");
    auto made = MakeSimulator(options);
    ASSERT_TRUE(made.ok()) << made.status();
    simulator_ = *std::move(made);
    sim_ = std::make_unique<simkit::SimulatorClient>(*simulator_);
    const Status status = LogIn();
    ASSERT_TRUE(status.ok()) << status;
  }

  // As the vault does, with the credential as it is now.
  Status LogIn() {
    CredentialFields fields;
    const Json credential = sim_->Credential();
    for (const auto& [name, value] : credential.items()) {
      fields.emplace_back(name, Secret(value.get<std::string>()));
    }
    auto login =
        adapter_->credential().LogIn(fields, {.state = {}, .now = absl::Now()}, sim_->transport());
    if (!login.ok()) {
      return login.status();
    }
    login_ = *std::move(login);
    session_ = std::make_unique<PlainSession>(sim_->transport(), login_.access);
    return absl::OkStatus();
  }

  void Set(const std::vector<std::pair<std::string, std::string>>& values) {
    auto packed = SettingsFromText(*adapter_, kDeals, nullptr, values);
    ASSERT_TRUE(packed.ok()) << packed.status();
    settings_ = *std::move(packed);
  }
  Json Step(const Json& deal, const std::string& step, const Json& fields = Json::object()) {
    return sim_->Control(
        "POST",
        "deals/" + deal["id"].get<std::string>() + (step.empty() ? "" : "/") + step,
        fields);
  }
  void Delete(const Json& deal) {
    sim_->Control("DELETE", "deals/" + deal["id"].get<std::string>());
  }
  Json Truth(const std::string& id) { return sim_->Control("GET", "deals/" + id); }
  void Faults(Json faults) {
    faults["account"] = 1;
    sim_->Control("POST", "faults", faults);
  }
  // Times have seconds: what comes next is after what was before.
  void NextSecond() { sim_->Control("POST", "clock", {{"account", 1}, {"seconds", 2}}); }

  Result<ReadObject> Read(const ObjectRef& ref) {
    return adapter_->record_source()->Read(ref, settings_, *session_);
  }
  static ObjectRef RefOf(const std::string& id) { return {id.substr(0, id.find(':')), id}; }

  Result<deal::v1::Deal> Map(const ReadObject& object) {
    raw::v1::Record record;
    *record.mutable_settings() = settings_;
    for (const auto& [name, body] : object.parts) {
      auto& part = *record.add_parts();
      part.set_name(name);
      part.set_body(body);
    }
    deal::v1::Deal deal;
    DEALSTREAM_RETURN_IF_ERROR(adapter_->deal_mapper()->Map(record, deal));
    return deal;
  }

  static std::string AmountOf(const deal::v1::Deal& deal) {
    if (!deal.has_amount()) {
      return "none";
    }
    const int64_t kopecks = deal.amount().units() * 100 + deal.amount().nanos() / 10'000'000;
    return fmt::format(
        "{}{}.{:02}", kopecks < 0 ? "-" : "", std::abs(kopecks) / 100, std::abs(kopecks) % 100);
  }
  static std::string FieldOf(const deal::v1::Deal& deal, std::string_view id) {
    for (const auto& field : deal.custom_fields()) {
      if (field.id() == id) {
        return field.text();
      }
    }
    return "";
  }

  // Reads a deal and compares it with the truth.
  void Check(const std::string& id) {
    const Json truth = Truth(id);
    const auto object = Read(RefOf(id));
    ASSERT_TRUE(object.ok()) << object.status() << truth;
    ASSERT_EQ(object->gone, truth["gone"].get<bool>()) << truth;
    if (object->gone) {
      return;
    }
    const auto mapped = Map(*object);
    ASSERT_TRUE(mapped.ok()) << mapped.status() << truth;
    EXPECT_EQ(mapped->title(), truth["title"]) << truth;
    EXPECT_EQ(mapped->stage().name(), truth["stage"]) << truth;
    EXPECT_EQ(deal::v1::StageKind_Name(mapped->stage().kind()),
              "STAGE_KIND_" + truth["stage_kind"].get<std::string>())
        << truth;
    EXPECT_EQ(mapped->pipeline().name(), truth["pipeline"]) << truth;
    EXPECT_EQ(AmountOf(*mapped),
              truth["amount"].is_null() ? "none" : truth["amount"].get<std::string>())
        << truth;
    EXPECT_EQ(mapped->branch().name(), truth["branches"][0]) << truth;
    EXPECT_EQ(mapped->contacts_size(), 1) << truth;
    EXPECT_FALSE(mapped->responsible().name().empty());
  }
  void CheckAll() {
    const Json deals = sim_->Control("GET", "deals?account=1")["deals"];
    EXPECT_GT(deals.size(), 5u);
    for (const Json& deal : deals) {
      Check(deal["id"]);
    }
  }

  // What a webhook names.
  std::vector<std::string> Decode(const http::ServerRequest& request) {
    raw::v1::Notice notice;
    notice.set_body(request.body);
    const auto decoded = adapter_->notice_decoder()->Decode(notice, kDeals);
    EXPECT_TRUE(decoded.ok()) << decoded.status() << request.body;
    std::vector<std::string> names;
    for (const ObjectRef& ref : decoded->objects) {
      names.push_back(ref.kind + " " + ref.external_id);
    }
    return names;
  }

  // One pass over all pages.
  std::map<std::string, int64_t, std::less<>> Sweep(const std::string& cursor) {
    ListRequest request;
    request.cursor = cursor;
    const auto pass = fixture::ListAll(*adapter_->record_source(), *session_, request, settings_);
    EXPECT_TRUE(pass.status.ok()) << pass.status;
    return pass.versions;
  }

  const std::unique_ptr<Adapter> adapter_ = MakeAdapter();
  google::protobuf::Any settings_;
  std::unique_ptr<Simulator> simulator_;
  std::unique_ptr<simkit::SimulatorClient> sim_;
  Login login_;
  std::unique_ptr<PlainSession> session_;
};

// A1, A2, A3, A4: leads and payments, in their two pipelines, as they are at the CRM.
TEST_F(AdapterAgainstSimulatorTest, EveryDealIsAsItIsAtTheCrm) {
  Start({{"deals", "20"}});
  sim_->Control("POST", "burst", {{"deals", 10}, {"changes", 100}});
  NextSecond();
  sim_->Control("POST", "burst", {{"deals", 0}, {"changes", 100}});
  CheckAll();
}

// The same in an account whose rows don't say when they changed.
TEST_F(AdapterAgainstSimulatorTest, OldRowsGiveTheSameByTheLog) {
  Start({{"deals", "5"}, {"old_rows", "1"}, {"old_webhooks", "1"}});
  sim_->Control("POST", "burst", {{"deals", 5}, {"changes", 40}});
  NextSecond();
  sim_->Control("POST", "burst", {{"deals", 0}, {"changes", 40}});
  CheckAll();
}

// A2: the moment of the conversion divides the payments; refunds are taken off.
TEST_F(AdapterAgainstSimulatorTest, TheConversionDividesThePayments) {
  Start();
  const Json lead = sim_->NewDeal({{"amount", "3200.00"}, {"branches", {1, 2}}});
  const std::string id = lead["id"];
  Step(lead, "refund", {{"amount", "200.50"}});
  Step(lead, "correct");
  Check(id);
  EXPECT_EQ(AmountOf(*Map(*Read(RefOf(id)))), "2999.50");
  NextSecond();
  Step(lead, "convert");
  NextSecond();
  const std::string pay = Step(lead, "pay", {{"amount", "640.00"}})["pay"];
  const std::string goods = Step(lead, "pay", {{"amount", "85"}, {"goods", true}})["pay"];
  const std::string refund = Step(lead, "refund", {{"amount", "100.00"}})["pay"];
  const std::string waits = Step(lead, "pay", {{"confirmed", false}})["pay"];
  for (const std::string& one : {id, pay, goods, refund, waits}) {
    Check(one);
  }
  const auto first_sale = Map(*Read(RefOf(id)));
  EXPECT_EQ(AmountOf(*first_sale), "2999.50") << "later payments are deals of their own";
  EXPECT_EQ(FieldOf(*first_sale, "branches"), "Филиал «Центр»; Онлайн");
  EXPECT_EQ(AmountOf(*Map(*Read(RefOf(refund)))), "-100.00");
  // A client that becomes a lead again: what was upsell stays so.
  NextSecond();
  Step(lead, "unconvert");
  NextSecond();
  Step(lead, "pay", {{"amount", "7.00"}});
  Check(id);
  Check(pay);
  EXPECT_EQ(AmountOf(*Map(*Read(RefOf(id)))), "3006.50");
}

// A7: chosen stages are merged into one of success and one of refusal.
TEST_F(AdapterAgainstSimulatorTest, ChosenStagesAreMerged) {
  Start({{"merged_stages", "1"}});
  Set({{"success_stages", "5,7"}, {"reject_stages", "4"}});
  for (const char* stage : {"Новый", "Отказ", "Оплатил", "Оплатил частями"}) {
    const Json lead = sim_->NewDeal({{"stage", stage}});
    Check(lead["id"]);
    EXPECT_EQ(FieldOf(*Map(*Read(RefOf(lead["id"]))), "lead_status"), stage);
  }
}

// A4: teachers and branches by name.
TEST_F(AdapterAgainstSimulatorTest, TeacherAndBranchAreNamed) {
  Start();
  const Json lead = sim_->NewDeal({{"branches", {"Филиал «Север»", "Онлайн"}}});
  Step(lead, "", {{"teachers", {"Тихая Вера", "Громов Илья"}}});
  const auto mapped = Map(*Read(RefOf(lead["id"])));
  ASSERT_TRUE(mapped.ok());
  EXPECT_EQ(FieldOf(*mapped, "teacher"), "Тихая Вера; Громов Илья");
  EXPECT_EQ(FieldOf(*mapped, "branch"), "Филиал «Север»");
  EXPECT_EQ(mapped->branch().id(), "3");
}

// A5: both branches' triggers name one deal; payments name themselves and the lead.
TEST_F(AdapterAgainstSimulatorTest, WebhooksNameWhatChanged) {
  Start();
  const simkit::WebhookReceiver receiver([] { return 200; });
  sim_->Control("POST", "webhook", {{"account", 1}, {"url", receiver.Url()}});
  const Json lead = sim_->NewDeal({{"branches", {1, 2}}});
  const std::string id = lead["id"];
  ASSERT_TRUE(receiver.WaitForCount(2));
  EXPECT_THAT(Decode(receiver.received()[0]), ElementsAre("lead " + id));
  EXPECT_THAT(Decode(receiver.received()[1]), ElementsAre("lead " + id));
  const std::string pay = Step(lead, "pay")["pay"];
  ASSERT_TRUE(receiver.WaitForCount(3));
  EXPECT_THAT(Decode(receiver.received()[2]), ElementsAre("pay " + pay, "lead " + id));
  // A payment before the conversion is no deal of its own, which the simulator knows.
  NextSecond();
  Step(lead, "convert");
  NextSecond();
  const Json upsell = Truth(Step(lead, "pay")["pay"]);
  ASSERT_TRUE(receiver.WaitForCount(6));
  Step(upsell, "", {{"amount", "77.00"}});
  ASSERT_TRUE(receiver.WaitForCount(7));
  EXPECT_THAT(Decode(receiver.received()[6]),
              ElementsAre("pay " + upsell["id"].get<std::string>(),
                          "payer " + upsell["id"].get<std::string>()));
  // The lead is found by the payment.
  const auto payer = Read({"payer", upsell["id"]});
  ASSERT_TRUE(payer.ok()) << payer.status();
  EXPECT_EQ(payer->ref, (ObjectRef{"lead", id}));
  EXPECT_TRUE(Read(RefOf(pay))->gone);
}

TEST_F(AdapterAgainstSimulatorTest, DeletedIsGone) {
  Start();
  const Json lead = sim_->NewDeal();
  Step(lead, "convert");
  NextSecond();
  const Json upsell = Truth(Step(lead, "pay")["pay"]);
  Check(upsell["id"]);
  Delete(upsell);
  Check(upsell["id"]);
  const Json other = sim_->NewDeal();
  Step(other, "archive");
  Check(other["id"]);
  Delete(other);
  Check(other["id"]);
}

// A15: one branch only, or all of them whatever the default scope shows.
TEST_F(AdapterAgainstSimulatorTest, TheBranchToWorkIn) {
  Start({{"whole_default_scope", "0"}});
  const Json first = sim_->NewDeal({{"branches", {1}}});
  const Json second = sim_->NewDeal({{"branches", {2}}, {"amount", "10.00"}});
  Check(first["id"]);
  Check(second["id"]);
  EXPECT_EQ(Sweep("2020-01-01T00:00:00.000Z").size(), 3u) << "two leads and a payment";
  Set({{"branch", "2"}});
  EXPECT_TRUE(Read(RefOf(first["id"]))->gone);
  EXPECT_FALSE(Read(RefOf(second["id"]))->gone);
}

// A1: what webhooks lost is found, deletions too.
TEST_F(AdapterAgainstSimulatorTest, ASweepFindsWhatChanged) {
  for (const char* old_rows : {"0", "1"}) {
    Start({{"deals", "60"}, {"old_rows", old_rows}});
    NextSecond();
    const Json lead = sim_->NewDeal();
    Step(lead, "pay");
    const Json gone = sim_->NewDeal();
    Delete(gone);
    const std::string cursor =
        absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone());
    const auto found = Sweep(cursor);
    EXPECT_TRUE(found.contains(lead["id"].get<std::string>())) << old_rows;
    EXPECT_TRUE(found.contains(gone["id"].get<std::string>())) << old_rows;
    // Nothing of it once it is long ago.
    session_->now += absl::Hours(48);
    EXPECT_THAT(Sweep(absl::FormatTime(
                    "%Y-%m-%dT%H:%M:%E3SZ", absl::Now() + absl::Hours(48), absl::UTCTimeZone())),
                IsEmpty());
    sim_.reset();
    simulator_.reset();
  }
}

TEST_F(AdapterAgainstSimulatorTest, WithoutLogAndDirectoriesThereAreDealsAllTheSame) {
  Start();
  const Json lead = sim_->NewDeal({{"amount", "10.00"}});
  Faults({{"no_log", true}, {"no_directories", true}});
  const auto object = Read(RefOf(lead["id"]));
  ASSERT_TRUE(object.ok()) << object.status();
  const auto mapped = Map(*object);
  ASSERT_TRUE(mapped.ok()) << mapped.status();
  EXPECT_EQ(mapped->stage().name(), "Этап 1");
  EXPECT_EQ(AmountOf(*mapped), "10.00");
}

TEST_F(AdapterAgainstSimulatorTest, StaleReadsAreHealedByTheNext) {
  Start();
  Faults({{"stale_ms", 60'000}});
  const Json lead = sim_->NewDeal();
  EXPECT_TRUE(Read(RefOf(lead["id"]))->perhaps_not_yet) << "the webhook came before the row";
  sim_->Control("DELETE", "faults");
  Check(lead["id"]);
}

// A6: a token that is over is refused, and another login gives another one.
TEST_F(AdapterAgainstSimulatorTest, TokensEndAndAreMintedAnew) {
  Start();
  const Json lead = sim_->NewDeal();
  sim_->Control("POST", "revoke", {{"account", 1}});
  EXPECT_TRUE(absl::IsUnauthenticated(Read(RefOf(lead["id"])).status()));
  ASSERT_TRUE(LogIn().ok());
  Check(lead["id"]);
  Faults({{"no_api", true}});
  EXPECT_TRUE(absl::IsPermissionDenied(Read(RefOf(lead["id"])).status()));
  const Status refused = LogIn();
  EXPECT_TRUE(absl::IsPermissionDenied(refused));
  EXPECT_THAT(std::string(ToStd(refused.message())), HasSubstr("v2api"));
}

TEST_F(AdapterAgainstSimulatorTest, FailuresAreWhatTheyAre) {
  Start();
  const Json lead = sim_->NewDeal();
  const std::pair<Json, absl::StatusCode> faults[] = {
      {{{"status", 500}}, absl::StatusCode::kUnavailable},
      {{{"status", 429}}, absl::StatusCode::kResourceExhausted},
      {{{"html", true}}, absl::StatusCode::kUnavailable},
      {{{"cut", true}}, absl::StatusCode::kUnavailable},
      {{{"status", 404}}, absl::StatusCode::kFailedPrecondition}};
  for (const auto& [fault, code] : faults) {
    Faults(fault);
    EXPECT_EQ(Read(RefOf(lead["id"])).status().code(), code) << fault;
  }
  sim_->Control("DELETE", "faults");
  Check(lead["id"]);
}

}  // namespace
}  // namespace dealstream::crm::alfacrm
