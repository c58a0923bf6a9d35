#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/api/fixture.h"
#include "libs/crm/megaplan/adapter.h"
#include "libs/crm/megaplan/sim/simulator.h"
#include "libs/crm/megaplan/wire.h"
#include "libs/crm/sim/testing.h"

// The adapter against the simulator, over HTTP: the two share no code, so that a mistake in one
// shows against the other.
namespace dealstream::crm::megaplan {
namespace {

using fixture::kDeals;
using simkit::Json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

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
    const Json credential = sim_->Credential();
    for (const auto& [name, value] : credential.items()) {
      fields_.emplace_back(name, Secret(value.get<std::string>()));
    }
    const Status status = LogIn();
    ASSERT_TRUE(status.ok()) << status;
  }

  // As the vault does: what the login before left is given to the next.
  Status LogIn() {
    auto login = adapter_->credential().LogIn(
        fields_, {.state = login_.state.Clone(), .now = absl::Now()}, sim_->transport());
    if (!login.ok()) {
      return login.status();
    }
    login_ = *std::move(login);
    session_ = std::make_unique<fixture::PlainSession>(sim_->transport(), std::move(login_.access));
    return absl::OkStatus();
  }

  Json Step(const std::string& id, const std::string& step, const Json& fields = Json::object()) {
    return sim_->Control("POST", "deals/" + id + (step.empty() ? "" : "/" + step), fields);
  }
  void Faults(Json faults) {
    faults["account"] = 1;
    sim_->Control("POST", "faults", faults);
  }

  Result<ReadObject> Read(const std::string& id, const std::string& kind = std::string(kDeal)) {
    return adapter_->record_source()->Read({kind, id}, {}, *session_);
  }

  Result<deal::v1::Deal> ReadDeal(const std::string& id) {
    DEALSTREAM_ASSIGN_OR_RETURN(const ReadObject object, Read(id));
    raw::v1::Record record;
    for (const auto& [name, body] : object.parts) {
      auto& part = *record.add_parts();
      part.set_name(name);
      part.set_body(body);
    }
    deal::v1::Deal deal;
    DEALSTREAM_RETURN_IF_ERROR(adapter_->deal_mapper()->Map(record, deal));
    return deal;
  }

  // Compares a deal with the truth.
  void Check(const Json& truth, const deal::v1::Deal& deal) {
    EXPECT_EQ(deal.title(), truth["title"]) << truth;
    EXPECT_EQ(deal.stage().name(), truth["stage"]) << truth;
    EXPECT_EQ(deal.stage().id(), truth["stage_id"]) << truth;
    EXPECT_EQ(deal::v1::StageKind_Name(deal.stage().kind()),
              "STAGE_KIND_" + truth["stage_kind"].get<std::string>())
        << truth;
    EXPECT_EQ(deal.pipeline().name(), truth["program"]) << truth;
    EXPECT_EQ(deal.has_amount(), !truth["amount"].is_null()) << truth;
    if (deal.has_amount()) {
      EXPECT_EQ(fmt::format("{}.{:02}", deal.amount().units(), deal.amount().nanos() / 10'000'000),
                truth["amount"]);
      EXPECT_EQ(deal.amount().currency_code(), truth["currency"]);
    }
    EXPECT_EQ(deal.responsible().name(),
              truth["manager"].is_null() ? "" : truth["manager"].get<std::string>())
        << truth;
    std::set<std::string> names;
    for (const char* role : {"contractor", "contact"}) {
      if (!truth[role].is_null()) {
        names.insert(truth[role].get<std::string>());
      }
    }
    EXPECT_EQ(deal.contacts_size(), static_cast<int>(names.size())) << truth;
    for (const auto& contact : deal.contacts()) {
      EXPECT_TRUE(names.contains(contact.name())) << truth;
      EXPECT_FALSE(contact.phones().empty() && contact.emails().empty()) << truth;
    }
    EXPECT_EQ(deal.items_size(), truth["positions"].get<int>()) << truth;
    EXPECT_EQ(deal.updated_at().seconds(), truth["updated_us"].get<int64_t>() / 1'000'000) << truth;
    EXPECT_FALSE(deal.deleted());
  }

