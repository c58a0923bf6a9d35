#include "libs/crm/newcrm/adapter.h"

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "libs/crm/api/fixture.h"
#include "libs/crm/newcrm/sim/simulator.h"
#include "libs/crm/sim/testing.h"

// The adapter against the simulator, over HTTP: the two share no code, so that a mistake in one
// shows against the other. What every adapter must do is checked by the conformance suite.
namespace dealstream::crm::newcrm {
namespace {

using fixture::kDeals;
using simkit::Json;
using ::testing::HasSubstr;

TEST(NewCrmSettingsTest, WrongValuesAreRefused) {
  const auto adapter = MakeAdapter();
  for (const auto& [key, value] :
       {std::pair{"phone_region", "Russia"}, std::pair{"requests_per_second", "0"}}) {
    EXPECT_THAT(fixture::RefusalOfSettings(*adapter, kDeals, {{key, value}}), HasSubstr(key));
  }
}

class NewCrmAgainstSimulatorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    SimOptions options;
    options.settings = {{"deals", "0"}, {"requests_per_second", "0"}};
    auto simulator = MakeSimulator(options);
    ASSERT_TRUE(simulator.ok()) << simulator.status();
    simulator_ = *std::move(simulator);
    client_ = std::make_unique<simkit::SimulatorClient>(*simulator_);
    session_ = LogIn(client_->Credential());
  }

  std::unique_ptr<fixture::PlainSession> LogIn(const Json& credential) {
    CredentialFields fields;
    for (const auto& [name, value] : credential.items()) {
      fields.emplace_back(name, Secret(value.get<std::string>()));
    }
    auto access = adapter_->credential().MakeAccess(fields, client_->transport());
    EXPECT_TRUE(access.ok()) << access.status();
    return std::make_unique<fixture::PlainSession>(client_->transport(), *std::move(access));
  }

  Result<ReadObject> Read(const std::string& id) {
    return adapter_->record_source()->Read({"deal", id}, {}, *session_);
  }

  const std::unique_ptr<Adapter> adapter_ = MakeAdapter();
  std::unique_ptr<Simulator> simulator_;
  // Go first, and their connections with them: the server waits for nobody then.
  std::unique_ptr<simkit::SimulatorClient> client_;
  std::unique_ptr<fixture::PlainSession> session_;
};

TEST_F(NewCrmAgainstSimulatorTest, ReadsADeal) {
  const Json truth = client_->NewDeal({{"title", "Chair"}, {"amount", "12.50"}, {"stage", "Won"}});
  const auto object = Read(truth["id"]);
  ASSERT_TRUE(object.ok()) << object.status();
  EXPECT_EQ(object->version, truth["updated_us"].get<int64_t>());
  raw::v1::Record record;
  for (const auto& [name, body] : object->parts) {
    auto& part = *record.add_parts();
    part.set_name(name);
    part.set_body(body);
  }
  deal::v1::Deal deal;
  const Status status = adapter_->deal_mapper()->Map(record, deal);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(deal.title(), "Chair");
  EXPECT_EQ(deal.amount().units(), 12);
  EXPECT_EQ(deal.amount().nanos(), 500'000'000);
  EXPECT_EQ(deal.stage().kind(), deal::v1::STAGE_KIND_WON);
}

TEST_F(NewCrmAgainstSimulatorTest, ADeletedDealIsGone) {
  const std::string id = client_->NewDeal()["id"];
  client_->Control("DELETE", "deals/" + id);
  const auto object = Read(id);
  ASSERT_TRUE(object.ok()) << object.status();
  EXPECT_TRUE(object->gone);
}

TEST_F(NewCrmAgainstSimulatorTest, ListsAllPages) {
  client_->Control("POST", "burst", {{"deals", 250}});
  const auto pass = fixture::ListAll(*adapter_->record_source(), *session_, {});
  ASSERT_TRUE(pass.status.ok()) << pass.status;
  EXPECT_EQ(pass.versions.size(), 250U);
  EXPECT_EQ(pass.pages, 3);
}

TEST_F(NewCrmAgainstSimulatorTest, AWrongKeyIsRefused) {
  Json wrong = client_->Credential();
  wrong["key"] = "wrong";
  session_ = LogIn(wrong);
  EXPECT_TRUE(absl::IsUnauthenticated(Read("1").status()));
}

TEST_F(NewCrmAgainstSimulatorTest, TheLimitSaysWhenToComeBack) {
  client_->Control("POST", "settings", {{"requests_per_second", 1}});
  const std::string id = client_->NewDeal()["id"];
  EXPECT_TRUE(Read(id).ok());
  const Status status = Read(id).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(RetryAfter(status), absl::Seconds(1));
}

}  // namespace
}  // namespace dealstream::crm::newcrm
