#include "libs/crm/moysklad/wire.h"

#include "absl/strings/ascii.h"
#include "absl/time/civil_time.h"
#include <fmt/format.h>

#include "libs/crm/api/settings.h"
#include "libs/crm/api/wire_text.h"

namespace dealstream::crm::moysklad {
namespace {

constexpr auto kMoscowNow = absl::Hours(3);

// UTC+3 without changes since 26 October 2014; before that the zone's history counts.
const absl::TimeZone& Moscow() {
  static const absl::TimeZone zone = *LoadZone("time_zone", "Europe/Moscow");
  return zone;
}

const absl::CivilSecond kLastChange(2014, 10, 26, 2, 0, 0);

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
  absl::CivilSecond civil;
  int64_t nanos = 0;
  if (!TakeSecond(text, ' ', civil) || !TakeFraction(text, nanos) || !text.empty()) {
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
