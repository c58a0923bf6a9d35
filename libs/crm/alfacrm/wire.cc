#include "libs/crm/alfacrm/wire.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/time/civil_time.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/api/wire_text.h"

namespace dealstream::crm::alfacrm {
namespace {

constexpr size_t kLongestShown = 40;

// Takes "29.09.2025".
bool TakeDottedDay(std::string_view& text, absl::CivilDay& day) {
  constexpr size_t kSize = 10;
  if (text.size() < kSize || text[2] != '.' || text[5] != '.' ||
      !MakeDay(Digits(text, 6, 4), Digits(text, 3, 2), Digits(text, 0, 2), day)) {
    return false;
  }
  text.remove_prefix(kSize);
  return true;
}

// Takes "Z", "+03:00", "+0300" or "+03" from the end of a time of day.
void TakeOffset(std::string_view& text, absl::TimeZone& zone) {
  if (text.ends_with('Z')) {
    zone = absl::UTCTimeZone();
    text.remove_suffix(1);
    return;
  }
  const size_t sign = text.find_last_of("+-");
  if (sign == std::string_view::npos) {
    return;
  }
  const std::string_view offset = text.substr(sign + 1);
  const bool has_colon = offset.size() == 5 && offset[2] == ':';
  const int hours = Digits(offset, 0, 2);
  const int minutes = offset.size() == 2 ? 0 : Digits(offset, has_colon ? 3 : 2, 2);
  const bool has_size = offset.size() == 2 || offset.size() == 4 || has_colon;
  if (!has_size || hours < 0 || hours > 14 || minutes < 0 || minutes > 59) {
    return;
  }
  const int seconds = (hours * 60 + minutes) * 60;
  zone = absl::FixedTimeZone(text[sign] == '-' ? -seconds : seconds);
  text.remove_suffix(offset.size() + 1);
}

struct TimeOfDay {
  int hour = -1;
  int minute = -1;
  int second = -1;
};

// " 18:05:44", "T18:05", " 18:05:44.123".
TimeOfDay ParseTimeOfDay(std::string_view text) {
  if (text.size() < 6 || (text[0] != ' ' && text[0] != 'T') || text[3] != ':') {
    return {};
  }
  TimeOfDay time{Digits(text, 1, 2), Digits(text, 4, 2), 0};
  std::string_view rest = text.substr(6);
  if (rest.empty()) {
    return time;
  }
  time.second = rest[0] == ':' ? Digits(rest, 1, 2) : -1;
  rest = rest.substr(std::min<size_t>(3, rest.size()));
  const bool fraction =
      rest.size() > 1 && rest[0] == '.' && std::all_of(rest.begin() + 1, rest.end(), IsDigit);
  return rest.empty() || fraction ? time : TimeOfDay();
}

}  // namespace

std::string LeadId(int64_t customer_id) { return fmt::format("{}:{}", kLead, customer_id); }
std::string PayId(int64_t pay_id) { return fmt::format("{}:{}", kPay, pay_id); }

std::optional<int64_t> ParseId(std::string_view text) {
  int64_t number = 0;
  // 18 digits always fit.
  if (!IsNumber(text, 18) || (text.size() > 1 && text[0] == '0') ||
      !absl::SimpleAtoi(ToAbsl(text), &number)) {
    return std::nullopt;
  }
  return number;
}

std::optional<int64_t> NumberOf(std::string_view kind, std::string_view external_id) {
  // A payer bears the payment's id.
  const std::string_view prefix = kind == kPayer ? kPay : kind;
  if (external_id.size() <= prefix.size() || external_id.substr(0, prefix.size()) != prefix ||
      external_id[prefix.size()] != ':') {
    return std::nullopt;
  }
  const auto number = ParseId(external_id.substr(prefix.size() + 1));
  return number.value_or(0) > 0 ? number : std::nullopt;
}

std::optional<WireTime> ParseWireTime(std::string_view text, const absl::TimeZone& account_zone) {
  text = ToStd(absl::StripAsciiWhitespace(ToAbsl(text)));
  absl::TimeZone zone = account_zone;
  absl::CivilDay day;
  if (!TakeDay(text, day) && !TakeDottedDay(text, day)) {
    return std::nullopt;
  }
  const bool has_time = !text.empty();
  TakeOffset(text, zone);
  const TimeOfDay time = has_time ? ParseTimeOfDay(text) : TimeOfDay{0, 0, 0};
  if (time.hour < 0 || time.hour > 23 || time.minute < 0 || time.minute > 59 || time.second < 0 ||
      time.second > 59) {
    return std::nullopt;
  }
  const absl::CivilSecond civil(
      day.year(), day.month(), day.day(), time.hour, time.minute, time.second);
  return WireTime{absl::FromCivil(civil, zone), has_time};
}

std::string FormatDay(absl::Time time, const absl::TimeZone& zone) {
  const absl::CivilDay day = absl::ToCivilDay(time, zone);
  return fmt::format("{:02}.{:02}.{:04}", day.day(), day.month(), day.year());
}

std::string FormatTime(absl::Time time, const absl::TimeZone& zone) {
  const absl::CivilSecond civil = absl::ToCivilSecond(time, zone);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
                     civil.year(),
                     civil.month(),
                     civil.day(),
                     civil.hour(),
                     civil.minute(),
                     civil.second());
}

std::string EscapeJson(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      escaped += '\\';
    }
    if (static_cast<unsigned char>(c) < 0x20) {
      escaped += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      escaped += c;
    }
  }
  return escaped;
}

Result<std::optional<domain::Decimal>> ParseAmount(std::string_view text) {
  constexpr std::string_view kNoBreakSpaces[] = {"\u00a0", "\u202f", "\u2009"};
  // The common case needs no copy.
  std::string plain;
  const bool is_plain = text.find_first_of(" ,\xc2\xe2") == std::string_view::npos;
  if (!is_plain) {
    for (size_t i = 0; i < text.size();) {
      const std::string_view rest = text.substr(i);
      const auto* space = std::find_if(
          std::begin(kNoBreakSpaces), std::end(kNoBreakSpaces), [rest](std::string_view one) {
            return rest.substr(0, one.size()) == one;
          });
      if (space != std::end(kNoBreakSpaces)) {
        i += space->size();
        continue;
      }
      if (text[i] != ' ') {
        plain += text[i] == ',' ? '.' : text[i];
      }
      ++i;
    }
    text = plain;
  }
  if (text.empty()) {
    return std::nullopt;
  }
  auto parsed = domain::Decimal::ParseRounded(text, 0);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(
        fmt::format("got \"{}\", want an amount of money", text.substr(0, kLongestShown)));
  }
  return *parsed;
}

}  // namespace dealstream::crm::alfacrm
