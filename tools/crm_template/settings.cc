#include "libs/crm/newcrm/settings.h"

#include "libs/crm/api/settings.h"

namespace dealstream::crm::newcrm {

Result<const v1::Settings*> SettingsInForce(const google::protobuf::Any& packed) {
  // A value of a pure function; see the header.
  thread_local LastSettings<v1::Settings> last;
  return last.Get(packed, UnpackSettings);
}

Status CheckSettings(const v1::Settings& settings) {
  DEALSTREAM_RETURN_IF_ERROR(CheckRegion("phone_region", settings.phone_region()));
  return CheckRange("requests_per_second", settings.requests_per_second(), 1, 100);
}

RateLimit LimitOf(const v1::Settings& settings) {
  RateLimit limit;
  // Source: README.md#limits, inferred.
  limit.units = settings.requests_per_second();
  limit.interval = absl::Seconds(1);
  return limit;
}

}  // namespace dealstream::crm::newcrm
