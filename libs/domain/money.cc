#include "libs/domain/money.h"

#include <algorithm>
#include <array>
#include <limits>

#include "absl/strings/ascii.h"
#include <fmt/format.h>

namespace dealstream::domain {
namespace {

using Wide = unsigned __int128;

constexpr int kPlaces = 9;
constexpr Wide kOne = 1'000'000'000;
constexpr uint64_t kHalf = 500'000'000;
// First magnitude, in nanos, that is too large: 10^18 units.
constexpr Wide kLimit = kOne * kOne * kOne;
// Digits kept while reading: those of the largest value, and one to round by. Those behind it only
// tell whether anything but zeros follows.
constexpr int kKeptDigits = 28;

// Long texts are cut: they come from outside and end in messages.
std::string Shown(std::string_view text) {
  return text.size() <= 40 ? std::string(text) : fmt::format("{}...", text.substr(0, 40));
}

Status BadNumber(std::string_view text) {
  return absl::InvalidArgumentError(fmt::format("got \"{}\", want a decimal number", Shown(text)));
}

Status TooLarge(std::string_view text) {
  return absl::OutOfRangeError(
      fmt::format("got {}, want a number of at most 18 digits before the point", Shown(text)));
}

// "+12", "-3": digits behind an optional sign; beyond a million it makes no difference any more.
int ParseExponent(std::string_view text) {
  const bool negative = !text.empty() && text.front() == '-';
  int value = 0;
  for (char c : text) {
    if (absl::ascii_isdigit(c)) {
      value = std::min(value * 10 + (c - '0'), 1'000'000);
    }
  }
  return negative ? -value : value;
}

// A number as written: digits x 10^exponent, with what follows the kept digits.
struct Scanned {
  bool negative = false;
  Wide digits = 0;
  int exponent = 0;
  // Something other than zeros was left out behind `digits`.
  bool tail = false;
};

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  // False: not a number.
  bool Scan(Scanned& out) {
    out.negative = Take('-');
    if (!ScanDigits(/*fraction=*/false, out)) {
      return false;
    }
    if (Take('.') && !ScanDigits(/*fraction=*/true, out)) {
      return false;
    }
    if ((Take('e') || Take('E')) && !ScanExponent(out)) {
      return false;
    }
    return at_ == text_.size();
  }

 private:
  bool Take(char c) {
    if (at_ < text_.size() && text_[at_] == c) {
      ++at_;
      return true;
    }
    return false;
  }

  bool ScanDigits(bool fraction, Scanned& out) {
    const size_t begin = at_;
    for (; at_ < text_.size() && absl::ascii_isdigit(text_[at_]); ++at_) {
      const auto digit = static_cast<unsigned>(text_[at_] - '0');
      if (kept_ < kKeptDigits) {
        out.digits = out.digits * 10 + digit;
        kept_ += out.digits != 0 ? 1 : 0;
        out.exponent -= fraction ? 1 : 0;
      } else {
        out.tail |= digit != 0;
        out.exponent += fraction ? 0 : 1;
      }
    }
    return at_ > begin;
  }

  bool ScanExponent(Scanned& out) {
    const size_t begin = at_;
    if (!Take('-')) {
      Take('+');
    }
    const size_t digits = at_;
    while (at_ < text_.size() && absl::ascii_isdigit(text_[at_])) {
      ++at_;
    }
    out.exponent += ParseExponent(text_.substr(begin, at_ - begin));
    return at_ > digits;
  }

