#include "libs/crm/alfacrm/adapter.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <fmt/format.h>

#include "libs/crm/alfacrm/settings.h"
#include "libs/crm/api/fixture.h"
#include "libs/crm/api/settings.h"

namespace dealstream::crm::alfacrm {
namespace {

using fixture::kDeals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

std::string Refused(const fixture::SettingTexts& values) {
  return fixture::RefusalOfSettings(*MakeAdapter(), kDeals, values);
}

// A7, A15: the settings of the document, and what the CRM leaves open.
TEST(SettingsTest, DefaultsAreFilledIn) {
  const auto adapter = MakeAdapter();
  auto packed = SettingsFromText(*adapter, kDeals, nullptr, {});
  ASSERT_TRUE(packed.ok()) << packed.status();
  EXPECT_THAT(*SettingsToText(*adapter, integration::v1::PURPOSE_DEALS, *packed),
              ElementsAre(Pair("success_stages", ""),
                          Pair("reject_stages", ""),
                          Pair("branch", "0"),
                          Pair("currency", "RUB"),
                          Pair("branch_currency", ""),
                          Pair("time_zone", "Europe/Moscow"),
                          Pair("phone_region", "RU"),
                          Pair("income_types", "1"),
                          Pair("goods_types", "2,9"),
                          Pair("refund_types", "3,5"),
                          Pair("page_size", "100"),
                          Pair("requests_per_second", "3")));
}

// A7: several stages each.
TEST(SettingsTest, StagesAreLists) {
  const auto adapter = MakeAdapter();
  auto packed = SettingsFromText(
      *adapter, kDeals, nullptr, {{"success_stages", "5, 7"}, {"reject_stages", "4"}});
  ASSERT_TRUE(packed.ok()) << packed.status();
  const auto terms = TermsInForce(*packed);
  ASSERT_TRUE(terms.ok());
  EXPECT_THAT((*terms)->settings.success_stages(), ElementsAre(5, 7));
  EXPECT_THAT((*terms)->settings.reject_stages(), ElementsAre(4));
}

TEST(SettingsTest, SayWhatIsWrong) {
  EXPECT_THAT(Refused({{"success_stages", "5"}, {"reject_stages", "4,5"}}),
              HasSubstr("got 5, which is in reject_stages, too"));
  EXPECT_THAT(Refused({{"success_stages", "0"}}), HasSubstr("success_stages: got 0"));
  EXPECT_THAT(Refused({{"reject_stages", "-4"}}), HasSubstr("reject_stages: got -4"));
  EXPECT_THAT(Refused({{"success_stages", "Оплатил"}}), HasSubstr("want a whole number"));
  EXPECT_THAT(Refused({{"income_types", "1,5"}}), HasSubstr("income_types: got 5"));
  EXPECT_THAT(Refused({{"goods_types", "3"}}), HasSubstr("goods_types: got 3"));
  EXPECT_THAT(Refused({{"branch", "-1"}}), HasSubstr("branch: got -1"));
  EXPECT_THAT(Refused({{"currency", "рубли"}}), HasSubstr("currency"));
  EXPECT_THAT(Refused({{"branch_currency", "KZT"}}), HasSubstr("such as 2:KZT"));
  EXPECT_THAT(Refused({{"branch_currency", "2:"}}), HasSubstr("such as 2:KZT"));
  EXPECT_THAT(Refused({{"branch_currency", "2:KZT,0:AMD"}}), HasSubstr("0:AMD"));
  EXPECT_THAT(Refused({{"time_zone", "Europe/Mosкow"}}), HasSubstr("time_zone"));
  for (const char* zone : {"/etc/passwd", "../../etc/passwd", ":Europe/Moscow", "localtime"}) {
    EXPECT_EQ(Refused({{"time_zone", zone}}),
              fmt::format("setting time_zone: got \"{}\", want a name of the IANA database such as "
                          "Europe/Moscow",
                          zone));
  }
  EXPECT_THAT(Refused({{"phone_region", "ru"}}), HasSubstr("phone_region"));
  EXPECT_THAT(Refused({{"page_size", "501"}}), HasSubstr("page_size: got 501, want 20 to 500"));
  EXPECT_THAT(Refused({{"page_size", "19"}}), HasSubstr("page_size: got 19, want 20 to 500"));
  EXPECT_THAT(Refused({{"requests_per_second", "0"}}), HasSubstr("want 1 to 20"));
}

TEST(SettingsTest, TermsKnowTypesAndCurrencies) {
  const auto adapter = MakeAdapter();
  auto packed = SettingsFromText(
      *adapter, kDeals, nullptr, {{"branch_currency", "2:KZT,3:AMD"}, {"currency", "RUR"}});
  ASSERT_TRUE(packed.ok());
  const Terms& terms = **TermsInForce(*packed);
  EXPECT_EQ(terms.CurrencyOf(2), "KZT");
  EXPECT_EQ(terms.CurrencyOf(1), "RUB");
  EXPECT_EQ(terms.KindOf(1), PayKind::kIncome);
  EXPECT_EQ(terms.KindOf(9), PayKind::kIncome);
  EXPECT_EQ(terms.KindOf(3), PayKind::kRefund);
  EXPECT_EQ(terms.KindOf(6), PayKind::kNotCounted);
  EXPECT_EQ(terms.KindOf(0), PayKind::kNotCounted);
  EXPECT_THAT(terms.CountedTypes(), ElementsAre(1, 2, 9, 3, 5));
}

TEST(AdapterTest, LimitIsTheSettings) {
  const auto adapter = MakeAdapter();
  auto packed = SettingsFromText(*adapter, kDeals, nullptr, {{"requests_per_second", "5"}});
  ASSERT_TRUE(packed.ok());
  EXPECT_EQ(adapter->Limit(*packed).units, 5);
  EXPECT_EQ(adapter->Limit(*packed).interval, absl::Seconds(1));
  // Settings that can't be read don't take the limit away.
  google::protobuf::Any broken = *packed;
  broken.set_value("\xff");
  EXPECT_EQ(adapter->Limit(broken).units, 3);
  // The calls of one lead pass at once.
  EXPECT_GE(adapter->Limit({}).units * adapter->Limit({}).reader_share, 3);
}

}  // namespace
}  // namespace dealstream::crm::alfacrm
