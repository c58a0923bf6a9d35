#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "libs/base/status.h"
#include "libs/crm/moysklad/sim/account.h"
#include "libs/crm/sim/account.h"

namespace dealstream::crm::moysklad::sim {

// Changes an order by the control interface's JSON (README.md): references by name or id, null
// clears. Returns the names of the fields that changed, as `updatedFields` has them.
// InvalidArgument says what is wrong; then the order is as it was.
Result<std::vector<std::string>> EditOrder(AccountData& account,
                                           Order& order,
                                           const Json& patch,
                                           absl::Time now);

// An amount in units of the currency, as a number or its exact text: "123.456789".
Result<Amount> ParseUnits(std::string_view key, const Json& value);

// The order as tests compare it; `more` holds name, times, deleted, sum, state, owner…
simkit::DealTruth TruthOf(const AccountData& account, const Order& order);
// Of one that was deleted for good.
simkit::DealTruth TruthOfGone(const std::string& id, absl::Time time);

}  // namespace dealstream::crm::moysklad::sim