  std::string_view text_;
  size_t at_ = 0;
  int kept_ = 0;
};

constexpr auto kPowersOfTen = [] {
  std::array<Wide, kKeptDigits + 1> powers{};
  powers[0] = 1;
  for (size_t i = 1; i < powers.size(); ++i) {
    powers[i] = powers[i - 1] * 10;
  }
  return powers;
}();

// `exponent`: 0..kKeptDigits.
Wide PowerOfTen(int exponent) { return kPowersOfTen[static_cast<size_t>(exponent)]; }

// Whole units and billionths. Nearly all numbers are of 64 bits, whose division is far cheaper.
struct Split {
  Wide whole;
  uint64_t part;
};
Split SplitNanos(Wide nanos) {
  constexpr auto kOne64 = static_cast<uint64_t>(kOne);
  if (nanos <= std::numeric_limits<uint64_t>::max()) {
    const auto narrow = static_cast<uint64_t>(nanos);
    return {narrow / kOne64, narrow % kOne64};
  }
  return {nanos / kOne, static_cast<uint64_t>(nanos % kOne)};
}

// value / divisor, half to even; `tail`: the value is a little larger than written.
Wide DivideHalfEven(Wide value, Wide divisor, bool tail) {
  const Wide quotient = value / divisor;
  const Wide twice = (value % divisor) * 2;
  const bool up = twice > divisor || (twice == divisor && (tail || quotient % 2 == 1));
  return quotient + (up ? 1 : 0);
}

struct Nanos {
  Wide magnitude = 0;
  bool exact = true;
};

// Scanned digits as nanos of the number divided by 10^shift.
Result<Nanos> Scale(const Scanned& number, int shift, std::string_view text) {
  if (number.digits == 0) {
    return Nanos{};
  }
  const int exponent = number.exponent + kPlaces - shift;
  if (exponent > kKeptDigits) {
    return TooLarge(text);
  }
  Nanos nanos;
  if (exponent >= 0) {
    // digits >= 1, so digits x 10^exponent can pass the limit only when either does; below both,
    // the product stays under 2^128.
    const Wide power = PowerOfTen(exponent);
    if (number.digits >= kLimit || power > kLimit || number.digits > kLimit / power) {
      return TooLarge(text);
    }
    nanos.magnitude = number.digits * power;
    nanos.exact = !number.tail;
  } else if (exponent < -kKeptDigits) {
    nanos.exact = false;
  } else {
    const Wide divisor = PowerOfTen(-exponent);
    nanos.magnitude = DivideHalfEven(number.digits, divisor, number.tail);
    nanos.exact = !number.tail && number.digits % divisor == 0;
  }
  if (nanos.magnitude >= kLimit) {
    return TooLarge(text);
  }
  return nanos;
}

__int128 Signed(Wide magnitude, bool negative) {
  const auto value = static_cast<__int128>(magnitude);
  return negative ? -value : value;
}

Wide Magnitude(__int128 value) {
  return value < 0 ? Wide{0} - static_cast<Wide>(value) : static_cast<Wide>(value);
}

struct Currency {
  int number;
  std::string_view code;
};

// ISO 4217 list one, and the codes that the CRMs' directories still hold: 810 (RUR).
constexpr auto kCurrencies = std::to_array<Currency>({
    {8, "ALL"},   {12, "DZD"},  {32, "ARS"},  {36, "AUD"},  {44, "BSD"},  {48, "BHD"},
    {50, "BDT"},  {51, "AMD"},  {52, "BBD"},  {60, "BMD"},  {64, "BTN"},  {68, "BOB"},
    {72, "BWP"},  {84, "BZD"},  {90, "SBD"},  {96, "BND"},  {104, "MMK"}, {108, "BIF"},
    {116, "KHR"}, {124, "CAD"}, {132, "CVE"}, {136, "KYD"}, {144, "LKR"}, {152, "CLP"},
    {156, "CNY"}, {170, "COP"}, {174, "KMF"}, {188, "CRC"}, {191, "HRK"}, {192, "CUP"},
    {203, "CZK"}, {208, "DKK"}, {214, "DOP"}, {222, "SVC"}, {230, "ETB"}, {232, "ERN"},
    {238, "FKP"}, {242, "FJD"}, {262, "DJF"}, {270, "GMD"}, {292, "GIP"}, {320, "GTQ"},
    {324, "GNF"}, {328, "GYD"}, {332, "HTG"}, {340, "HNL"}, {344, "HKD"}, {348, "HUF"},
    {352, "ISK"}, {356, "INR"}, {360, "IDR"}, {364, "IRR"}, {368, "IQD"}, {376, "ILS"},
    {388, "JMD"}, {392, "JPY"}, {398, "KZT"}, {400, "JOD"}, {404, "KES"}, {408, "KPW"},
    {410, "KRW"}, {414, "KWD"}, {417, "KGS"}, {418, "LAK"}, {422, "LBP"}, {426, "LSL"},
    {430, "LRD"}, {434, "LYD"}, {446, "MOP"}, {454, "MWK"}, {458, "MYR"}, {462, "MVR"},
    {480, "MUR"}, {484, "MXN"}, {496, "MNT"}, {498, "MDL"}, {504, "MAD"}, {512, "OMR"},
    {516, "NAD"}, {524, "NPR"}, {532, "ANG"}, {533, "AWG"}, {548, "VUV"}, {554, "NZD"},
    {558, "NIO"}, {566, "NGN"}, {578, "NOK"}, {586, "PKR"}, {590, "PAB"}, {598, "PGK"},
    {600, "PYG"}, {604, "PEN"}, {608, "PHP"}, {634, "QAR"}, {643, "RUB"}, {646, "RWF"},
    {654, "SHP"}, {682, "SAR"}, {690, "SCR"}, {702, "SGD"}, {704, "VND"}, {706, "SOS"},
    {710, "ZAR"}, {728, "SSP"}, {748, "SZL"}, {752, "SEK"}, {756, "CHF"}, {760, "SYP"},
    {764, "THB"}, {776, "TOP"}, {780, "TTD"}, {784, "AED"}, {788, "TND"}, {800, "UGX"},
    {807, "MKD"}, {810, "RUB"}, {818, "EGP"}, {826, "GBP"}, {834, "TZS"}, {840, "USD"},
    {858, "UYU"}, {860, "UZS"}, {882, "WST"}, {886, "YER"}, {901, "TWD"}, {925, "SLE"},
    {928, "VES"}, {929, "MRU"}, {930, "STN"}, {933, "BYN"}, {934, "TMT"}, {936, "GHS"},
    {938, "SDG"}, {941, "RSD"}, {943, "MZN"}, {944, "AZN"}, {946, "RON"}, {949, "TRY"},
    {950, "XAF"}, {951, "XCD"}, {952, "XOF"}, {953, "XPF"}, {967, "ZMW"}, {968, "SRD"},
    {969, "MGA"}, {971, "AFN"}, {972, "TJS"}, {973, "AOA"}, {975, "BGN"}, {976, "CDF"},
    {977, "BAM"}, {978, "EUR"}, {980, "UAH"}, {981, "GEL"}, {985, "PLN"}, {986, "BRL"},
});

}  // namespace

