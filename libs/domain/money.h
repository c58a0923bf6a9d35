#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "dealstream/deal/v1/deal.pb.h"
#include "libs/base/status.h"

namespace dealstream::domain {

// Exact decimal numbers as the CRMs write them ("395810.0", "1e3", "-12.5"). No binary float
// anywhere. A value holds up to 18 digits before the point and 9 after; more is OutOfRange.
class Decimal {
 public:
  Decimal() = default;
  // The value is (units * 10^9 + nanos) / 10^9.
  static Decimal FromNanos(__int128 nanos) { return Decimal(nanos); }
  // InvalidArgument: what was found, "want a decimal number". Accepts a JSON number's text and,
  // where digits are beyond the ninth place, only zeros there.
  static Result<Decimal> Parse(std::string_view text);

  // The number divided by 10^shift_right, rounded half to even at the ninth place: for what a CRM
  // computes in binary floats itself and writes with 17 digits ("33.333333333333336").
  static Result<Decimal> ParseRounded(std::string_view text, int shift_right);

  // Divided by 10^places, exact; OutOfRange when digits would be lost.
  Result<Decimal> ShiftRight(int places) const;
  // Exact where representable, else rounded half to even at the ninth place. OutOfRange on
  // overflow.
  static Result<Decimal> Multiply(const Decimal& a, const Decimal& b);
  static Result<Decimal> Subtract(const Decimal& a, const Decimal& b);

  // Shortest text: "2", "0.25", "-12.5".
  std::string ToText() const;
  deal::v1::Money ToMoney(std::string_view currency_code) const;
  // The same, into a message that is used again.
  void ToMoney(std::string_view currency_code, deal::v1::Money& money) const;
  __int128 nanos() const { return nanos_; }
  auto operator<=>(const Decimal&) const = default;

 private:
  explicit Decimal(__int128 nanos) : nanos_(nanos) {}
  __int128 nanos_ = 0;
};

// A JSON number's text without exponent, superfluous zeros and "-0", exact and of any length:
// "1.50E3" -> "1500". OutOfRange when it would have more than 400 digits, InvalidArgument as Parse.
Result<std::string> PlainDecimal(std::string_view text);

// ISO 4217 alphabetic code from what a CRM gives: "rub" -> "RUB", "RUR" -> "RUB", numeric "643" ->
// "RUB". Empty when it is neither. The text lives as long as the process.
std::string_view CurrencyCode(std::string_view iso_or_numeric);

}  // namespace dealstream::domain
