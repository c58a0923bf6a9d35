#include <string>
#include <thread>
#include <vector>

#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"

#include "libs/crm/api/fixture.h"
#include "libs/crm/klientiks/adapter.h"

// What becomes what is checked by the cases in testdata/deals and testdata/requests, which the
// conformance suite runs. Here is what files can't show: mappers share the thread's memory.
namespace dealstream::crm::klientiks {
namespace {

std::vector<fixture::MappingCase> Cases() {
  const auto adapter = MakeAdapter();
  const std::string testdata = std::string(DEALSTREAM_SOURCE_DIR) + "/libs/crm/klientiks/testdata";
  auto deals = fixture::LoadDealCases(*adapter, testdata);
  auto requests = fixture::LoadRequestCases(*adapter, testdata);
  EXPECT_TRUE(deals.ok() && requests.ok()) << deals.status() << requests.status();
  std::vector<fixture::MappingCase> cases = *std::move(deals);
  cases.insert(cases.end(), requests->begin(), requests->end());
  return cases;
}

TEST(MappersTest, AnyOrderOfCasesGivesTheSame) {
  const auto adapter = MakeAdapter();
  const auto cases = Cases();
  std::vector<std::string> expected;
  for (const auto& one : cases) {
    expected.push_back(fixture::MapToText(*adapter, one.record));
  }
  for (const auto& before : cases) {
    for (size_t i = 0; i < cases.size(); ++i) {
      (void)fixture::MapToText(*adapter, before.record);
      ASSERT_EQ(fixture::MapToText(*adapter, cases[i].record), expected[i])
          << before.name << ", then " << cases[i].name;
    }
  }
}

TEST(MappersTest, NothingOfTheMessageBeforeIsLeft) {
  const auto adapter = MakeAdapter();
  const auto cases = Cases();
  deal::v1::Deal used;
  request::v1::Request used_request;
  for (const auto& one : cases) {
    if (one.record.purpose() == Purpose::PURPOSE_REQUESTS) {
      request::v1::Request fresh;
      const auto mapped = adapter->request_mapper()->Map(one.record, fresh);
      ASSERT_EQ(adapter->request_mapper()->Map(one.record, used_request).status(), mapped.status());
      if (mapped.ok()) {
        EXPECT_EQ(fresh.SerializeAsString(), used_request.SerializeAsString()) << one.name;
      }
      continue;
    }
    deal::v1::Deal fresh;
    const Status status = adapter->deal_mapper()->Map(one.record, fresh);
    ASSERT_EQ(adapter->deal_mapper()->Map(one.record, used), status);
    if (status.ok()) {
      EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(fresh, used)) << one.name;
    }
  }
}

TEST(MappersTest, ThreadsShareNothing) {
  const auto adapter = MakeAdapter();
  const auto cases = Cases();
  std::vector<std::string> expected;
  for (const auto& one : cases) {
    expected.push_back(fixture::MapToText(*adapter, one.record));
  }
  std::vector<std::thread> threads;
  for (size_t i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (size_t round = 0; round < 5 * cases.size(); ++round) {
        const size_t number = (round * 7 + i) % cases.size();
        ASSERT_EQ(fixture::MapToText(*adapter, cases[number].record), expected[number]);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

// An object that is no deal isn't one that can't be read.
TEST(MappersTest, BlockedHoursAreNoDeals) {
  const auto adapter = MakeAdapter();
  for (const auto& one : Cases()) {
    if (one.name == "blocked_hour" && one.record.purpose() == Purpose::PURPOSE_DEALS) {
      deal::v1::Deal deal;
      EXPECT_EQ(ReasonOf(adapter->deal_mapper()->Map(one.record, deal)), kNotADeal);
    }
  }
  EXPECT_TRUE(adapter->request_mapper()->IsMadeOnce());
}

}  // namespace
}  // namespace dealstream::crm::klientiks
