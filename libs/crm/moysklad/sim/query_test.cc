#include "libs/crm/moysklad/sim/query.h"

#include <map>
#include <optional>
#include <string>

#include <gtest/gtest.h>

namespace dealstream::crm::moysklad::sim {
namespace {

bool Matches(const std::string& filter, const std::map<std::string, std::string>& row) {
  const auto parsed = Filter::Parse(filter);
  EXPECT_TRUE(parsed.ok()) << filter << parsed.status();
  return parsed->Matches([&row](std::string_view field) {
    const auto it = row.find(std::string(field));
    return it == row.end() ? std::nullopt : std::optional<std::string>(it->second);
  });
}

TEST(FilterTest, SeveralEqualsAreOrAndDifferentFieldsAreAnd) {
  EXPECT_TRUE(Matches("phone=1;phone=2", {{"phone", "2"}}));
  EXPECT_FALSE(Matches("phone=1;phone=2", {{"phone", "3"}}));
  EXPECT_FALSE(Matches("phone=1;name=x", {{"phone", "1"}, {"name", "y"}}));
  EXPECT_FALSE(Matches("name!=x;name!=y", {{"name", "y"}}));
  EXPECT_TRUE(Matches("name!=x;name!=y", {{"name", "z"}}));
}

TEST(FilterTest, ComparesTimesNumbersAndText) {
  EXPECT_TRUE(Matches("updated>=2026-03-02 15:30", {{"updated", "2026-03-02 15:30:00.000"}}));
  EXPECT_FALSE(Matches("updated>2026-03-02 15:30:00", {{"updated", "2026-03-02 15:30:00.000"}}));
  EXPECT_TRUE(Matches("updated<2026-03-02 15:30:00.001", {{"updated", "2026-03-02 15:30:00.000"}}));
  EXPECT_TRUE(Matches("sum>99.5", {{"sum", "100.0"}}));
  EXPECT_TRUE(Matches("name~НОВ", {{"name", "Заказ новый"}}));
  EXPECT_TRUE(Matches("name~=заказ", {{"name", "Заказ новый"}}));
  EXPECT_TRUE(Matches("name=~Ёж", {{"name", "заказ ёж"}}));
  EXPECT_TRUE(
      Matches("state=https://x/entity/customerorder/metadata/states/abc", {{"state", "abc"}}));
}

TEST(FilterTest, EmptyValueAsksForAbsence) {
  EXPECT_TRUE(Matches("store=", {}));
  EXPECT_FALSE(Matches("store=", {{"store", "x"}}));
  EXPECT_TRUE(Matches("store!=", {{"store", "x"}}));
}

TEST(FilterTest, ABackslashKeepsASemicolon) {
  EXPECT_TRUE(Matches("name=a\\;b", {{"name", "a;b"}}));
}

TEST(FilterTest, RefusesNonsenseAndMixedOperators) {
  for (const char* text : {"name", "=x", "updated>never", "sum=1;sum>0", "name!x"}) {
    EXPECT_EQ(Filter::Parse(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  // The first of the same inequalities counts.
  EXPECT_TRUE(Matches("sum>1;sum>100", {{"sum", "50"}}));
}

TEST(PageTest, ReadsLimitOffsetAndOrder) {
  const auto page = Page::Parse(simkit::ParseQuery("limit=5&offset=10&order=updated,desc;name"));
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->limit, 5U);
  EXPECT_EQ(page->offset, 10U);
  ASSERT_EQ(page->order.size(), 2U);
  EXPECT_TRUE(page->order[0].descending);
  EXPECT_FALSE(page->order[1].descending);
  EXPECT_FALSE(Page::Parse(simkit::ParseQuery("limit=0")).ok());
  EXPECT_FALSE(Page::Parse(simkit::ParseQuery("limit=1001")).ok());
  EXPECT_FALSE(Page::Parse(simkit::ParseQuery("offset=-1")).ok());
  EXPECT_EQ(Page::Parse({})->limit, 1000U);
}

}  // namespace
}  // namespace dealstream::crm::moysklad::sim
