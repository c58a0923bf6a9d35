#include <string>

#include "gtest/gtest.h"
#include <fmt/format.h>

#include "libs/crm/api/fixture.h"
#include "libs/crm/klientiks/adapter.h"
#include "libs/crm/klientiks/wire.h"

// What becomes what is checked by the cases in testdata/deals and testdata/requests, which the
// conformance suite runs. Here is what files can't show.
namespace dealstream::crm::klientiks {
namespace {

// An object that is no deal isn't one that can't be read.
TEST(MappersTest, BlockedHoursAreNoDeals) {
  const auto adapter = MakeAdapter();
  auto cases = fixture::LoadDealCases(
      *adapter, std::string(DEALSTREAM_SOURCE_DIR) + "/libs/crm/klientiks/testdata");
  ASSERT_TRUE(cases.ok()) << cases.status();
  for (const auto& one : *cases) {
    if (one.name == "blocked_hour") {
      deal::v1::Deal deal;
      EXPECT_EQ(ReasonOf(adapter->deal_mapper()->Map(one.record, deal)), kNotADeal);
    }
  }
  EXPECT_TRUE(adapter->request_mapper()->IsMadeOnce());
}

// Each own field is looked for among all the others.
TEST(MappersTest, OwnFieldsAreBounded) {
  const auto adapter = MakeAdapter();
  std::string own;
  for (int i = 0; i < 100'000; ++i) {
    own += fmt::format(R"({}\"field{}\":\"x\")", own.empty() ? "" : ",", i);
  }
  raw::v1::Record record;
  auto& part = *record.add_parts();
  part.set_name(kAppointmentPart.data(), kAppointmentPart.size());
  part.set_body(fmt::format(R"({{"items":{{"id":7,"client_id":5,"json_data":"{{{}}}"}}}})", own));
  deal::v1::Deal deal;
  const Status status = adapter->deal_mapper()->Map(record, deal);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(deal.custom_fields_size(), 500);
  EXPECT_EQ(deal.custom_fields(499).id(), "field499");
}

}  // namespace
}  // namespace dealstream::crm::klientiks
