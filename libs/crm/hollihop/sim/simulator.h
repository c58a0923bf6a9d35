#pragma once

#include <memory>

#include "libs/base/status.h"
#include "libs/crm/sim/simulator.h"

namespace dealstream::crm::hollihop {

// Plays schools of Hollihop; see README.md. Shares no code with the adapter.
Result<std::unique_ptr<Simulator>> MakeSimulator(const SimOptions& options);

}  // namespace dealstream::crm::hollihop
