#include "libs/crm/moysklad/wire.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/time/civil_time.h"
#include <fmt/format.h>

namespace dealstream::crm::moysklad {
namespace {

constexpr auto kMoscowNow = absl::Hours(3);

// UTC+3 without changes since 26 October 2014; before that the zone's history counts.
const absl::TimeZone& Moscow() {
  static const absl::TimeZone zone = [] {
    absl::TimeZone loaded;
    // A machine without zone data gets today's offset.
    return absl::LoadTimeZone("Europe/Moscow", &loaded) ? loaded : absl::FixedTimeZone(3 * 3600);
  }();
  return zone;
}

const absl::CivilSecond kLastChange(2014, 10, 26, 2, 0, 0);

// `count` digits at `at`; -1 when they are not digits.
int Digits(std::string_view text, size_t at, size_t count) {
  int value = 0;
  for (size_t i = at; i < at + count; ++i) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(text[i]))) {
      return -1;
    }
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

// Nanoseconds of ".915", of one to nine digits; -1 when it isn't one.
int64_t Fraction(std::string_view text) {
  if (text.empty()) {
    return 0;
  }
  if (text.front() != '.' || text.size() < 2 || text.size() > 10) {
    return -1;
  }
  int64_t nanos = Digits(text, 1, text.size() - 1);
  for (size_t places = text.size() - 1; places < 9 && nanos >= 0; ++places) {
    nanos *= 10;
  }
  return nanos;
}

}  // namespace

std::string_view IdOfHref(std::string_view href) {
  href = href.substr(0, href.find_first_of("?#"));
  return href.substr(href.find_last_of('/') + 1);
}

bool IsUuid(std::string_view text) {
  if (text.size() != 36) {
    return false;
  }
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !absl::ascii_isxdigit(static_cast<unsigned char>(text[i]))) {
      return false;
    }
  }
  return true;
}

bool ParseMoscowTime(std::string_view text, absl::Time& time) {
  // 0123-56-89 12:45:78
  constexpr size_t kSeconds = 19;
  if (text.size() < kSeconds || text[4] != '-' || text[7] != '-' || text[10] != ' ' ||
      text[13] != ':' || text[16] != ':') {
    return false;
  }
  const std::array<int, 6> parts = {Digits(text, 0, 4),
                                    Digits(text, 5, 2),
                                    Digits(text, 8, 2),
                                    Digits(text, 11, 2),
                                    Digits(text, 14, 2),
                                    Digits(text, 17, 2)};
  const int64_t nanos = Fraction(text.substr(kSeconds));
  if (nanos < 0 || std::any_of(parts.begin(), parts.end(), [](int part) { return part < 0; })) {
    return false;
  }
  const absl::CivilSecond civil(parts[0], parts[1], parts[2], parts[3], parts[4], parts[5]);
  // Civil times normalise themselves: the 30th of February would become March.
  if (civil.month() != parts[1] || civil.day() != parts[2] || civil.hour() != parts[3] ||
      civil.minute() != parts[4] || civil.second() != parts[5]) {
    return false;
  }
  time = civil >= kLastChange
             ? absl::FromUnixSeconds(civil - absl::CivilSecond(1970, 1, 1)) - kMoscowNow
             : absl::FromCivil(civil, Moscow());
  time += absl::Nanoseconds(nanos);
  return true;
}

std::string FormatMoscowTime(absl::Time time) {
  const absl::TimeZone::CivilInfo info = Moscow().At(time);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:03}",
                     info.cs.year(),
                     info.cs.month(),
                     info.cs.day(),
                     info.cs.hour(),
                     info.cs.minute(),
                     info.cs.second(),
                     absl::ToInt64Milliseconds(info.subsecond));
}

}  // namespace dealstream::crm::moysklad
