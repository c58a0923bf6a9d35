#include "libs/crm/api/place.h"

#include "libs/base/strings.h"
#include "libs/crm/api/bad_value.h"

namespace dealstream::crm {

std::string CursorOf(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

Result<absl::Time> ParseCursor(std::string_view text) {
  absl::Time time;
  if (!absl::ParseTime(absl::RFC3339_full, ToAbsl(text), &time, nullptr)) {
    return BadValue("cursor", text, "an RFC 3339 time");
  }
  return time;
}

Status BadPageToken(std::string_view text) {
  return BadValue("page token", text, "one that an earlier page gave");
}

}  // namespace dealstream::crm
