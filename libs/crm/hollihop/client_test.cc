#include "libs/crm/hollihop/client.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/api/fixture.h"
#include "libs/crm/api/settings.h"
#include "libs/crm/hollihop/adapter.h"
#include "libs/crm/hollihop/sim/simulator.h"
#include "libs/crm/hollihop/wire.h"
#include "libs/crm/sim/testing.h"

// The adapter against the simulator, over HTTP: the two share no code, so that a mistake in one
// shows against the other.
namespace dealstream::crm::hollihop {
namespace {

using fixture::kDeals;
using simkit::Json;
using ::testing::HasSubstr;
using ::testing::Not;

// A reader whose clock can be set.
class ClockedSession final : public Session {
 public:
  ClockedSession(http::Transport& transport, Access access)
      : session_(transport, std::move(access)) {}
  Result<http::Response> Send(const Call& call) override { return session_.Send(call); }
  absl::Time Now() const override { return session_.Now() + ahead; }
  int calls() const { return session_.calls(); }

  absl::Duration ahead;

 private:
  fixture::PlainSession session_;
};

class AdapterAgainstSimulatorTest : public ::testing::Test {
 protected:
  void Start(std::map<std::string, std::string> settings = {}) {
    SimOptions options;
    options.settings = std::move(settings);
    options.settings.try_emplace("deals", "0");
    auto made = MakeSimulator(options);
    ASSERT_TRUE(made.ok()) << made.status();
    simulator_ = *std::move(made);
    client_ = std::make_unique<simkit::SimulatorClient>(*simulator_);
    CredentialFields fields;
    const Json credential = client_->Credential();
    for (const auto& [name, value] : credential.items()) {
      fields.emplace_back(name, Secret(value.get<std::string>()));
    }
    ASSERT_EQ(adapter_->credential().CrmAccountId(fields).value_or("none"), "school1");
    Connect(fields);
  }

  void Connect(const CredentialFields& fields) {
    auto access = adapter_->credential().MakeAccess(fields, client_->transport());
    ASSERT_TRUE(access.ok()) << access.status();
    session_ = std::make_unique<ClockedSession>(client_->transport(), *std::move(access));
  }

  void Set(const std::vector<std::pair<std::string, std::string>>& values) {
    auto packed = SettingsFromText(*adapter_, kDeals, nullptr, values);
    ASSERT_TRUE(packed.ok()) << packed.status();
    settings_ = *std::move(packed);
  }

