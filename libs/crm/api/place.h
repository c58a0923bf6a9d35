#pragma once

#include <string>
#include <string_view>

#include "absl/time/time.h"

#include "libs/base/status.h"

// How far listing has come, as the texts that a CRM's record source gives and gets back.
namespace dealstream::crm {

// A cursor that is an instant: RFC 3339 with milliseconds, UTC, readable for those who look at it.
std::string CursorOf(absl::Time time);

// Any RFC 3339 time. InvalidArgument shows what was found.
Result<absl::Time> ParseCursor(std::string_view text);

// InvalidArgument for a text that no page can have given.
Status BadPageToken(std::string_view text);

}  // namespace dealstream::crm
