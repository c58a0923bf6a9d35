#include "libs/crm/hollihop/settings.h"

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include <fmt/format.h>

#include "libs/crm/api/settings.h"
#include "libs/crm/hollihop/text.h"
#include "libs/domain/money.h"

namespace dealstream::crm::hollihop {
namespace {

bool IsUpperCase(std::string_view text, size_t size) {
  return text.size() == size && std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isupper(static_cast<unsigned char>(c));
         });
}

std::optional<deal::v1::StageKind> KindOf(std::string_view word) {
  if (word == "open") {
    return deal::v1::STAGE_KIND_OPEN;
  }
  if (word == "won") {
    return deal::v1::STAGE_KIND_WON;
  }
  return word == "lost" ? std::optional(deal::v1::STAGE_KIND_LOST) : std::nullopt;
}

// Everything that a value must be understood for; CheckSettings and SettingsInForce agree.
Status Understand(Settings& settings) {
  const v1::Settings& values = settings.values;
  DEALSTREAM_ASSIGN_OR_RETURN(settings.zone, LoadZone("time_zone", values.time_zone()));
  settings.stage_kinds.clear();
  for (const std::string& text : values.stage_kinds()) {
    const size_t colon = text.find(':');
    const auto kind = colon == std::string::npos ? std::nullopt : KindOf(text.substr(colon + 1));
    if (!kind.has_value() || colon == 0) {
      return BadSetting("stage_kinds", text, "id:open, id:won or id:lost");
    }
    settings.stage_kinds.emplace_back(text.substr(0, colon), *kind);
  }
  return absl::OkStatus();
}

}  // namespace

Result<const Settings*> SettingsInForce(const google::protobuf::Any& packed) {
  struct Last {
    bool filled = false;
    std::string type_url;
    std::string value;
    Settings settings;
  };
  // A value of a pure function; see the header.
  thread_local Last last;
  if (!last.filled || last.value != packed.value() || last.type_url != packed.type_url()) {
    last.filled = false;
    DEALSTREAM_RETURN_IF_ERROR(UnpackSettings(packed, last.settings.values));
    DEALSTREAM_RETURN_IF_ERROR(Understand(last.settings));
    last.type_url = packed.type_url();
    last.value = packed.value();
    last.filled = true;
  }
  return &last.settings;
}

Status CheckSettings(const v1::Settings& settings) {
  Settings understood;
  understood.values = settings;
  DEALSTREAM_RETURN_IF_ERROR(Understand(understood));
  if (!IsUpperCase(settings.phone_region(), 2)) {
    return BadSetting("phone_region", settings.phone_region(), "two upper-case letters such as RU");
  }
  if (!IsUpperCase(settings.currency(), 3) ||
      domain::CurrencyCode(settings.currency()) != settings.currency()) {
    return BadSetting("currency", settings.currency(), "an ISO 4217 code such as RUB");
  }
  if (Trim(settings.budget_field()).empty()) {
    return BadSetting("budget_field", settings.budget_field(), "the name of a field");
  }
  if (Trim(settings.reject_reason_field()).empty()) {
    return BadSetting("reject_reason_field", settings.reject_reason_field(), "the name of a field");
  }
  if (settings.requests_per_second() < 1 || settings.requests_per_second() > 20) {
    return absl::InvalidArgumentError(fmt::format(
        "setting requests_per_second: got {}, want 1 to 20", settings.requests_per_second()));
  }
  return absl::OkStatus();
}

RateLimit LimitOf(const v1::Settings& settings) {
  RateLimit limit;
  // The CRM allows 600 calls in 30 s and may block an account that goes on beyond
  // (README.md#limits): by default half of that, and no burst of more than two seconds' worth.
  limit.interval = absl::Seconds(2);
  limit.units = 2.0 * settings.requests_per_second();
  return limit;
}

}  // namespace dealstream::crm::hollihop
