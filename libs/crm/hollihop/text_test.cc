#include "libs/crm/hollihop/text.h"

#include "gtest/gtest.h"

namespace dealstream::crm::hollihop {
namespace {

TEST(TextTest, TrimsBlanksOfAllKinds) {
  EXPECT_EQ(Trim(" \t\u00a0x y\u202f\r\n"), "x y");
  EXPECT_EQ(Trim("\u00a0"), "");
  EXPECT_EQ(Trim(""), "");
}

TEST(TextTest, FoldsLatinAndCyrillic) {
  EXPECT_EQ(Folded("АБВЯЁЇЎабвяёa Z-ß"), "абвяёїўабвяёa z-ß");
  // Half a letter stays what it is.
  EXPECT_EQ(Folded("\xd0"), "\xd0");
}

TEST(TextTest, NamesAreTheSameInAnyCase) {
  EXPECT_TRUE(SameName(" Бюджет", "БЮДЖЕТ "));
  EXPECT_FALSE(SameName("Бюджет", "Бюджет 2"));
}

TEST(TextTest, ComposesLettersAndAccents) {
  EXPECT_EQ(Composed(" Андре\u0438\u0306 Семе\u0308нов "), "Андрей Семёнов");
  EXPECT_EQ(Composed("И\u0306Е\u0308у\u0306і\u0308"), "ЙЁўї");
  // No single letter for these.
  EXPECT_EQ(Composed("а\u0301 \u0306x\u0308"), "а\u0301 \u0306x\u0308");
}

}  // namespace
}  // namespace dealstream::crm::hollihop