  Json Control(const std::string& method, const std::string& path, const Json& body = {}) {
    return client_->Control(method, path, body);
  }
  Json Edit(const Json& truth, const std::string& step, const Json& fields = Json::object()) {
    return Control("POST", "deals/" + truth["id"].get<std::string>() + step, fields);
  }
  // The server's clock, so far ahead of the machine's.
  void SetClock(int seconds) { Control("POST", "clock", {{"ahead_seconds", seconds}}); }
  // Days pass.
  void SetDay(int day) {
    SetClock(day * 86'400);
    session_->ahead = absl::Hours(24 * day);
  }

  Result<deal::v1::Deal> Map(const ObjectRef& ref,
                             int64_t version,
                             const std::vector<std::pair<std::string, std::string>>& parts) {
    raw::v1::Record record;
    record.set_version(version);
    record.set_external_id(ref.external_id);
    *record.mutable_settings() = settings_;
    for (const auto& [name, body] : parts) {
      auto& part = *record.add_parts();
      part.set_name(name);
      part.set_body(body);
    }
    deal::v1::Deal deal;
    DEALSTREAM_RETURN_IF_ERROR(adapter_->deal_mapper()->Map(record, deal));
    return deal;
  }

  Result<ReadObject> Read(const Json& truth) {
    return adapter_->record_source()->Read(
        {std::string(kLead), truth["id"].get<std::string>()}, settings_, *session_);
  }
  Result<deal::v1::Deal> ReadDeal(const Json& truth) {
    DEALSTREAM_ASSIGN_OR_RETURN(const ReadObject object, Read(truth));
    return Map({std::string(kLead), truth["id"]}, object.version, object.parts);
  }

  struct Polled : fixture::Pass {
    // The latest of each.
    std::map<std::string, deal::v1::Deal> deals;
  };
  Polled Poll(const std::string& cursor) {
    ListRequest request;
    request.cursor = cursor;
    Polled pass{fixture::ListAll(*adapter_->record_source(), *session_, request, settings_), {}};
    for (const ListedObject& object : pass.objects) {
      auto deal = Map(object.ref, object.version, object.parts);
      EXPECT_TRUE(deal.ok()) << deal.status();
      pass.deals[object.ref.external_id] = deal.value_or(deal::v1::Deal());
    }
    return pass;
  }

  const std::unique_ptr<Adapter> adapter_ = MakeAdapter();
  google::protobuf::Any settings_;
  std::unique_ptr<Simulator> simulator_;
  std::unique_ptr<simkit::SimulatorClient> client_;
  std::unique_ptr<ClockedSession> session_;
};

std::string AmountText(const deal::v1::Deal& deal) {
  if (!deal.has_amount()) {
    return "none";
  }
  return deal.amount().nanos() == 0
             ? fmt::format("{}", deal.amount().units())
             : fmt::format("{}.{:02}", deal.amount().units(), deal.amount().nanos() / 10'000'000);
}

void ExpectDeal(const deal::v1::Deal& deal, const Json& truth) {
  EXPECT_EQ(deal.title(), truth["title"]);
  EXPECT_EQ(AmountText(deal),
            truth["amount"].is_null() ? "none" : truth["amount"].get<std::string>())
      << truth;
  EXPECT_EQ(deal.has_stage(), !truth["stage"].is_null());
  if (deal.has_stage()) {
    EXPECT_EQ(deal.stage().name(), truth["stage"]);
    EXPECT_EQ(deal::v1::StageKind_Name(deal.stage().kind()),
              "STAGE_KIND_" + truth["stage_kind"].get<std::string>());
  }
  EXPECT_EQ(deal.branch().name(),
            truth["branch"].is_null() ? "" : truth["branch"].get<std::string>());
  EXPECT_EQ(deal.responsible().id(),
            truth["responsible"].is_null() ? "" : std::to_string(truth["responsible"].get<int>()));
  EXPECT_EQ(deal.lost_reason(), truth["reject_reason"]);
  EXPECT_EQ(deal.updated_at().seconds() * 1'000'000, truth["updated_us"]);
}

// H1 H2 H3 H4 H5
TEST_F(AdapterAgainstSimulatorTest, ALeadBecomesADeal) {
  Start();
  const Json truth =
      client_->NewDeal({{"title", "Тестова Мария Андреевна"},
                        {"amount", "12500.50"},
                        {"budget_form", "text"},
                        {"stage", "Отказ"},
                        {"branch", "Филиал Южный"},
                        {"responsible", "Образцов"},
                        {"mobile", "+79990001241"},
                        {"phone", "8 (495) 000-12-43"},
                        {"email", "M@Example.com"},
                        {"discipline", "Шахматы"},
                        {"level", "A2"},
                        {"category", "Подростки"},
                        {"reject_reason", "Дорого"},
                        {"agents", {{{"first_name", "Андрей"}, {"who_is", "Родитель"}}}}});
  const auto deal = ReadDeal(truth);
  ASSERT_TRUE(deal.ok()) << deal.status();
  ExpectDeal(*deal, truth);
  EXPECT_EQ(deal->amount().units(), 12500);
  EXPECT_EQ(deal->amount().nanos(), 500'000'000);
  EXPECT_EQ(deal->amount().currency_code(), "RUB");
  EXPECT_EQ(deal->pipeline().name(), "Филиал Южный");
  EXPECT_EQ(deal->stage().kind(), deal::v1::STAGE_KIND_LOST);
  EXPECT_EQ(deal->responsible().name(), "Образцов Павел");
  ASSERT_EQ(deal->contacts_size(), 2);
  EXPECT_EQ(deal->contacts(0).phones(0).e164(), "+79990001241");
  EXPECT_EQ(deal->contacts(0).phones(1).e164(), "+74950001243");
  EXPECT_EQ(deal->contacts(0).emails(0), "m@example.com");
  EXPECT_EQ(deal->contacts(1).name(), "Андрей");
  std::map<std::string, std::string> fields;
  for (const auto& field : deal->custom_fields()) {
    fields[field.id()] = field.text();
  }
  EXPECT_EQ(fields["discipline"], "Шахматы");
  EXPECT_EQ(fields["level"], "A2");
  EXPECT_EQ(fields["category"], "Подростки");
  EXPECT_EQ(fields["reject_reason"], "Дорого");
}

// H1: however the budget is written; absent is unset, zero is zero.
TEST_F(AdapterAgainstSimulatorTest, BudgetInEveryForm) {
  Start();
  for (const char* form : {"number", "text", "quantity", "extra_field"}) {
    for (const char* amount : {"0", "1", "48000", "1234567.05"}) {
      const auto deal = ReadDeal(client_->NewDeal({{"amount", amount}, {"budget_form", form}}));
      ASSERT_TRUE(deal.ok()) << deal.status();
      EXPECT_EQ(AmountText(*deal), amount) << form;
      EXPECT_EQ(deal->amount().currency_code(), "RUB");
    }
    const auto none = ReadDeal(client_->NewDeal({{"amount", nullptr}, {"budget_form", form}}));
    ASSERT_TRUE(none.ok()) << none.status();
    EXPECT_FALSE(none->has_amount()) << form;
  }
}

// H6: a pipeline for each branch, or one for all.
TEST_F(AdapterAgainstSimulatorTest, PipelinesByTheSetting) {
  Start();
  const Json north = client_->NewDeal({{"branch", "Филиал Северный"}});
  const Json online = client_->NewDeal({{"branch", {"Онлайн", "Филиал Северный"}}});
  const Json nowhere = client_->NewDeal({{"branch", nullptr}});
  EXPECT_EQ(ReadDeal(north)->pipeline().name(), "Филиал Северный");
  EXPECT_EQ(ReadDeal(online)->pipeline().name(), "Онлайн");
  EXPECT_EQ(ReadDeal(nowhere)->pipeline().name(), "Сделки из Hollihop");
  Set({{"default_pipeline", "true"}});
  for (const Json& truth : {north, online, nowhere}) {
    EXPECT_EQ(ReadDeal(truth)->pipeline().name(), "Сделки из Hollihop");
  }
  EXPECT_EQ(ReadDeal(north)->branch().name(), "Филиал Северный");
}

// H7: all there is, then what changed since, by the server's own clock.
TEST_F(AdapterAgainstSimulatorTest, LoadsDayAfterDay) {
  for (const char* order : {"0", "1", "2", "3"}) {
    SCOPED_TRACE(order);
    client_.reset();
    Start({{"order", order}});
    Control("POST", "burst", {{"deals", 1150}, {"changes", 200}});
    Polled pass = Poll("");
    ASSERT_TRUE(pass.status.ok()) << pass.status;
    const Json first = Control("GET", "deals")["deals"];
    EXPECT_EQ(pass.deals.size(), first.size());
    for (const Json& truth : first) {
      ExpectDeal(pass.deals[truth["id"]], truth);
    }
    SetDay(3);
    const Json changed = Edit(first[7], "", {{"amount", "777"}});
    const Json made = client_->NewDeal();
    pass = Poll(pass.cursor);
    ASSERT_TRUE(pass.status.ok()) << pass.status;
    ExpectDeal(pass.deals[changed["id"]], changed);
    ExpectDeal(pass.deals[made["id"]], made);
    // The overlap lists the first day's leads once more.
    EXPECT_EQ(pass.deals.size(), first.size() + 1);
    SetDay(4);
    const Json moved = Edit(first[8], "/move");
    pass = Poll(pass.cursor);
    ASSERT_TRUE(pass.status.ok()) << pass.status;
    // With the two of the overlap.
    EXPECT_EQ(pass.deals.size(), 3u);
    ExpectDeal(pass.deals[moved["id"]], moved);
    SetDay(5);
    pass = Poll(pass.cursor);
    EXPECT_EQ(pass.deals.size(), 1u);
    SetDay(6);
    EXPECT_TRUE(Poll(pass.cursor).deals.empty());
  }
}

// H7: a clock that is days ahead for once loses nothing.
TEST_F(AdapterAgainstSimulatorTest, ServersClockMayBeAhead) {
  Start();
  SetClock(86'400 * 3);
  Polled pass = Poll("");
  SetDay(1);
  SetClock(86'400 * 5 / 4);
  const Json changed = client_->NewDeal();
  SetDay(2);
  pass = Poll(pass.cursor);
  EXPECT_TRUE(pass.deals.contains(changed["id"]));
  SetDay(3);
  EXPECT_TRUE(Poll(pass.cursor).deals.empty());
}

// H7: nor does a clock behind ours.
TEST_F(AdapterAgainstSimulatorTest, ServersClockMayBeBehind) {
  Start();
  SetClock(-86'400 * 30);
  const Json before = client_->NewDeal();
  const Polled pass = Poll("");
  EXPECT_EQ(pass.deals.size(), 1u);
  SetClock(-86'400 * 29);
  const Json after = client_->NewDeal();
  const Polled next = Poll(pass.cursor);
  EXPECT_TRUE(next.deals.contains(after["id"]));
  EXPECT_EQ(next.deals.at(after["id"]).created_at().seconds() * 1'000'000, after["updated_us"]);
}

// H1: times of another zone.
TEST_F(AdapterAgainstSimulatorTest, TimesAreReadInTheSchoolsZone) {
  Start({{"zone_minutes", "300"}});
  const Json truth = client_->NewDeal();
  EXPECT_NE(ReadDeal(truth)->updated_at().seconds() * 1'000'000, truth["updated_us"]);
  const int64_t version = Read(truth)->version;
  Set({{"time_zone", "Asia/Yekaterinburg"}});
  EXPECT_EQ(ReadDeal(truth)->updated_at().seconds() * 1'000'000, truth["updated_us"]);
  EXPECT_EQ(Read(truth)->version, version) << "setting the zone right doesn't make a record old";
}

TEST_F(AdapterAgainstSimulatorTest, WhateverLifeMakesIsADeal) {
  Start();
  Control("POST", "burst", {{"deals", 200}, {"changes", 1500}});
  const Polled pass = Poll("");
  ASSERT_TRUE(pass.status.ok()) << pass.status;
  const Json truths = Control("GET", "deals")["deals"];
  EXPECT_EQ(pass.deals.size(), truths.size());
  for (const Json& truth : truths) {
    ExpectDeal(pass.deals.at(truth["id"]), truth);
  }
  EXPECT_TRUE(client_->Stats()["violations"].empty());
}

TEST_F(AdapterAgainstSimulatorTest, DeletedLeadIsGone) {
  Start();
  const Json truth = client_->NewDeal();
  Control("DELETE", "deals/" + truth["id"].get<std::string>());
  const auto gone = Read(truth);
  ASSERT_TRUE(gone.ok()) << gone.status();
  EXPECT_TRUE(gone->gone);
  EXPECT_EQ(session_->calls(), 1);
}

// H8: a key whose characters must be percent-encoded comes through; a wrong one is refused.
TEST_F(AdapterAgainstSimulatorTest, TheKey) {
  Start();
  const std::string key = client_->Credential()["api_key"];
  ASSERT_THAT(key, HasSubstr("/+"));
  const Json truth = client_->NewDeal();
  EXPECT_TRUE(Read(truth).ok());
  CredentialFields wrong;
  wrong.emplace_back("url", Secret(client_->Credential()["url"].get<std::string>()));
  wrong.emplace_back("api_key", Secret("wr0ng"));
  Connect(wrong);
  const Status status = Read(truth).status();
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  EXPECT_THAT(std::string(ToStd(status.message())), Not(HasSubstr("wr0ng")));
}

TEST_F(AdapterAgainstSimulatorTest, NoSuchSchool) {
  Start();
  CredentialFields fields;
  std::string url = client_->Credential()["url"];
  url.back() = '7';
  fields.emplace_back("url", Secret(url));
  fields.emplace_back("api_key", Secret("k"));
  Connect(fields);
  const Status status = Poll("").status;
  EXPECT_EQ(DispositionOf(status), Disposition::kPark) << status;
  EXPECT_EQ(ReasonOf(status), "wrong_address");
}

TEST_F(AdapterAgainstSimulatorTest, TheLimitComesAsAGoodAnswer) {
  Start({{"requests", "4"}});
  Status status;
  for (int i = 0; i < 20 && status.ok(); ++i) {
    status = Poll("").status;
  }
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(RetryAfter(status), absl::Seconds(8));
  EXPECT_EQ(client_->Stats()["answers"].size(), 1u) << "all of them 200";
}

TEST_F(AdapterAgainstSimulatorTest, FaultsAreToBeTriedAgain) {
  Start();
  const Json truth = client_->NewDeal();
  for (const Json& fault : {Json{{"status", 500}},
                            Json{{"status", 503}, {"html", true}},
                            Json{{"status", 200}, {"html", true}},
                            Json{{"cut", true}}}) {
    Json body = fault;
    body["for_requests"] = 1;
    Control("POST", "faults", body);
    const Status status = Read(truth).status();
    EXPECT_EQ(DispositionOf(status), Disposition::kRetry) << fault << status;
    EXPECT_TRUE(Read(truth).ok());
  }
}

// H7: what an API of this kind may do to a load, it does; nothing is taken for the end that isn't.
TEST_F(AdapterAgainstSimulatorTest, OddFaultsOfAList) {
  Start();
  Control("POST", "burst", {{"deals", 1150}, {"changes", 0}});
  Control("POST", "faults", {{"repeat_page", true}});
  Polled pass = Poll("");
  EXPECT_EQ(ReasonOf(pass.status), "repeating_page");
  EXPECT_EQ(pass.cursor, "");
  Control("POST", "faults", {{"error", "Функция отключена"}});
  pass = Poll("");
  EXPECT_TRUE(absl::IsInvalidArgument(pass.status)) << pass.status;
  EXPECT_EQ(pass.cursor, "");
  // Rows in another order with each call: the pass comes to an end, and isn't taken for a whole
  // one.
  Control("POST", "faults", {{"shuffle", true}});
  pass = Poll("");
  EXPECT_TRUE(absl::IsDataLoss(pass.status)) << pass.status;
  EXPECT_EQ(ReasonOf(pass.status), "unstable_order");
  EXPECT_EQ(pass.cursor, "");
  EXPECT_LT(pass.pages, 20);
  Control("POST", "faults", {{"no_now", true}});
  pass = Poll("");
  ASSERT_TRUE(pass.status.ok()) << pass.status;
  EXPECT_EQ(pass.deals.size(), 1150u);
  EXPECT_NE(pass.cursor, "");
}

// An older version is an older version: the normalizer keeps what it has.
TEST_F(AdapterAgainstSimulatorTest, UpdatedMayGoBackwards) {
  Start();
  const Json truth = client_->NewDeal();
  const int64_t before = Read(truth)->version;
  Control("POST", "faults", {{"backwards", true}});
  Edit(truth, "", {{"amount", "5"}});
  EXPECT_LT(Read(truth)->version, before);
}

}  // namespace
}  // namespace dealstream::crm::hollihop
