#include "libs/crm/alfacrm/history.h"

#include <string>

#include "gtest/gtest.h"
#include <fmt/format.h>

#include "libs/base/strings.h"

namespace dealstream::crm::alfacrm {
namespace {

absl::Time Day(int day) { return absl::FromUnixSeconds(1'740'000'000) + absl::Hours(24) * day; }

LogRow Row(int64_t id, int day, std::optional<bool> before, std::optional<bool> after) {
  LogRow row;
  row.id = id;
  row.entity = "Customer";
  row.entity_id = 7;
  row.at = Day(day);
  row.has_old_fields = before.has_value();
  row.client_before = before;
  row.client_after = after;
  return row;
}

// A2: a payment is upsell when it was made while the customer was a client.
TEST(HistoryTest, TellsPaymentsAfterTheConversion) {
  const History history = HistoryOf({Row(2, 5, false, true), Row(1, 0, std::nullopt, false)});
  EXPECT_EQ(history.made, Day(0));
  EXPECT_EQ(history.changed, Day(5));
  EXPECT_TRUE(history.WasLead());
  EXPECT_FALSE(history.IsUpsell(Day(1), true));
  EXPECT_FALSE(history.IsUpsell(Day(5), true)) << "at the very moment it belongs to the first sale";
  EXPECT_TRUE(history.IsUpsell(Day(6), true));
}

// A2: once upsell, always upsell, whatever becomes of the client.
TEST(HistoryTest, PaymentsStayWhatTheyWere) {
  const History history = HistoryOf({Row(1, 0, std::nullopt, false),
                                     Row(2, 5, false, true),
                                     Row(3, 10, true, false),
                                     Row(4, 20, false, true)});
  EXPECT_FALSE(history.IsUpsell(Day(3), true));
  EXPECT_TRUE(history.IsUpsell(Day(7), true));
  EXPECT_FALSE(history.IsUpsell(Day(15), true));
  EXPECT_TRUE(history.IsUpsell(Day(25), true));
  // Before the second conversion was known, they were the same.
  const History before =
      HistoryOf({Row(1, 0, std::nullopt, false), Row(2, 5, false, true), Row(3, 10, true, false)});
  EXPECT_TRUE(before.IsUpsell(Day(7), false));
  EXPECT_FALSE(before.IsUpsell(Day(15), false));
}

TEST(HistoryTest, WithoutAChangeTheCardDecides) {
  EXPECT_TRUE(History().IsUpsell(Day(1), true));
  EXPECT_FALSE(History().IsUpsell(Day(1), false));
  EXPECT_FALSE(History().WasLead());
  const History client = HistoryOf({Row(1, 0, std::nullopt, true)});
  EXPECT_FALSE(client.WasLead());
  EXPECT_TRUE(client.IsUpsell(Day(1), true));
  // After the last change that was logged, too: a trigger's change may not be.
  const History unlogged = HistoryOf({Row(1, 5, true, false)});
  EXPECT_TRUE(unlogged.IsUpsell(Day(7), true));
}

TEST(HistoryTest, RowsInAnyOrderAndTwiceAreTheSame) {
  const History once = HistoryOf({Row(1, 0, std::nullopt, false), Row(2, 5, false, true)});
  const History twice = HistoryOf({Row(2, 5, false, true),
                                   Row(1, 0, std::nullopt, false),
                                   Row(2, 5, false, true),
                                   Row(3, 3, true, true)});
  EXPECT_EQ(once.ToJson(), twice.ToJson());
}

TEST(HistoryTest, KnowsTheDayOfAChange) {
  absl::TimeZone zone;
  ASSERT_TRUE(absl::LoadTimeZone("Europe/Moscow", &zone));
  const History history = HistoryOf({Row(1, 5, false, true)});
  const absl::Time midnight = absl::FromCivil(absl::ToCivilDay(Day(5), zone), zone);
  EXPECT_TRUE(history.HasChangeOn(midnight, zone));
  EXPECT_FALSE(history.HasChangeOn(midnight - absl::Hours(24), zone));
}

TEST(HistoryTest, SurvivesItsText) {
  History history = HistoryOf({Row(1, 0, std::nullopt, false), Row(2, 5, false, true)});
  history.pays.emplace_back(9014, Day(5));
  const auto parsed = History::Parse(history.ToJson());
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->ToJson(), history.ToJson());
  EXPECT_EQ(parsed->PayEntered(9014), Day(5));
  EXPECT_EQ(parsed->PayEntered(1), std::nullopt);
  EXPECT_EQ(History().ToJson(), "{}");
  EXPECT_EQ(History::Parse("{}")->ToJson(), "{}");
  EXPECT_FALSE(History::Parse(R"({"studies":[{"client":true}]})").ok());
}

Result<LogPage> Page(const std::string& row) {
  absl::TimeZone zone;
  EXPECT_TRUE(absl::LoadTimeZone("Europe/Moscow", &zone));
  return ReadLogPage(fmt::format(R"({{"page":0,"count":1,"total":1,"items":[{}]}})", row), zone);
}

TEST(LogPageTest, MapsComeInManyForms) {
  for (const char* maps : {R"("fields_old":{"is_study":0},"fields_new":{"is_study":"1"})",
                           R"("fields_old":"{\"is_study\":0}","fields_new":"{\"is_study\":1}")",
                           R"("fields_old":{"is_study":false},"fields_new":{"is_study":true})"}) {
    const auto page = Page(fmt::format(
        R"({{"id":1,"entity":"Customer","entity_id":"7","date_time":"2025-03-10 18:40:12",)"
        R"("event":2,{}}})",
        maps));
    ASSERT_TRUE(page.ok()) << page.status();
    ASSERT_EQ(page->rows.size(), 1u);
    EXPECT_EQ(page->rows[0].entity_id, 7);
    EXPECT_EQ(page->rows[0].client_before, false) << maps;
    EXPECT_EQ(page->rows[0].client_after, true) << maps;
  }
  for (const char* maps :
       {R"("fields_old":[],"fields_new":"")", R"("fields_old":"[]")", R"("x":1)"}) {
    const auto page = Page(fmt::format(
        R"({{"id":1,"entity":"Customer","date_time":"2025-03-10 18:40:12",{}}})", maps));
    ASSERT_TRUE(page.ok()) << page.status();
    EXPECT_FALSE(page->rows[0].has_old_fields) << maps;
    EXPECT_EQ(page->rows[0].client_after, std::nullopt);
  }
}

TEST(LogPageTest, SaysWhatIsWrong) {
  const Status status =
      Page(R"({"id":1,"date_time":"2025-03-10 18:40:12","fields_new":"is_study=1"})").status();
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_NE(ToStd(status.message()).find("log: items[0].fields_new"), std::string_view::npos)
      << status;
  // A row without a time tells nothing.
  EXPECT_TRUE(Page(R"({"id":1})")->rows.empty());
  EXPECT_EQ(Page(R"({"id":1})")->count, 1);
}

}  // namespace
}  // namespace dealstream::crm::alfacrm