Result<Decimal> Decimal::Parse(std::string_view text) {
  Scanned number;
  if (!Scanner(text).Scan(number)) {
    return BadNumber(text);
  }
  DEALSTREAM_ASSIGN_OR_RETURN(const Nanos nanos, Scale(number, 0, text));
  if (!nanos.exact) {
    return absl::OutOfRangeError(
        fmt::format("got {}, want a number of at most 9 digits after the point", Shown(text)));
  }
  return FromNanos(Signed(nanos.magnitude, number.negative));
}

Result<Decimal> Decimal::ParseRounded(std::string_view text, int shift_right) {
  Scanned number;
  if (!Scanner(text).Scan(number)) {
    return BadNumber(text);
  }
  DEALSTREAM_ASSIGN_OR_RETURN(const Nanos nanos, Scale(number, shift_right, text));
  return FromNanos(Signed(nanos.magnitude, number.negative));
}

Result<Decimal> Decimal::ShiftRight(int places) const {
  const auto divisor = static_cast<__int128>(PowerOfTen(std::clamp(places, 0, kKeptDigits)));
  if (nanos_ % divisor != 0) {
    return absl::OutOfRangeError(fmt::format(
        "got {} / 10^{}, want a number of at most 9 digits after the point", ToText(), places));
  }
  return Decimal(nanos_ / divisor);
}

Result<Decimal> Decimal::Multiply(const Decimal& a, const Decimal& b) {
  // With each factor as whole x 10^9 + part, all products but part x part are whole nanos.
  const Split x = SplitNanos(Magnitude(a.nanos_));
  const Split y = SplitNanos(Magnitude(b.nanos_));
  const Wide whole = x.whole * y.whole;
  if (whole < kOne * kOne) {
    // Both parts are below 10^9.
    const Split parts = SplitNanos(Wide{x.part} * y.part);
    const bool up = parts.part > kHalf || (parts.part == kHalf && parts.whole % 2 == 1);
    const Wide product =
        whole * kOne + x.whole * y.part + x.part * y.whole + parts.whole + (up ? 1 : 0);
    if (product < kLimit) {
      return Decimal(Signed(product, (a.nanos_ < 0) != (b.nanos_ < 0)));
    }
  }
  return absl::OutOfRangeError(
      fmt::format("got {} x {}, want a product below 10^18", a.ToText(), b.ToText()));
}

