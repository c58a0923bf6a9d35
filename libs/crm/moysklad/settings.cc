#include "libs/crm/moysklad/settings.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include <fmt/format.h>

#include "libs/crm/api/settings.h"

namespace dealstream::crm::moysklad {
namespace {

Status CheckRange(std::string_view key, int value, int lowest, int highest) {
  if (value < lowest || value > highest) {
    return absl::InvalidArgumentError(
        fmt::format("setting {}: got {}, want {} to {}", key, value, lowest, highest));
  }
  return absl::OkStatus();
}

}  // namespace

Result<const v1::Settings*> SettingsInForce(const google::protobuf::Any& packed) {
  struct Last {
    bool filled = false;
    std::string type_url;
    std::string value;
    v1::Settings settings;
  };
  // A value of a pure function; see the header.
  thread_local Last last;
  if (!last.filled || last.value != packed.value() || last.type_url != packed.type_url()) {
    last.filled = false;
    DEALSTREAM_RETURN_IF_ERROR(UnpackSettings(packed, last.settings));
    last.type_url = packed.type_url();
    last.value = packed.value();
    last.filled = true;
  }
  return &last.settings;
}

Status CheckSettings(const v1::Settings& settings) {
  const std::string& region = settings.phone_region();
  if (region.size() != 2 || !std::all_of(region.begin(), region.end(), [](char c) {
        return absl::ascii_isupper(static_cast<unsigned char>(c));
      })) {
    return absl::InvalidArgumentError(fmt::format(
        "setting phone_region: got \"{}\", want two upper-case letters such as RU", region));
  }
  if (!v1::BranchSource_IsValid(settings.branch_source()) ||
      settings.branch_source() == v1::BRANCH_SOURCE_UNSPECIFIED) {
    return absl::InvalidArgumentError(
        fmt::format("setting branch_source: got {}, want store or sales_channel",
                    static_cast<int>(settings.branch_source())));
  }
  DEALSTREAM_RETURN_IF_ERROR(CheckRange("request_price", settings.request_price(), 1, 45));
  DEALSTREAM_RETURN_IF_ERROR(CheckRange("request_budget", settings.request_budget(), 1, 1000));
  if (settings.request_price() > settings.request_budget()) {
    return absl::InvalidArgumentError(
        fmt::format("setting request_price: got {}, want at most request_budget, which is {}",
                    settings.request_price(),
                    settings.request_budget()));
  }
  return absl::OkStatus();
}

RateLimit LimitOf(const v1::Settings& settings) {
  RateLimit limit;
  // 45 units in 3 s for each user. Source: README.md#limits, official.
  limit.units = settings.request_budget();
  limit.interval = absl::Seconds(3);
  limit.unit_price = settings.request_price();
  return limit;
}

}  // namespace dealstream::crm::moysklad
