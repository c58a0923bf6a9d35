#include "services/deal-normalizer/wire_diff.h"

#include <random>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "dealstream/deal/v1/deal.pb.h"
#include "libs/domain/change.h"

namespace dealstream::normalizer {
namespace {

using deal::v1::Deal;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;

std::optional<std::vector<std::string>> Names(const Deal& before, const Deal& after) {
  const auto numbers = DifferingFields(before.SerializeAsString(), after.SerializeAsString());
  if (!numbers.has_value()) {
    return std::nullopt;
  }
  std::vector<std::string> names;
  for (const int number : *numbers) {
    names.push_back(Deal::descriptor()->FindFieldByNumber(number)->name());
  }
  return names;
}

Deal RandomDeal(std::mt19937& random) {
  Deal deal;
  const auto some = [&random] { return random() % 3 == 0; };
  const auto text = [&random] { return fmt::format("{}", random() % 3); };
  if (some()) {
    deal.set_title(text());
  }
  if (some()) {
    deal.mutable_amount()->set_units(static_cast<int64_t>(random() % 2));
  }
  if (some()) {
    deal.mutable_stage()->set_id(text());
  }
  for (size_t i = random() % 3; i > 0; --i) {
    deal.add_items()->set_name(text());
  }
  for (size_t i = random() % 3; i > 0; --i) {
    deal.add_contacts()->add_emails(text());
  }
  for (size_t i = random() % 2; i > 0; --i) {
    deal.add_custom_fields()->set_flag(some());
  }
  if (some()) {
    deal.mutable_closed_at()->set_seconds(static_cast<int64_t>(random() % 2));
  }
  deal.set_deleted(some());
  return deal;
}

TEST(DifferingFieldsTest, IsWhatComparingTheContentsGives) {
  std::mt19937 random(1);
  for (int i = 0; i < 5'000; ++i) {
    const Deal before = RandomDeal(random);
    const Deal after = RandomDeal(random);
    ASSERT_THAT(Names(before, after), Optional(domain::ChangedFields(&before, after)))
        << before.ShortDebugString() << " | " << after.ShortDebugString();
    ASSERT_THAT(Names(before, before), Optional(IsEmpty()));
  }
}

TEST(DifferingFieldsTest, NothingAgainstSomething) {
  Deal deal;
  deal.set_title("x");
  deal.set_deleted(true);
  EXPECT_THAT(DifferingFields("", deal.SerializeAsString()), Optional(ElementsAre(6, 20)));
  EXPECT_THAT(DifferingFields(deal.SerializeAsString(), ""), Optional(ElementsAre(6, 20)));
  EXPECT_THAT(DifferingFields("", ""), Optional(IsEmpty()));
}

TEST(DifferingFieldsTest, OtherOrderOrCutBytesAreAbsent) {
  Deal title;
  title.set_title("x");
  Deal id;
  id.set_id("y");
  const std::string reversed = title.SerializeAsString() + id.SerializeAsString();
  const std::string good = id.SerializeAsString() + title.SerializeAsString();
  EXPECT_TRUE(DifferingFields(good, good).has_value());
  EXPECT_FALSE(DifferingFields(reversed, good).has_value());
  EXPECT_FALSE(DifferingFields(good, reversed).has_value());
  for (size_t size = 1; size < good.size(); ++size) {
    if (size != id.SerializeAsString().size()) {
      EXPECT_FALSE(DifferingFields(good, good.substr(0, size)).has_value()) << size;
    }
  }
  EXPECT_FALSE(DifferingFields(std::string(1, '\0'), "").has_value());
}

}  // namespace
}  // namespace dealstream::normalizer