  const std::unique_ptr<Adapter> adapter_ = MakeAdapter();
  std::unique_ptr<Simulator> simulator_;
  std::unique_ptr<simkit::SimulatorClient> sim_;
  CredentialFields fields_;
  Login login_;
  std::unique_ptr<fixture::PlainSession> session_;
};

// G1 G2 G3 G4
TEST_F(AdapterAgainstSimulatorTest, ADealBecomesADeal) {
  Start();
  const Json truth = sim_->NewDeal(
      {{"title", "Вывеска"},
       {"currency", "USD"},
       {"positions",
        {{{"name", "Стойка"}, {"quantity", "2"}, {"price", "100.10"}},
         {{"name", "Монтаж"}, {"type", "service"}, {"quantity", "2.5"}, {"price", "10"}}}},
       {"contractor", {{"name", "ООО «Липа»"}, {"company", true}, {"phone", "8 903 500-10-01"}}},
       {"contact", {{"name", "Серов Глеб"}, {"email", "G.Serov@Example.com"}}}});
  const auto deal = ReadDeal(truth["id"]);
  ASSERT_TRUE(deal.ok()) << deal.status();
  Check(truth, *deal);
  EXPECT_EQ(deal->amount().units(), 225);
  EXPECT_EQ(deal->amount().nanos(), 200'000'000);
  EXPECT_EQ(deal->amount().currency_code(), "USD");
  EXPECT_EQ(deal->items(1).kind(), deal::v1::ITEM_KIND_SERVICE);
  EXPECT_EQ(deal->items(1).quantity(), "2.5");
  EXPECT_EQ(deal->contacts(0).kind(), deal::v1::CONTACT_KIND_COMPANY);
  EXPECT_EQ(deal->contacts(0).phones(0).e164(), "+79035001001");
  EXPECT_EQ(deal->contacts(1).emails(0), "g.serov@example.com");
  EXPECT_FALSE(deal->responsible().email().empty());
  EXPECT_EQ(session_->calls(), 1);
  EXPECT_EQ(Read(truth["id"])->version, truth["updated_us"]);
}

// G2: the stage's kind follows its type, through all stages of a scheme.
TEST_F(AdapterAgainstSimulatorTest, StagesOfAScheme) {
  Start();
  const std::string id = sim_->NewDeal()["id"];
  std::vector<std::string> kinds;
  for (int i = 0; i < 3; ++i) {
    const Json truth = Step(id, "move");
    Check(truth, *ReadDeal(id));
    kinds.push_back(deal::v1::StageKind_Name(ReadDeal(id)->stage().kind()));
  }
  // The second one is called "Оплачено".
  EXPECT_THAT(kinds, ElementsAre("STAGE_KIND_OPEN", "STAGE_KIND_OPEN", "STAGE_KIND_WON"));
  const Json truth = Step(id, "move", {{"stage", "Отказ"}});
  Check(truth, *ReadDeal(id));
  EXPECT_EQ(ReadDeal(id)->stage().kind(), deal::v1::STAGE_KIND_LOST);
}

// G3 G4: what the deal only links to is read by itself.
TEST_F(AdapterAgainstSimulatorTest, LinksAreRead) {
  Start();
  const Json truth = sim_->NewDeal(
      {{"contractor", {{"name", "ООО «Липа»"}, {"company", true}, {"phone", "89035001001"}}},
       {"contact", {{"name", "Серов Глеб"}, {"phone", "89035001002"}}}});
  Faults({{"links_only", true}});
  const auto deal = ReadDeal(truth["id"]);
  ASSERT_TRUE(deal.ok()) << deal.status();
  Check(truth, *deal);
  EXPECT_EQ(session_->calls(), 5);
  // Who may not be seen is left a link.
  Faults({{"links_only", true}, {"hide_clients", true}});
  const auto hidden = ReadDeal(truth["id"]);
  ASSERT_TRUE(hidden.ok()) << hidden.status();
  EXPECT_EQ(hidden->contacts(0).name(), "");
  EXPECT_EQ(hidden->stage().name(), truth["stage"]);
}

