#include "libs/crm/hollihop/adapter.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <fmt/format.h>

#include "dealstream/settings/v1/options.pb.h"
#include "libs/crm/api/fixture.h"
#include "libs/crm/api/settings.h"
#include "libs/crm/hollihop/settings.h"

namespace dealstream::crm::hollihop {
namespace {

using fixture::kDeals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

std::string Refused(const fixture::SettingTexts& values) {
  return fixture::RefusalOfSettings(*MakeAdapter(), kDeals, values);
}

// H7: once a day, at a time of day of its own; no webhooks.
TEST(AdapterTest, IsLoadedOnceADay) {
  const auto adapter = MakeAdapter();
  EXPECT_TRUE(adapter->SweepsDaily());
  EXPECT_EQ(adapter->SweepInterval(), absl::Hours(24));
  EXPECT_TRUE(adapter->record_source()->CanList());
  EXPECT_EQ(adapter->notice_decoder(), nullptr);
  EXPECT_THAT(adapter->AllowedHostSuffixes(), ElementsAre("t8s.ru"));
}

// H6: off by default.
TEST(SettingsTest, DefaultsAreFilledIn) {
  const auto adapter = MakeAdapter();
  auto packed = SettingsFromText(*adapter, kDeals, nullptr, {});
  ASSERT_TRUE(packed.ok()) << packed.status();
  EXPECT_THAT(*SettingsToText(*adapter, integration::v1::PURPOSE_DEALS, *packed),
              ElementsAre(Pair("default_pipeline", "false"),
                          Pair("time_zone", "Europe/Moscow"),
                          Pair("currency", "RUB"),
                          Pair("phone_region", "RU"),
                          Pair("budget_field", "Бюджет"),
                          Pair("reject_reason_field", "Причина отказа"),
                          Pair("stage_kinds", ""),
                          Pair("requests_per_second", "10")));
}

// H6: the label of the source document.
TEST(SettingsTest, LabelIsThatOfTheDocument) {
  const auto& field = *v1::Settings::descriptor()->FindFieldByName("default_pipeline");
  EXPECT_EQ(field.options().GetExtension(dealstream::settings::v1::setting).label().ru(),
            "Все сделки в дефолтную воронку “Сделки из Hollihop”");
}

TEST(SettingsTest, AreUnderstood) {
  const auto adapter = MakeAdapter();
  auto packed = SettingsFromText(
      *adapter,
      kDeals,
      nullptr,
      {{"stage_kinds", "7:won, 8:lost,9:open"}, {"time_zone", "Asia/Almaty"}, {"currency", "KZT"}});
  ASSERT_TRUE(packed.ok()) << packed.status();
  auto settings = SettingsInForce(*packed);
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_THAT((*settings)->stage_kinds,
              ElementsAre(Pair("7", deal::v1::STAGE_KIND_WON),
                          Pair("8", deal::v1::STAGE_KIND_LOST),
                          Pair("9", deal::v1::STAGE_KIND_OPEN)));
  EXPECT_EQ((*settings)->zone.name(), "Asia/Almaty");
}

TEST(SettingsTest, RefusalsNameTheKey) {
  EXPECT_THAT(Refused({{"pipeline", "x"}}),
              HasSubstr("setting pipeline: hollihop has no such key for this purpose, want one of: "
                        "default_pipeline, time_zone"));
  EXPECT_EQ(Refused({{"default_pipeline", "yes"}}),
            "setting default_pipeline: got \"yes\", want true or false");
  for (const char* zone : {"/etc/passwd", "../../etc/passwd", ":Europe/Moscow", "localtime"}) {
    EXPECT_EQ(Refused({{"time_zone", zone}}),
              fmt::format("setting time_zone: got \"{}\", want a name of the IANA database such as "
                          "Europe/Moscow",
                          zone));
  }
  EXPECT_EQ(Refused({{"currency", "rub"}}),
            "setting currency: got \"rub\", want an ISO 4217 code such as RUB");
  EXPECT_EQ(Refused({{"currency", "XYZ"}}),
            "setting currency: got \"XYZ\", want an ISO 4217 code such as RUB");
  EXPECT_EQ(Refused({{"phone_region", "ru"}}),
            "setting phone_region: got \"ru\", want two upper-case letters such as RU");
  EXPECT_EQ(Refused({{"budget_field", " "}}),
            "setting budget_field: got \" \", want the name of a field");
  EXPECT_EQ(Refused({{"stage_kinds", "7:won,8:maybe"}}),
            "setting stage_kinds: got \"8:maybe\", want id:open, id:won or id:lost");
  EXPECT_EQ(Refused({{"stage_kinds", ":won"}}),
            "setting stage_kinds: got \":won\", want id:open, id:won or id:lost");
  EXPECT_EQ(Refused({{"requests_per_second", "21"}}),
            "setting requests_per_second: got 21, want 1 to 20");
}

// 600 in 30 s is the CRM's; the reader's share of the default stays far below.
TEST(SettingsTest, LimitIsBelowThatOfTheCrm) {
  const auto adapter = MakeAdapter();
  auto packed = SettingsFromText(*adapter, kDeals, nullptr, {{"requests_per_second", "20"}});
  ASSERT_TRUE(packed.ok());
  for (const google::protobuf::Any& settings : {google::protobuf::Any(), *packed}) {
    const RateLimit limit = adapter->Limit(settings);
    EXPECT_LE(limit.units * absl::FDivDuration(absl::Seconds(30), limit.interval), 600);
    EXPECT_EQ(limit.unit_price, 1);
  }
  EXPECT_EQ(adapter->Limit({}).units, 20);
  EXPECT_EQ(adapter->Limit({}).interval, absl::Seconds(2));
}

}  // namespace
}  // namespace dealstream::crm::hollihop
