#pragma once

#include <string>
#include <string_view>

#include "absl/time/time.h"

// What New CRM's values look like. Source: README.md#deals.
namespace dealstream::crm::newcrm {

// Kind of the only object that is read, and the name of its record's part.
inline constexpr std::string_view kDeal = "deal";

// Digits, at most 18.
bool IsId(std::string_view text);

// RFC 3339: "2026-03-02T15:31:47.915Z". False when it is another text.
bool ParseWireTime(std::string_view text, absl::Time& time);
// With milliseconds, UTC.
std::string WireTime(absl::Time time);

}  // namespace dealstream::crm::newcrm