// G1 G2 G3 G4: whatever life makes of deals, each is the truth.
TEST_F(AdapterAgainstSimulatorTest, ListsWhatAnAccountsLifeLeft) {
  Start({{"deals", "60"}});
  sim_->Control("POST", "burst", {{"deals", 150}, {"changes", 500}});
  ListRequest request;
  request.from = absl::UnixEpoch();
  const auto pass = fixture::ListAll(*adapter_->record_source(), *session_, request);
  ASSERT_TRUE(pass.status.ok()) << pass.status;
  EXPECT_GE(pass.pages, 2);
  size_t there = 0;
  const Json truth = sim_->Control("GET", "deals?account=1");
  for (const Json& deal : truth["deals"]) {
    const std::string id = deal["id"];
    if (deal["gone"] == true) {
      EXPECT_FALSE(pass.versions.contains(id));
      EXPECT_TRUE(Read(id)->gone);
      continue;
    }
    ++there;
    ASSERT_TRUE(pass.versions.contains(id)) << deal;
    EXPECT_EQ(pass.versions.at(id), deal["updated_us"]);
    const auto read = ReadDeal(id);
    ASSERT_TRUE(read.ok()) << read.status() << deal;
    Check(deal, *read);
  }
  EXPECT_EQ(pass.versions.size(), there);
  EXPECT_EQ(sim_->Stats()["violations"].size(), 0u) << sim_->Stats();
}

// G5: tokens are renewed with the refresh token, and by the password when that is refused.
TEST_F(AdapterAgainstSimulatorTest, TokensAreRenewed) {
  Start();
  const std::string id = sim_->NewDeal()["id"];
  EXPECT_TRUE(Read(id).ok());
  sim_->Control("POST", "revoke", {{"account", 1}, {"refresh", false}});
  EXPECT_TRUE(absl::IsUnauthenticated(Read(id).status()));
  ASSERT_TRUE(LogIn().ok());
  EXPECT_TRUE(Read(id).ok());
  Json logins = sim_->Control("GET", "logins?account=1");
  EXPECT_EQ(logins["logins"], 1);
  EXPECT_EQ(logins["refreshes"], 1);
  sim_->Control("POST", "revoke", {{"account", 1}});
  ASSERT_TRUE(LogIn().ok());
  EXPECT_TRUE(Read(id).ok());
  logins = sim_->Control("GET", "logins?account=1");
  EXPECT_EQ(logins["logins"], 2);
  EXPECT_EQ(logins["refreshes"], 2);
}

// G5: a server that fails at a renewal doesn't keep the account out.
TEST_F(AdapterAgainstSimulatorTest, TokensAreRenewedThoughRenewalFails) {
  Start({{"refresh", "0"}});
  const std::string id = sim_->NewDeal()["id"];
  for (const int status : {200, 403, 500, 503}) {
    sim_->Control("POST", "settings", {{"refused_refresh_status", status}});
    sim_->Control("POST", "revoke", {{"account", 1}, {"refresh", false}});
    const Status logged_in = LogIn();
    ASSERT_TRUE(logged_in.ok()) << status << logged_in;
    EXPECT_TRUE(Read(id).ok());
  }
  EXPECT_EQ(sim_->Control("GET", "logins?account=1")["refreshes"], 4);
}

// Pages shorter than they were asked for.
TEST_F(AdapterAgainstSimulatorTest, ShortPagesAreFollowed) {
  Start({{"page_rows", "10"}});
  sim_->Control("POST", "burst", {{"deals", 25}});
  const auto pass = fixture::ListAll(*adapter_->record_source(), *session_, {});
  ASSERT_TRUE(pass.status.ok()) << pass.status;
  EXPECT_EQ(pass.objects.size(), 25u);
}

