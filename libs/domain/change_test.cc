#include "libs/domain/change.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dealstream::domain {
namespace {

using deal::v1::Deal;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

Deal MakeDeal() {
  Deal deal;
  deal.set_id("int_1:order");
  deal.set_title("00518");
  deal.mutable_amount()->set_units(0);
  deal.mutable_stage()->set_id("s1");
  deal.add_items()->set_quantity("2");
  auto* field = deal.add_custom_fields();
  field->set_flag(false);
  return deal;
}

TEST(EntityIdTest, JoinsIntegrationAndExternalId) {
  EXPECT_EQ(EntityId("int_1", "a:b"), "int_1:a:b");
}

TEST(ChangedFieldsTest, ListsFilledFieldsWithoutABefore) {
  EXPECT_THAT(ChangedFields(nullptr, MakeDeal()),
              ElementsAre("id", "title", "amount", "stage", "items", "custom_fields"));
}

TEST(ChangedFieldsTest, NoneForTheSameContent) {
  const Deal deal = MakeDeal();
  EXPECT_THAT(ChangedFields(&deal, MakeDeal()), IsEmpty());
}

TEST(ChangedFieldsTest, TellsAbsentFromZero) {
  const Deal before = MakeDeal();
  Deal after = MakeDeal();
  after.clear_amount();
  EXPECT_THAT(ChangedFields(&before, after), ElementsAre("amount"));
  EXPECT_THAT(ChangedFields(&after, before), ElementsAre("amount"));
}

TEST(ChangedFieldsTest, LooksIntoMessagesListsAndChoices) {
  const Deal before = MakeDeal();
  Deal after = MakeDeal();
  after.mutable_stage()->set_kind(deal::v1::STAGE_KIND_WON);
  after.mutable_items(0)->set_quantity("3");
  after.mutable_custom_fields(0)->clear_value();
  after.set_deleted(true);
  EXPECT_THAT(ChangedFields(&before, after),
              ElementsAre("stage", "items", "custom_fields", "deleted"));
  after = MakeDeal();
  after.add_items();
  after.mutable_custom_fields(0)->set_text("");
  EXPECT_THAT(ChangedFields(&before, after), ElementsAre("items", "custom_fields"));
}

TEST(ChangedFieldsTest, ListsCountAndOrder) {
  Deal before = MakeDeal();
  before.add_items()->set_quantity("5");
  Deal after = MakeDeal();
  after.mutable_items(0)->set_quantity("5");
  after.add_items()->set_quantity("2");
  EXPECT_THAT(ChangedFields(&before, after), ElementsAre("items"));
}

}  // namespace
}  // namespace dealstream::domain
