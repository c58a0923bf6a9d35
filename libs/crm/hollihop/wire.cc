#include "libs/crm/hollihop/wire.h"

#include <fmt/format.h>

#include "libs/crm/api/wire_text.h"

namespace dealstream::crm::hollihop {
namespace {

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
  time = LocalTime();
  absl::CivilDay day;
  if (std::string_view rest = text; TakeDay(rest, day) && rest.empty()) {
    time.civil = absl::CivilSecond(day);
    return true;
  }
  return TakeSecond(text, 'T', time.civil) && TakeFraction(text, time.nanos) &&
         ParseOffset(text, time.offset);
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

bool IsId(std::string_view text) { return IsNumber(text, 18); }

}  // namespace dealstream::crm::hollihop
