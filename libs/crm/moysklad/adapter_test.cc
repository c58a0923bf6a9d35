#include "libs/crm/moysklad/adapter.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "libs/crm/api/fixture.h"
#include "libs/crm/api/settings.h"
#include "libs/crm/moysklad/settings.pb.h"

namespace dealstream::crm::moysklad {
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
  EXPECT_THAT(*SettingsToText(*adapter, kDeals, *packed),
              ElementsAre(Pair("branch_source", "store"),
                          Pair("phone_region", "RU"),
                          Pair("request_price", "4"),
                          Pair("request_budget", "45")));
}

TEST(SettingsTest, ChangesKeepTheOthers) {
  const auto adapter = MakeAdapter();
  auto first = SettingsFromText(*adapter, kDeals, nullptr, {{"request_price", "1"}});
  ASSERT_TRUE(first.ok());
  auto second = SettingsFromText(
      *adapter, kDeals, &*first, {{"branch_source", "sales_channel"}, {"phone_region", "KZ"}});
  ASSERT_TRUE(second.ok()) << second.status();
  v1::Settings settings;
  ASSERT_TRUE(second->UnpackTo(&settings));
  EXPECT_EQ(settings.branch_source(), v1::BRANCH_SOURCE_SALES_CHANNEL);
  EXPECT_EQ(settings.phone_region(), "KZ");
  EXPECT_EQ(settings.request_price(), 1);
}

TEST(SettingsTest, WhatWasAddedSinceHasItsDefault) {
  const auto adapter = MakeAdapter();
  v1::Settings old;
  old.set_phone_region("UZ");
  google::protobuf::Any packed;
  packed.PackFrom(old);
  EXPECT_TRUE(adapter->CheckSettings(packed, kDeals).ok());
  EXPECT_EQ(adapter->Limit(packed).unit_price, 4);
}

TEST(SettingsTest, RefusalsNameTheKey) {
  EXPECT_THAT(Refused({{"branch", "store"}}),
              HasSubstr("setting branch: moysklad has no such key for this purpose, want one of: "
                        "branch_source, phone_region, request_price, request_budget"));
  EXPECT_EQ(Refused({{"branch_source", "shop"}}),
            "setting branch_source: got \"shop\", want one of store, sales_channel");
  EXPECT_EQ(Refused({{"request_price", "four"}}),
            "setting request_price: got \"four\", want a whole number");
  EXPECT_EQ(Refused({{"request_price", "0"}}), "setting request_price: got 0, want 1 to 45");
  EXPECT_EQ(Refused({{"request_budget", "3"}}),
            "setting request_price: got 4, want at most request_budget, which is 3");
  EXPECT_EQ(Refused({{"phone_region", "ru"}}),
            "setting phone_region: got \"ru\", want two upper-case letters such as RU");
}

TEST(SettingsTest, LimitIsTheBasketOfTheCrm) {
  const auto adapter = MakeAdapter();
  auto packed = SettingsFromText(*adapter, kDeals, nullptr, {{"request_price", "3"}});
  ASSERT_TRUE(packed.ok());
  const RateLimit limit = adapter->Limit(*packed);
  EXPECT_EQ(limit.units, 45);
  EXPECT_EQ(limit.interval, absl::Seconds(3));
  EXPECT_EQ(limit.unit_price, 3);
}

}  // namespace
}  // namespace dealstream::crm::moysklad