// G5
TEST_F(AdapterAgainstSimulatorTest, WrongPassword) {
  Start();
  CredentialFields wrong;
  for (const auto& [name, value] : fields_) {
    wrong.emplace_back(name, name == "password" ? Secret("wrong") : value.Clone());
  }
  const Status refused = adapter_->credential()
                             .LogIn(wrong, {.state = {}, .now = absl::Now()}, sim_->transport())
                             .status();
  EXPECT_TRUE(absl::IsUnauthenticated(refused)) << refused;
  EXPECT_THAT(std::string(ToStd(refused.message())), HasSubstr("check the user name"));
}

TEST_F(AdapterAgainstSimulatorTest, DeletionsAreSeen) {
  Start();
  const std::string id = sim_->NewDeal()["id"];
  sim_->Control("DELETE", "deals/" + id);
  EXPECT_TRUE(Read(id)->gone);
  // The event comes before the API knows.
  Faults({{"late_drop_ms", 300}});
  const std::string late = sim_->NewDeal()["id"];
  sim_->Control("DELETE", "deals/" + late);
  const std::string kind =
      fmt::format("{}{}", kDroppedDealPrefix, absl::ToUnixSeconds(absl::Now()));
  const Status early = Read(late, kind).status();
  EXPECT_EQ(DispositionOf(early), Disposition::kRetry) << early;
  ASSERT_TRUE(simkit::WaitFor([&] {
    const auto read = Read(late, kind);
    return read.ok() && read->gone && read->ref == ObjectRef{std::string(kDeal), late};
  }));
}

TEST_F(AdapterAgainstSimulatorTest, FaultsAreToBeTriedAgain) {
  Start();
  const std::string id = sim_->NewDeal()["id"];
  for (const Json& fault : {Json{{"status", 500}},
                            Json{{"status", 503}, {"html", true}},
                            Json{{"status", 404}, {"html", true}},
                            Json{{"status", 500}, {"within_200", true}},
                            Json{{"cut", true}}}) {
    Json one = fault;
    one["for_requests"] = 1;
    Faults(one);
    EXPECT_EQ(DispositionOf(Read(id).status()), Disposition::kRetry) << fault;
    EXPECT_TRUE(Read(id).ok());
  }
  for (const auto& [status, disposition] :
       std::vector<std::pair<int, Disposition>>{{401, Disposition::kPark},
                                                {403, Disposition::kPark},
                                                {422, Disposition::kDeadLetter},
                                                {429, Disposition::kSlowDown}}) {
    for (const bool within_200 : {false, true}) {
      Faults({{"status", status}, {"within_200", within_200}});
      EXPECT_EQ(DispositionOf(Read(id).status()), disposition) << status;
    }
  }
}

TEST_F(AdapterAgainstSimulatorTest, TheLimitSaysWhenToComeBack) {
  Start({{"requests_per_second", "3"}});
  const std::string id = sim_->NewDeal()["id"];
  Status status;
  for (int i = 0; i < 20 && status.ok(); ++i) {
    status = Read(id).status();
  }
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(RetryAfter(status), absl::Seconds(1));
}

// G6: webhooks as they are sent, whatever form they have, name the deal.
TEST_F(AdapterAgainstSimulatorTest, WebhooksNameTheDeal) {
  Start();
  simkit::WebhookReceiver receiver([this] { return adapter_->notice_decoder()->Reply().status; });
  sim_->Control("POST", "webhook", {{"account", 1}, {"url", receiver.Url()}});
  const std::string id = sim_->NewDeal()["id"];
  Step(id, "move");
  Faults({{"scenario", true}});
  Step(id, "", {{"title", "Другая"}});
  Faults({{"scenario", false}});
  Step(id, "notify", {{"event", "onAfterUpdate"}});
  sim_->Control("DELETE", "deals/" + id);
  ASSERT_TRUE(receiver.WaitForCount(5));
  for (const http::ServerRequest& request : receiver.received()) {
    raw::v1::Notice notice;
    notice.set_body(request.body);
    const auto decoded = adapter_->notice_decoder()->Decode(notice, kDeals);
    ASSERT_TRUE(decoded.ok()) << decoded.status() << request.body;
    EXPECT_THAT(decoded->objects, ElementsAre(ObjectRef{std::string(kDeal), id})) << request.body;
  }
}

}  // namespace
}  // namespace dealstream::crm::megaplan
