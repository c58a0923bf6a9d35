#include "services/webhook-ingest/id_source.h"

#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libs/kafka/cloudevents.h"
#include "services/webhook-ingest/notice_record.h"

namespace dealstream::ingest {
namespace {

using testing::EndsWith;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

constexpr std::string_view kParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

TEST(IdSourceTest, GivesUlidsThatDifferAndSortByTime) {
  IdSource ids;
  IdSource others;
  const absl::Time now = absl::FromUnixMillis(1'469'918'176'385);
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(seen.emplace(ids.Ulid(now)).second);
    EXPECT_TRUE(seen.emplace(others.Ulid(now)).second);
  }
  // The time in the ULID specification's example.
  EXPECT_THAT(*seen.begin(), MatchesRegex("01ARYZ6S41[0-9A-HJKMNP-TV-Z]{16}"));
  EXPECT_GT(std::string(ids.Ulid(now + absl::Milliseconds(1))), *seen.rbegin());
}

TEST(IdSourceTest, GivesTraceparents) {
  IdSource ids;
  const std::string fresh(ids.Traceparent(""));
  EXPECT_THAT(fresh, MatchesRegex("00-[0-9a-f]{32}-[0-9a-f]{16}-01"));
  EXPECT_NE(fresh, ids.Traceparent(""));
  const std::string child(ids.Traceparent(kParent));
  EXPECT_THAT(child, StartsWith("00-0af7651916cd43dd8448eb211c80319c-"));
  EXPECT_THAT(child, EndsWith("-00"));
  EXPECT_NE(child, kParent);
  for (const std::string& parent :
       {std::string(kParent) + "0",
        "01" + std::string(kParent.substr(2)),
        std::string("00-00000000000000000000000000000000-b7ad6b7169203331-00"),
        std::string("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-00")}) {
    EXPECT_THAT(std::string(ids.Traceparent(parent)),
                MatchesRegex("00-[0-9a-f]{32}-[0-9a-f]{16}-01"));
    EXPECT_THAT(std::string(ids.Traceparent(parent)), Not(StartsWith("00-0af7")));
  }
}

TEST(NoticeRecordTest, HasTheHeadersOfEveryEvent) {
  NoticeRecord record;
  for (const int64_t millis : {1'700'000'000'007, 1'700'000'000'123, 1'700'000'001'000}) {
    const absl::Time time = absl::FromUnixMillis(millis);
    std::string value = "value";
    const kafka::OutRecord& filled = record.Fill({.topic = "crm.notice.acme",
                                                  .crm = "acme",
                                                  .integration_id = "int_1",
                                                  .crm_account_id = "company",
                                                  .notice_id = "id",
                                                  .traceparent = kParent,
                                                  .time = time},
                                                 value);
    EXPECT_EQ(filled.topic, "crm.notice.acme");
    EXPECT_EQ(filled.key, "company");
    EXPECT_EQ(*filled.value, "value");
    EXPECT_EQ(value, "");
    EXPECT_EQ(filled.headers,
              kafka::ToHeaders({.id = "id",
                                .source = "/crm/acme/integrations/int_1",
                                .type = "dealstream.notice.received.v1",
                                .subject = "company",
                                .time = time,
                                .data_schema = "dealstream.raw.v1.Notice",
                                .traceparent = std::string(kParent)}));
  }
}

}  // namespace
}  // namespace dealstream::ingest
