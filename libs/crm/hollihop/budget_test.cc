#include "libs/crm/hollihop/budget.h"

#include <string>

#include "gtest/gtest.h"
#include <fmt/format.h>

namespace dealstream::crm::hollihop {
namespace {

std::string Read(std::string_view text) {
  Sum sum;
  return ParseSum(text, sum) ? fmt::format("{} {}", sum.value.ToText(), sum.currency) : "none";
}

// H1
TEST(SumTest, AsPeopleWriteIt) {
  EXPECT_EQ(Read("0"), "0 ");
  EXPECT_EQ(Read("36000"), "36000 ");
  EXPECT_EQ(Read(" 36 000 "), "36000 ");
  EXPECT_EQ(Read("1\u00a0500,00\u00a0руб."), "1500 RUB");
  EXPECT_EQ(Read("36\u202f000,5 ₽"), "36000.5 RUB");
  EXPECT_EQ(Read("₽36000.50"), "36000.5 RUB");
  EXPECT_EQ(Read("р. 100"), "100 RUB");
  EXPECT_EQ(Read("100 РУБЛЕЙ"), "100 RUB");
  EXPECT_EQ(Read("90 000 тг."), "90000 KZT");
  EXPECT_EQ(Read("500 000 сум"), "500000 UZS");
  EXPECT_EQ(Read("99,90 Br"), "99.9 BYN");
  EXPECT_EQ(Read("99,90 бел. руб."), "99.9 BYN");
  EXPECT_EQ(Read("100 USD"), "100 USD");
  EXPECT_EQ(Read("-1 500,50"), "-1500.5 ");
  EXPECT_EQ(Read("1'500'000"), "1500000 ");
  EXPECT_EQ(Read("1.500,50"), "1500.5 ");
  EXPECT_EQ(Read("1,500,000.50"), "1500000.5 ");
  EXPECT_EQ(Read("1.500.000,5"), "1500000.5 ");
}

// H1: what is no sum is no amount.
TEST(SumTest, WhatCanNotBeReadIsNone) {
  for (const char* text : {"",
                           " ",
                           "руб.",
                           "от 5000",
                           "5000-7000",
                           "5 тыс.",
                           "1,500",
                           "1.500",
                           "1.500.000",
                           "1,2.3,4",
                           "36 000 руб. 50 коп.",
                           "₽ 100 ₽",
                           "100 $",
                           "1e3",
                           "+7 999 000-11-22",
                           "999999999999999999999",
                           "12345678901234567890123456789012345678901234567890123456789012345"}) {
    EXPECT_EQ(Read(text), "none") << text;
  }
}

TEST(CurrencyTest, ByMarkOrCode) {
  EXPECT_EQ(CurrencyOfMark("руб."), "RUB");
  EXPECT_EQ(CurrencyOfMark("RUR"), "RUB");
  EXPECT_EQ(CurrencyOfMark("Тенге"), "KZT");
  EXPECT_EQ(CurrencyOfMark("kzt"), "KZT");
  EXPECT_EQ(CurrencyOfMark(""), "");
  EXPECT_EQ(CurrencyOfMark("тугрики"), "");
}

}  // namespace
}  // namespace dealstream::crm::hollihop
