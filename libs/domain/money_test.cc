#include "libs/domain/money.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "libs/base/strings.h"

namespace dealstream::domain {
namespace {

using ::testing::HasSubstr;

std::string Text(const Result<Decimal>& value) {
  return value.ok() ? value->ToText()
                    : std::string(absl::StatusCodeToString(value.status().code()));
}

TEST(DecimalTest, ReadsWhatCrmsWrite) {
  EXPECT_EQ(Text(Decimal::Parse("0")), "0");
  EXPECT_EQ(Text(Decimal::Parse("-0.0")), "0");
  EXPECT_EQ(Text(Decimal::Parse("395810.0")), "395810");
  EXPECT_EQ(Text(Decimal::Parse("-12.50")), "-12.5");
  EXPECT_EQ(Text(Decimal::Parse("0.000000001")), "0.000000001");
  EXPECT_EQ(Text(Decimal::Parse("1.0E7")), "10000000");
  EXPECT_EQ(Text(Decimal::Parse("1e+3")), "1000");
  EXPECT_EQ(Text(Decimal::Parse("125e-2")), "1.25");
  EXPECT_EQ(Text(Decimal::Parse("0000000000000000000000000000000000042")), "42");
  EXPECT_EQ(Text(Decimal::Parse("0.5000000000000000000000000000000000000000")), "0.5");
  EXPECT_EQ(Text(Decimal::Parse("0e999999999")), "0");
}

TEST(DecimalTest, EighteenDigitsBeforeThePointAndNineAfter) {
  EXPECT_EQ(Text(Decimal::Parse("999999999999999999.999999999")), "999999999999999999.999999999");
  EXPECT_EQ(Text(Decimal::Parse("-999999999999999999.999999999")), "-999999999999999999.999999999");
  EXPECT_EQ(Text(Decimal::Parse("1000000000000000000")), "OUT_OF_RANGE");
  EXPECT_EQ(Text(Decimal::Parse("1e18")), "OUT_OF_RANGE");
  EXPECT_EQ(Text(Decimal::Parse("1e99999999999999999999")), "OUT_OF_RANGE");
  EXPECT_EQ(Text(Decimal::Parse("99999999999999999999999999999999999999999999")), "OUT_OF_RANGE");
  EXPECT_EQ(Text(Decimal::Parse("0.0000000001")), "OUT_OF_RANGE");
  EXPECT_EQ(Text(Decimal::Parse("1e-99999999")), "OUT_OF_RANGE");
}

TEST(DecimalTest, RefusesWhatIsNoNumber) {
  for (const char* text : {"",
                           "-",
                           ".",
                           ".5",
                           "5.",
                           "1,5",
                           "1 000",
                           "0x10",
                           "NaN",
                           "Infinity",
                           "1e",
                           "1e+",
                           "--1",
                           "+1",
                           "1.2.3",
                           "12abc",
                           " 1"}) {
    EXPECT_EQ(Text(Decimal::Parse(text)), "INVALID_ARGUMENT") << text;
    EXPECT_EQ(Text(Decimal::ParseRounded(text, 2)), "INVALID_ARGUMENT") << text;
  }
  EXPECT_THAT(std::string(Decimal::Parse("abc").status().message()),
              HasSubstr("got \"abc\", want a decimal number"));
}

TEST(DecimalTest, RoundsHalfToEvenAtTheNinthPlace) {
  EXPECT_EQ(Text(Decimal::ParseRounded("12345.5", 2)), "123.455");
  EXPECT_EQ(Text(Decimal::ParseRounded("33.333333333333336", 2)), "0.333333333");
  EXPECT_EQ(Text(Decimal::ParseRounded("0.00000005", 2)), "0");
  EXPECT_EQ(Text(Decimal::ParseRounded("0.00000015", 2)), "0.000000002");
  EXPECT_EQ(Text(Decimal::ParseRounded("0.0000000500000000000000000000000000001", 2)),
            "0.000000001");
  EXPECT_EQ(Text(Decimal::ParseRounded("-0.00000015", 2)), "-0.000000002");
  EXPECT_EQ(Text(Decimal::ParseRounded("1e-400", 2)), "0");
  EXPECT_EQ(Text(Decimal::ParseRounded("9223372036854775807", 2)), "92233720368547758.07");
  EXPECT_EQ(Text(Decimal::ParseRounded("999999999999999999.9999999999", 0)), "OUT_OF_RANGE");
}

TEST(DecimalTest, ArithmeticIsExact) {
  const Decimal price = *Decimal::Parse("1899");
  EXPECT_EQ(Text(Decimal::Multiply(price, *Decimal::Parse("2.5"))), "4747.5");
  EXPECT_EQ(Text(Decimal::Multiply(*Decimal::Parse("-0.000000001"), *Decimal::Parse("0.5"))), "0");
  EXPECT_EQ(Text(Decimal::Multiply(*Decimal::Parse("0.000000003"), *Decimal::Parse("0.5"))),
            "0.000000002");
  EXPECT_EQ(Text(Decimal::Multiply(*Decimal::Parse("1e9"), *Decimal::Parse("1e9"))),
            "OUT_OF_RANGE");
  EXPECT_EQ(Text(Decimal::Multiply(*Decimal::Parse("1e9"), *Decimal::Parse("999999999"))),
            "999999999000000000");
  EXPECT_EQ(Text(Decimal::Multiply(*Decimal::Parse("999999999999999999"),
                                   *Decimal::Parse("999999999999999999"))),
            "OUT_OF_RANGE");
  EXPECT_EQ(Text(Decimal::Subtract(price, *Decimal::Parse("1899.01"))), "-0.01");
  EXPECT_EQ(Text(Decimal::Subtract(*Decimal::Parse("9e17"), *Decimal::Parse("-9e17"))),
            "OUT_OF_RANGE");
  EXPECT_EQ(Text(price.ShiftRight(2)), "18.99");
  EXPECT_EQ(Text(Decimal::Parse("0.00000001")->ShiftRight(1)), "0.000000001");
  EXPECT_EQ(Text(Decimal::Parse("0.00000001")->ShiftRight(2)), "OUT_OF_RANGE");
}

TEST(DecimalTest, MoneyHasOneSign) {
  const deal::v1::Money money = Decimal::Parse("-3.25")->ToMoney("RUB");
  EXPECT_EQ(money.currency_code(), "RUB");
  EXPECT_EQ(money.units(), -3);
  EXPECT_EQ(money.nanos(), -250'000'000);
  EXPECT_EQ(Decimal::Parse("999999999999999999.999999999")->ToMoney("").units(),
            999999999999999999);
}

TEST(PlainDecimalTest, KeepsEveryDigit) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"0", "0"},
      {"-0.00", "0"},
      {"7781203344", "7781203344"},
      {"9223372036854775807", "9223372036854775807"},
      {"123050.0", "123050"},
      {"-0.5", "-0.5"},
      {"1.50E3", "1500"},
      {"1.0E7", "10000000"},
      {"1.2345678901234567E-5", "0.000012345678901234567"},
      {"12.5e-1", "1.25"},
      {"00120", "120"},
  };
  for (const auto& [text, plain] : cases) {
    auto result = PlainDecimal(text);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(*result, plain);
  }
  EXPECT_EQ(PlainDecimal("1e399")->size(), 400u);
  EXPECT_EQ(PlainDecimal("1e500").status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(PlainDecimal("1e-500").status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(PlainDecimal("1,5").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(CurrencyCodeTest, LettersAndNumbers) {
  EXPECT_EQ(CurrencyCode("RUB"), "RUB");
  EXPECT_EQ(CurrencyCode("rub"), "RUB");
  EXPECT_EQ(CurrencyCode("RUR"), "RUB");
  EXPECT_EQ(CurrencyCode("643"), "RUB");
  EXPECT_EQ(CurrencyCode("810"), "RUB");
  EXPECT_EQ(CurrencyCode("840"), "USD");
  EXPECT_EQ(CurrencyCode("978"), "EUR");
  EXPECT_EQ(CurrencyCode("398"), "KZT");
  EXPECT_EQ(CurrencyCode("008"), "ALL");
  for (const char* garbage : {"", "RU", "руб", "XXZ", "000", "999", "RUBL", "64"}) {
    EXPECT_EQ(CurrencyCode(garbage), "") << garbage;
  }
}

}  // namespace
}  // namespace dealstream::domain
