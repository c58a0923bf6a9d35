#include "libs/crm/klientiks/adapter.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <fmt/format.h>

#include "libs/crm/api/fixture.h"
#include "libs/crm/api/settings.h"
#include "libs/crm/klientiks/settings.h"

namespace dealstream::crm::klientiks {
namespace {

using fixture::kDeals;
using fixture::kRequests;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

std::string Refused(Purpose purpose, const fixture::SettingTexts& values) {
  return fixture::RefusalOfSettings(*MakeAdapter(), purpose, values);
}

// K4 K10: the switches of deals, off by default.
TEST(SettingsTest, DealsHaveTheirOwn) {
  const auto adapter = MakeAdapter();
  auto packed = SettingsFromText(*adapter, kDeals, nullptr, {});
  ASSERT_TRUE(packed.ok()) << packed.status();
  EXPECT_THAT(*SettingsToText(*adapter, kDeals, *packed),
              ElementsAre(Pair("responsible_is_author", "false"),
                          Pair("count_out_subscription", "false"),
                          Pair("pipeline_name", "Клиентикс CRM"),
                          Pair("currency", "RUB"),
                          Pair("time_zone", "Europe/Moscow"),
                          Pair("token_place", "header"),
                          Pair("requests_per_minute", "60")));
}

// K11 K12: the settings of requests; traffic goes to a source by default.
TEST(SettingsTest, RequestsHaveTheirOwn) {
  const auto adapter = MakeAdapter();
  auto packed = SettingsFromText(*adapter, kRequests, nullptr, {});
  ASSERT_TRUE(packed.ok()) << packed.status();
  EXPECT_THAT(*SettingsToText(*adapter, kRequests, *packed),
              ElementsAre(Pair("lead_tag", "false"),
                          Pair("traffic_type", "source"),
                          Pair("source", ""),
                          Pair("site", ""),
                          Pair("campaign", ""),
                          Pair("time_zone", "Europe/Moscow"),
                          Pair("token_place", "header"),
                          Pair("requests_per_minute", "60")));
}

TEST(SettingsTest, RefusalsNameTheKey) {
  EXPECT_THAT(Refused(kDeals, {{"lead_tag", "true"}}),
              HasSubstr("setting lead_tag: klientiks has no such key for this purpose, want one "
                        "of: responsible_is_author, count_out_subscription, pipeline_name"));
  EXPECT_THAT(Refused(kRequests, {{"responsible_is_author", "true"}}),
              HasSubstr("want one of: lead_tag, traffic_type, source, site, campaign"));
  EXPECT_EQ(Refused(kRequests, {{"traffic_type", "organic"}}),
            "setting traffic_type: got \"organic\", want one of source, campaign");
  EXPECT_EQ(Refused(kDeals, {{"currency", "rubles"}}),
            "setting currency: got \"rubles\", want an ISO 4217 code such as RUB");
  EXPECT_THAT(Refused(kDeals, {{"time_zone", "Moscow"}}),
              HasSubstr("setting time_zone: got \"Moscow\", want a name of the IANA database"));
  for (const char* zone : {"/etc/passwd", "../../etc/passwd", ":Europe/Moscow", "localtime"}) {
    EXPECT_EQ(Refused(kDeals, {{"time_zone", zone}}),
              fmt::format("setting time_zone: got \"{}\", want a name of the IANA database such as "
                          "Europe/Moscow",
                          zone));
  }
  EXPECT_EQ(Refused(kDeals, {{"requests_per_minute", "0"}}),
            "setting requests_per_minute: got 0, want 1 to 600");
}

// K12: a request without a session is given one whole group.
TEST(SettingsTest, TrafficIsChosenWhole) {
  EXPECT_EQ(Refused(kRequests, {{"traffic_type", "campaign"}}),
            "setting campaign: got \"\", want a campaign, for traffic_type is campaign");
  EXPECT_EQ(Refused(kRequests, {{"traffic_type", "campaign"}, {"source", "a"}, {"site", "b"}}),
            "setting campaign: got \"\", want a campaign, for traffic_type is campaign");
  EXPECT_EQ(Refused(kRequests, {{"source", "Сайт"}}),
            "setting site: got \"\", want a site, for there is a source");
  EXPECT_EQ(Refused(kRequests, {{"site", "clinic.example"}}),
            "setting source: got \"\", want a source, for there is a site");
  const auto adapter = MakeAdapter();
  for (const auto& values : {fixture::SettingTexts{{"traffic_type", "campaign"}, {"campaign", "a"}},
                             fixture::SettingTexts{{"source", "a"}, {"site", "b"}}}) {
    const Status status = SettingsFromText(*adapter, kRequests, nullptr, values).status();
    EXPECT_TRUE(status.ok()) << status;
  }
}

// Two at once, and one a second in the long run: no stretch of two seconds has three.
TEST(SettingsTest, LimitIsOneRequestASecond) {
  const auto adapter = MakeAdapter();
  const RateLimit limit = adapter->Limit({});
  EXPECT_EQ(limit.units, 2);
  EXPECT_EQ(limit.interval, absl::Seconds(2));
  EXPECT_EQ(limit.unit_price, 1);
  EXPECT_EQ(limit.reader_share, 1);
  auto slow = SettingsFromText(*adapter, kDeals, nullptr, {{"requests_per_minute", "30"}});
  ASSERT_TRUE(slow.ok());
  EXPECT_EQ(adapter->Limit(*slow).interval, absl::Seconds(4));
}

// K13: webhooks come by GET and are answered with an empty 200.
TEST(AdapterTest, WebhooksAreAnsweredAtOnce) {
  const NoticeReply reply = MakeAdapter()->notice_decoder()->Reply();
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, "");
  EXPECT_THAT(reply.methods, ElementsAre("GET", "POST"));
}

TEST(AdapterTest, DealsAreSweptEachNightAndRequestsNever) {
  const auto adapter = MakeAdapter();
  EXPECT_TRUE(adapter->SweepsDaily());
  EXPECT_TRUE(adapter->record_source()->Lists(kDeals));
  EXPECT_FALSE(adapter->record_source()->Lists(kRequests));
}

}  // namespace
}  // namespace dealstream::crm::klientiks
