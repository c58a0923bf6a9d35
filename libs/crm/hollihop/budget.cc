#include "libs/crm/hollihop/budget.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "libs/crm/api/wire_text.h"
#include "libs/crm/hollihop/text.h"

namespace dealstream::crm::hollihop {
namespace {

// Marks in lower case, without points and blanks. Source: README.md#budget.
constexpr auto kMarks = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"₽", "RUB"},
    {"р", "RUB"},
    {"руб", "RUB"},
    {"рубль", "RUB"},
    {"рубля", "RUB"},
    {"рублей", "RUB"},
    {"₸", "KZT"},
    {"тг", "KZT"},
    {"тенге", "KZT"},
    {"сум", "UZS"},
    {"br", "BYN"},
    {"белруб", "BYN"},
});

// What numbers are grouped with.
constexpr auto kGroupMarks =
    std::to_array<std::string_view>({" ", "\u00a0", "\u202f", "\u2009", "'"});

constexpr size_t kLongest = 64;

// A number with its separators, without marks and blanks at its ends: as a JSON number's text.
// Empty when it is none, or may be read in two ways.
std::string PlainNumber(std::string_view text) {
  std::string plain;
  // The last separator, and how many there are of each.
  size_t separator = std::string::npos;
  std::array<int, 2> count{};
  while (!text.empty()) {
    const auto* group =
        std::find_if(kGroupMarks.begin(), kGroupMarks.end(), [text](std::string_view mark) {
          return text.starts_with(mark);
        });
    if (group != kGroupMarks.end()) {
      text.remove_prefix(group->size());
      continue;
    }
    const char c = text.front();
    if (c == ',' || c == '.') {
      separator = plain.size();
      ++count[c == ','];
    } else if (!IsDigit(c)) {
      return {};
    }
    plain += c;
    text.remove_prefix(1);
  }
  if (plain.empty() || !IsDigit(plain.front()) || !IsDigit(plain.back())) {
    return {};
  }
  if (separator == std::string::npos) {
    return plain;
  }
  const char last = plain[separator];
  const size_t behind = plain.size() - separator - 1;
  const bool both = count[0] > 0 && count[1] > 0;
  if (both ? count[last == ','] > 1 : count[last == ','] > 1 || behind == 3) {
    // "1.500,000.5", "1.500.000", "1,500": groups of thousands, or decimals.
    return {};
  }
  std::string number;
  for (size_t i = 0; i < plain.size(); ++i) {
    if (IsDigit(plain[i])) {
      number += plain[i];
    } else if (i == separator) {
      number += '.';
    }
  }
  return number;
}

}  // namespace

std::string_view CurrencyOfMark(std::string_view mark) {
  std::string plain = Folded(mark.substr(0, kLongest));
  std::erase_if(plain, [](char c) { return c == '.' || c == ' '; });
  const auto* found = std::find_if(
      kMarks.begin(), kMarks.end(), [&plain](const auto& one) { return one.first == plain; });
  return found != kMarks.end() ? found->second : domain::CurrencyCode(plain);
}

bool ParseSum(std::string_view text, Sum& sum) {
  text = Trim(text);
  const size_t first = text.find_first_of("0123456789");
  if (first == std::string_view::npos || text.size() > kLongest) {
    return false;
  }
  const size_t end = text.find_last_of("0123456789") + 1;
  std::string_view before = Trim(text.substr(0, first));
  const std::string_view behind = Trim(text.substr(end));
  const bool negative = before.ends_with('-') || before.starts_with('-');
  if (before.ends_with('-')) {
    before.remove_suffix(1);
  } else if (negative) {
    before.remove_prefix(1);
  }
  before = Trim(before);
  // A mark on either side, not on both.
  const std::string_view mark = before.empty() ? behind : before;
  const std::string_view currency = mark.empty() ? std::string_view() : CurrencyOfMark(mark);
  if ((!before.empty() && !behind.empty()) || (!mark.empty() && currency.empty())) {
    return false;
  }
  std::string number = PlainNumber(text.substr(first, end - first));
  if (number.empty()) {
    return false;
  }
  auto value = domain::Decimal::ParseRounded((negative ? "-" : "") + number, 0);
  if (!value.ok()) {
    return false;
  }
  sum = {*value, currency};
  return true;
}

}  // namespace dealstream::crm::hollihop
