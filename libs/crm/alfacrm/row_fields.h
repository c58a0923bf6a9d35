#pragma once

#include <optional>
#include <string_view>

#include "absl/time/time.h"

#include "libs/base/status.h"
#include "libs/crm/alfacrm/rows.h"
#include "libs/crm/api/json.h"

// Fields of rows that reading and mapping share. For .cc files only, as json.h.
namespace dealstream::crm::alfacrm {

// Takes the field if it is one of the row's; false: it is another one, the value is untouched.
Result<bool> TakeCustomerField(std::string_view key,
                               json::Node value,
                               const absl::TimeZone& zone,
                               CustomerRow& row);
Result<bool> TakePayField(std::string_view key,
                          json::Node value,
                          const absl::TimeZone& zone,
                          PayRow& row);

}  // namespace dealstream::crm::alfacrm
