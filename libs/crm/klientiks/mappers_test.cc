#include <string>

#include "gtest/gtest.h"

#include "libs/crm/api/fixture.h"
#include "libs/crm/klientiks/adapter.h"

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

}  // namespace
}  // namespace dealstream::crm::klientiks
