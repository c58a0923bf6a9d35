#include "libs/crm/newcrm/wire.h"

#include "libs/base/strings.h"
#include "libs/crm/api/wire_text.h"

namespace dealstream::crm::newcrm {

bool IsId(std::string_view text) { return IsNumber(text, 18); }

bool ParseWireTime(std::string_view text, absl::Time& time) {
  return absl::ParseTime(absl::RFC3339_full, ToAbsl(text), &time, nullptr) &&
         time != absl::InfiniteFuture() && time != absl::InfinitePast();
}

std::string WireTime(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

}  // namespace dealstream::crm::newcrm
