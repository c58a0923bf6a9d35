#include "libs/crm/megaplan/adapter.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "libs/crm/api/fixture.h"
#include "libs/crm/api/settings.h"
#include "libs/crm/megaplan/settings.pb.h"

namespace dealstream::crm::megaplan {
namespace {

using fixture::kDeals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

std::string Refused(const fixture::SettingTexts& values) {
  return fixture::RefusalOfSettings(*MakeAdapter(), kDeals, values);
}

TEST(SettingsTest, DefaultsAreFilledIn) {
  const auto adapter = MakeAdapter();
  auto packed = SettingsFromText(*adapter, kDeals, nullptr, {});
  ASSERT_TRUE(packed.ok()) << packed.status();
  EXPECT_THAT(*SettingsToText(*adapter, integration::v1::PURPOSE_DEALS, *packed),
              ElementsAre(Pair("phone_region", "RU"),
                          Pair("base_currency", "RUB"),
                          Pair("requests_per_second", "5")));
}

TEST(SettingsTest, WhatWasAddedSinceHasItsDefault) {
  const auto adapter = MakeAdapter();
  v1::Settings old;
  old.set_phone_region("UZ");
  google::protobuf::Any packed;
  packed.PackFrom(old);
  EXPECT_TRUE(adapter->CheckSettings(packed, kDeals).ok());
  EXPECT_EQ(adapter->Limit(packed).units, 5);
}

TEST(SettingsTest, RefusalsNameTheKey) {
  EXPECT_THAT(Refused({{"region", "RU"}}),
              HasSubstr("setting region: megaplan has no such key for this purpose, want one of: "
                        "phone_region, base_currency, requests_per_second"));
  EXPECT_EQ(Refused({{"base_currency", "rub"}}),
            "setting base_currency: got \"rub\", want an ISO 4217 code such as RUB");
  EXPECT_EQ(Refused({{"requests_per_second", "0"}}),
            "setting requests_per_second: got 0, want 1 to 50");
  EXPECT_EQ(Refused({{"requests_per_second", "51"}}),
            "setting requests_per_second: got 51, want 1 to 50");
  EXPECT_EQ(Refused({{"phone_region", "ru"}}),
            "setting phone_region: got \"ru\", want two upper-case letters such as RU");
}

TEST(SettingsTest, LimitIsTheOneThatWasSet) {
  const auto adapter = MakeAdapter();
  auto packed = SettingsFromText(*adapter, kDeals, nullptr, {{"requests_per_second", "12"}});
  ASSERT_TRUE(packed.ok());
  const RateLimit limit = adapter->Limit(*packed);
  EXPECT_EQ(limit.units, 12);
  EXPECT_EQ(limit.interval, absl::Seconds(1));
  EXPECT_EQ(limit.unit_price, 1);
  // Settings that can't be read have the default's.
  packed->set_value("\xff\xff");
  EXPECT_EQ(adapter->Limit(*packed).units, 5);
}

TEST(AdapterTest, CallsMegaplanOnly) {
  EXPECT_THAT(MakeAdapter()->AllowedHostSuffixes(), ElementsAre("megaplan.ru"));
}

}  // namespace
}  // namespace dealstream::crm::megaplan
