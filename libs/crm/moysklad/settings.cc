#include "libs/crm/moysklad/settings.h"

#include <fmt/format.h>

#include "libs/crm/api/settings.h"

namespace dealstream::crm::moysklad {

Result<const v1::Settings*> SettingsInForce(const google::protobuf::Any& packed) {
  // A value of a pure function; see the header.
  thread_local LastSettings<v1::Settings> last;
  return last.Get(packed, UnpackSettings);
}

Status CheckSettings(const v1::Settings& settings) {
  DEALSTREAM_RETURN_IF_ERROR(CheckRegion("phone_region", settings.phone_region()));
  DEALSTREAM_RETURN_IF_ERROR(
      CheckChoice("branch_source", *v1::BranchSource_descriptor(), settings.branch_source()));
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
