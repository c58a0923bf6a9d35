#include "libs/crm/api/wire_text.h"

#include <algorithm>

namespace dealstream::crm {

bool IsNumber(std::string_view text, size_t most) {
  return !text.empty() && text.size() <= most && std::all_of(text.begin(), text.end(), IsDigit);
}

int Digits(std::string_view text, size_t at, size_t count) {
  if (at + count > text.size()) {
    return -1;
  }
  int value = 0;
  for (size_t i = at; i < at + count; ++i) {
    if (!IsDigit(text[i])) {
      return -1;
    }
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

bool MakeDay(int year, int month, int day, absl::CivilDay& made) {
  if (year < 1 || year > 9999 || month < 1 || day < 1) {
    return false;
  }
  const absl::CivilDay found(year, month, day);
  // Civil times normalise themselves: the 30th of February would become March.
  if (found.month() != month || found.day() != day) {
    return false;
  }
  made = found;
  return true;
}

bool TakeDay(std::string_view& text, absl::CivilDay& day) {
  // 0123-56-89
  constexpr size_t kSize = 10;
  if (text.size() < kSize || text[4] != '-' || text[7] != '-' ||
      !MakeDay(Digits(text, 0, 4), Digits(text, 5, 2), Digits(text, 8, 2), day)) {
    return false;
  }
  text.remove_prefix(kSize);
  return true;
}

bool TakeSecond(std::string_view& text, char between, absl::CivilSecond& second) {
  // X12:45:78
  constexpr size_t kSize = 9;
  std::string_view rest = text;
  absl::CivilDay day;
  if (!TakeDay(rest, day) || rest.size() < kSize || rest[0] != between || rest[3] != ':' ||
      rest[6] != ':') {
    return false;
  }
  const int hours = Digits(rest, 1, 2);
  const int minutes = Digits(rest, 4, 2);
  const int seconds = Digits(rest, 7, 2);
  if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59 || seconds < 0 || seconds > 59) {
    return false;
  }
  second = absl::CivilSecond(day.year(), day.month(), day.day(), hours, minutes, seconds);
  text = rest.substr(kSize);
  return true;
}

bool TakeFraction(std::string_view& text, int64_t& nanos) {
  constexpr size_t kPlaces = 9;
  if (!text.starts_with('.')) {
    return true;
  }
  const size_t end =
      static_cast<size_t>(std::find_if_not(text.begin() + 1, text.end(), IsDigit) - text.begin());
  if (end < 2 || end > kPlaces + 1) {
    return false;
  }
  nanos = Digits(text, 1, end - 1);
  for (size_t places = end - 1; places < kPlaces; ++places) {
    nanos *= 10;
  }
  text.remove_prefix(end);
  return true;
}

}  // namespace dealstream::crm
