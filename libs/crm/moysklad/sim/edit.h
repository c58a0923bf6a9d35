#pragma once

#include <string>
#include <vector>

#include "libs/base/status.h"
#include "libs/crm/moysklad/sim/account.h"

namespace dealstream::crm::moysklad::sim {

// Changes an order by the control interface's JSON (README.md): references by name or id, null
// clears. Returns the names of the fields that changed, as `updatedFields` has them.
// InvalidArgument says what is wrong; then the order is as it was.
Result<std::vector<std::string>> EditOrder(Account& account,
                                           Order& order,
                                           const Json& patch,
                                           absl::Time now);

// The order as tests compare it: id, name, times, deleted, sum, amount, currency, state, owner…
Json TruthOf(const Account& account, const Order& order);

}  // namespace dealstream::crm::moysklad::sim
