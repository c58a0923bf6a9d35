#include "libs/crm/newcrm/settings.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include <fmt/format.h>

#include "libs/crm/api/settings.h"

namespace dealstream::crm::newcrm {

Result<v1::Settings> SettingsInForce(const google::protobuf::Any& packed) {
  v1::Settings settings;
  DEALSTREAM_RETURN_IF_ERROR(UnpackSettings(packed, settings));
  return settings;
}

Status CheckSettings(const v1::Settings& settings) {
  const std::string& region = settings.phone_region();
  if (region.size() != 2 || !std::all_of(region.begin(), region.end(), [](char c) {
        return absl::ascii_isupper(static_cast<unsigned char>(c));
      })) {
    return absl::InvalidArgumentError(fmt::format(
        "setting phone_region: got \"{}\", want two upper-case letters such as RU", region));
  }
  const int requests = settings.requests_per_second();
  if (requests < 1 || requests > 100) {
    return absl::InvalidArgumentError(
        fmt::format("setting requests_per_second: got {}, want 1 to 100", requests));
  }
  return absl::OkStatus();
}

RateLimit LimitOf(const v1::Settings& settings) {
  RateLimit limit;
  // Source: README.md#limits, inferred.
  limit.units = settings.requests_per_second();
  limit.interval = absl::Seconds(1);
  return limit;
}

}  // namespace dealstream::crm::newcrm
