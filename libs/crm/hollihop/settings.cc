#include "libs/crm/hollihop/settings.h"

#include <optional>
#include <string>

#include "libs/crm/api/settings.h"
#include "libs/crm/hollihop/text.h"

namespace dealstream::crm::hollihop {
namespace {

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
  // A value of a pure function; see the header.
  thread_local LastSettings<Settings> last;
  return last.Get(packed, [](const google::protobuf::Any& from, Settings& settings) -> Status {
    DEALSTREAM_RETURN_IF_ERROR(UnpackSettings(from, settings.values));
    return Understand(settings);
  });
}

Status CheckSettings(const v1::Settings& settings) {
  Settings understood;
  understood.values = settings;
  DEALSTREAM_RETURN_IF_ERROR(Understand(understood));
  DEALSTREAM_RETURN_IF_ERROR(CheckRegion("phone_region", settings.phone_region()));
  DEALSTREAM_RETURN_IF_ERROR(CheckCurrency("currency", settings.currency()));
  if (Trim(settings.budget_field()).empty()) {
    return BadSetting("budget_field", settings.budget_field(), "the name of a field");
  }
  if (Trim(settings.reject_reason_field()).empty()) {
    return BadSetting("reject_reason_field", settings.reject_reason_field(), "the name of a field");
  }
  return CheckRange("requests_per_second", settings.requests_per_second(), 1, 20);
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