Result<Decimal> Decimal::Subtract(const Decimal& a, const Decimal& b) {
  const __int128 difference = a.nanos_ - b.nanos_;
  if (Magnitude(difference) >= kLimit) {
    return absl::OutOfRangeError(
        fmt::format("got {} - {}, want a difference below 10^18", a.ToText(), b.ToText()));
  }
  return Decimal(difference);
}

std::string Decimal::ToText() const {
  const Split split = SplitNanos(Magnitude(nanos_));
  const auto whole = static_cast<uint64_t>(split.whole);
  auto part = static_cast<uint32_t>(split.part);
  std::string text = nanos_ < 0 ? "-" : "";
  text += fmt::format_int(whole).c_str();
  if (part != 0) {
    std::array<char, kPlaces> digits{};
    for (size_t i = kPlaces; i-- > 0; part /= 10) {
      digits[i] = static_cast<char>('0' + part % 10);
    }
    size_t size = kPlaces;
    while (digits[size - 1] == '0') {
      --size;
    }
    text += '.';
    text.append(digits.data(), size);
  }
  return text;
}

void Decimal::ToMoney(std::string_view currency_code, deal::v1::Money& money) const {
  money.set_currency_code(currency_code.data(), currency_code.size());
  const Split split = SplitNanos(Magnitude(nanos_));
  const auto units = static_cast<int64_t>(split.whole);
  const auto nanos = static_cast<int32_t>(split.part);
  money.set_units(nanos_ < 0 ? -units : units);
  money.set_nanos(nanos_ < 0 ? -nanos : nanos);
}

deal::v1::Money Decimal::ToMoney(std::string_view currency_code) const {
  deal::v1::Money money;
  ToMoney(currency_code, money);
  return money;
}

Result<std::string> PlainDecimal(std::string_view text) {
  Scanned number;
  if (!Scanner(text).Scan(number)) {
    return BadNumber(text);
  }
  constexpr int64_t kLongest = 400;
  // The digits as they are written, and how many of them stand before the point.
  std::string digits;
  int64_t point = 0;
  const size_t end = std::min(text.find_first_of("eE"), text.size());
  bool fraction = false;
  for (char c : text.substr(0, end)) {
    if (c == '.') {
      fraction = true;
    } else if (c != '-') {
      digits += c;
      point += fraction ? 0 : 1;
    }
  }
  if (end < text.size()) {
    point += ParseExponent(text.substr(end + 1));
  }
  const size_t first = std::min(digits.find_first_not_of('0'), digits.size());
  digits.erase(0, first);
  point -= static_cast<int64_t>(first);
  digits.erase(digits.find_last_not_of('0') + 1);
  if (digits.empty()) {
    return std::string("0");
  }
  const auto size = static_cast<int64_t>(digits.size());
  if (std::max(size, point) - std::min<int64_t>(point, 0) > kLongest) {
    return absl::OutOfRangeError(
        fmt::format("got {}, want a number of at most {} digits", Shown(text), kLongest));
  }
  if (point > size) {
    digits.append(static_cast<size_t>(point - size), '0');
  } else if (point <= 0) {
    digits.insert(0, "0." + std::string(static_cast<size_t>(-point), '0'));
  } else if (point < size) {
    digits.insert(static_cast<size_t>(point), ".");
  }
  return (text.front() == '-' ? "-" : "") + digits;
}

std::string_view CurrencyCode(std::string_view iso_or_numeric) {
  if (iso_or_numeric.size() != 3) {
    return {};
  }
  std::array<char, 3> upper{};
  std::transform(iso_or_numeric.begin(), iso_or_numeric.end(), upper.begin(), [](char c) {
    return absl::ascii_toupper(static_cast<unsigned char>(c));
  });
  const std::string_view code(upper.data(), upper.size());
  if (code == "RUB" || code == "RUR") {
    return "RUB";
  }
  if (std::all_of(code.begin(), code.end(), [](char c) { return absl::ascii_isdigit(c); })) {
    const int number = (code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0');
    const auto* found = std::lower_bound(
        kCurrencies.begin(), kCurrencies.end(), number, [](const Currency& currency, int wanted) {
          return currency.number < wanted;
        });
    return found != kCurrencies.end() && found->number == number ? found->code : std::string_view();
  }
  const auto* found =
      std::find_if(kCurrencies.begin(), kCurrencies.end(), [code](const Currency& currency) {
        return currency.code == code;
      });
  return found != kCurrencies.end() ? found->code : std::string_view();
}

}  // namespace dealstream::domain
