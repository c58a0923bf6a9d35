#include "libs/crm/hollihop/wire.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include <fmt/format.h>

namespace dealstream::crm::hollihop {
namespace {

constexpr size_t kDateSize = 10;
// 0123-56-89T12:45:78
constexpr size_t kTimeSize = 19;

bool IsDigit(char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); }

// `count` digits at `at`; -1 when they are not digits.
int Digits(std::string_view text, size_t at, size_t count) {
  int value = 0;
  for (size_t i = at; i < at + count; ++i) {
    if (!IsDigit(text[i])) {
      return -1;
    }
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

// Takes ".915", of one to nine digits, from the front; false when what begins with a point is none.
bool TakeFraction(std::string_view& text, int64_t& nanos) {
  if (!text.starts_with('.')) {
    return true;
  }
  size_t size = 1;
  while (size < text.size() && IsDigit(text[size])) {
    ++size;
  }
  if (size < 2 || size > 10) {
    return false;
  }
  nanos = Digits(text, 1, size - 1);
  for (size_t places = size - 1; places < 9; ++places) {
    nanos *= 10;
  }
  text.remove_prefix(size);
  return true;
}

// "", "Z" or "+03:00".
bool ParseOffset(std::string_view text, std::optional<int>& offset) {
  if (text.empty()) {
    return true;
  }
  if (text == "Z") {
    offset = 0;
    return true;
  }
  if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':') {
    return false;
  }
  const int hours = Digits(text, 1, 2);
  const int minutes = Digits(text, 4, 2);
  if (hours < 0 || hours > 18 || minutes < 0 || minutes > 59) {
    return false;
  }
  offset = (text[0] == '-' ? -60 : 60) * (hours * 60 + minutes);
  return true;
}

}  // namespace

absl::Time LocalTime::In(const absl::TimeZone& zone) const {
  const absl::Time second =
      offset.has_value() ? absl::FromCivil(civil, absl::UTCTimeZone()) - absl::Seconds(*offset)
                         : zone.At(civil).pre;
  return second + absl::Nanoseconds(nanos);
}

int64_t LocalTime::Version() const {
  return (civil - absl::CivilSecond(1970, 1, 1)) * 1'000'000 + nanos / 1000;
}

bool ParseLocalTime(std::string_view text, LocalTime& time) {
  const bool is_date = text.size() == kDateSize;
  if ((!is_date && text.size() < kTimeSize) || text[4] != '-' || text[7] != '-' ||
      (!is_date && (text[10] != 'T' || text[13] != ':' || text[16] != ':'))) {
    return false;
  }
  const std::array<int, 6> parts = {Digits(text, 0, 4),
                                    Digits(text, 5, 2),
                                    Digits(text, 8, 2),
                                    is_date ? 0 : Digits(text, 11, 2),
                                    is_date ? 0 : Digits(text, 14, 2),
                                    is_date ? 0 : Digits(text, 17, 2)};
  if (std::any_of(parts.begin(), parts.end(), [](int part) { return part < 0; })) {
    return false;
  }
  time = LocalTime();
  time.civil = absl::CivilSecond(parts[0], parts[1], parts[2], parts[3], parts[4], parts[5]);
  // Civil times normalise themselves: the 30th of February would become March.
  if (time.civil.month() != parts[1] || time.civil.day() != parts[2] ||
      time.civil.hour() != parts[3] || time.civil.minute() != parts[4] ||
      time.civil.second() != parts[5]) {
    return false;
  }
  std::string_view rest = text.substr(is_date ? kDateSize : kTimeSize);
  return TakeFraction(rest, time.nanos) && ParseOffset(rest, time.offset);
}

std::string FormatLocalTime(absl::CivilSecond time) {
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
                     time.year(),
                     time.month(),
                     time.day(),
                     time.hour(),
                     time.minute(),
                     time.second());
}

bool IsId(std::string_view text) {
  return !text.empty() && text.size() <= 18 && std::all_of(text.begin(), text.end(), IsDigit);
}

}  // namespace dealstream::crm::hollihop
