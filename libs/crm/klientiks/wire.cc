#include "libs/crm/klientiks/wire.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "libs/crm/api/wire_text.h"

namespace dealstream::crm::klientiks {
namespace {

// Two independent public clients list these eight; labels are ours. Source: README.md#statuses.
constexpr auto kStatuses = std::to_array<StatusInfo>({
    {"scheduled", "Запланирован", deal::v1::STAGE_KIND_OPEN},
    {"sms_confirmation_sent", "Отправлено SMS-подтверждение", deal::v1::STAGE_KIND_OPEN},
    {"confirmed", "Подтверждён", deal::v1::STAGE_KIND_OPEN},
    {"in_progress", "В процессе", deal::v1::STAGE_KIND_OPEN},
    {"finished", "Завершён", deal::v1::STAGE_KIND_WON},
    {"cancelled", "Отменён", deal::v1::STAGE_KIND_LOST},
    {"cancelled_by_sms", "Отменён по SMS", deal::v1::STAGE_KIND_LOST},
    {"missed", "Пропущен", deal::v1::STAGE_KIND_LOST},
});

// U+00A0 and U+202F.
constexpr std::string_view kNoBreakSpace = "\u00a0";
constexpr std::string_view kNarrowNoBreakSpace = "\u202f";
constexpr std::string_view kSpaces = " \t\r\n";

}  // namespace

bool IsId(std::string_view text) { return IsNumber(text, 18) && text.front() != '0'; }

std::string_view Trim(std::string_view text) {
  // Nearly all texts have nothing to be trimmed: no byte there that a space begins or ends with.
  const auto is_plain = [](char c) { return c > ' ' && c < 0x7f; };
  if (text.empty() || (is_plain(text.front()) && is_plain(text.back()))) {
    return text;
  }
  const auto strip = [&text](std::string_view space) {
    if (text.starts_with(space)) {
      text.remove_prefix(space.size());
      return true;
    }
    if (text.ends_with(space)) {
      text.remove_suffix(space.size());
      return true;
    }
    return false;
  };
  while (!text.empty()) {
    if (kSpaces.find(text.front()) != std::string_view::npos) {
      text.remove_prefix(1);
    } else if (kSpaces.find(text.back()) != std::string_view::npos) {
      text.remove_suffix(1);
    } else if (!strip(kNoBreakSpace) && !strip(kNarrowNoBreakSpace)) {
      break;
    }
  }
  return text;
}

const StatusInfo* FindStatus(std::string_view value) {
  const auto* found = std::find_if(kStatuses.begin(), kStatuses.end(), [value](const auto& known) {
    return known.value == value;
  });
  return found == kStatuses.end() ? nullptr : found;
}

bool ParseTime(std::string_view text, const absl::TimeZone& zone, absl::Time& time) {
  absl::CivilSecond civil;
  int64_t nanos = 0;
  if (!TakeSecond(text, ' ', civil) || !TakeFraction(text, nanos) || !text.empty()) {
    return false;
  }
  time = absl::FromCivil(civil, zone) + absl::Nanoseconds(nanos);
  return true;
}

bool IsNoTime(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return c == '0' || c == '-' || c == ':' || c == '.' || c == ' ';
  });
}

std::string FormatDay(absl::CivilDay day) {
  return fmt::format("{:04}-{:02}-{:02}", day.year(), day.month(), day.day());
}

bool ParseDay(std::string_view text, absl::CivilDay& day) {
  return TakeDay(text, day) && text.empty();
}

bool ParseMoney(std::string_view text, domain::Decimal& money) {
  constexpr size_t kLongest = 64;
  text = Trim(text);
  if (text.empty() || text.size() > kLongest) {
    return false;
  }
  std::string plain;
  while (!text.empty()) {
    if (text.front() == ' ') {
      text.remove_prefix(1);
    } else if (text.starts_with(kNoBreakSpace)) {
      text.remove_prefix(kNoBreakSpace.size());
    } else if (text.starts_with(kNarrowNoBreakSpace)) {
      text.remove_prefix(kNarrowNoBreakSpace.size());
    } else {
      plain += text.front() == ',' ? '.' : text.front();
      text.remove_prefix(1);
    }
  }
  auto parsed = domain::Decimal::ParseRounded(plain, 0);
  if (!parsed.ok()) {
    return false;
  }
  money = *parsed;
  return true;
}

domain::Decimal RoundToHundredths(const domain::Decimal& value) {
  constexpr int64_t kHundredth = 10'000'000;
  const bool negative = value.nanos() < 0;
  const __int128 magnitude = negative ? -value.nanos() : value.nanos();
  __int128 hundredths = magnitude / kHundredth;
  const __int128 twice = magnitude % kHundredth * 2;
  if (twice > kHundredth || (twice == kHundredth && hundredths % 2 == 1)) {
    ++hundredths;
  }
  const __int128 rounded = hundredths * kHundredth;
  return domain::Decimal::FromNanos(negative ? -rounded : rounded);
}

std::string_view WithoutPhpNotices(std::string_view body) {
  static constexpr auto kBeginnings = std::to_array<std::string_view>({"Notice:",
                                                                       "Warning:",
                                                                       "Deprecated:",
                                                                       "<b>Notice</b>",
                                                                       "<b>Warning</b>",
                                                                       "<b>Deprecated</b>"});
  std::string_view rest = body;
  const auto skip = [&rest](std::string_view what) {
    const bool there = rest.starts_with(what);
    rest.remove_prefix(there ? what.size() : 0);
    return there;
  };
  do {
    rest = rest.substr(std::min(rest.size(), rest.find_first_not_of(kSpaces)));
  } while (skip("<br />") || skip("<br>"));
  if (std::none_of(kBeginnings.begin(), kBeginnings.end(), [rest](std::string_view beginning) {
        return rest.starts_with(beginning);
      })) {
    return body;
  }
  // Their texts have no such pair of characters.
  const size_t begin = rest.find("{\"");
  return begin == std::string_view::npos ? body : rest.substr(begin);
}

}  // namespace dealstream::crm::klientiks
