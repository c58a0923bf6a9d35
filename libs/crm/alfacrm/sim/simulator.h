#pragma once

#include <memory>

#include "libs/base/status.h"
#include "libs/crm/sim/simulator.h"

namespace dealstream::crm::alfacrm {

// Plays AlfaCRM's API v2: see README.md for what is faithful, the control interface and the
// settings.
Result<std::unique_ptr<Simulator>> MakeSimulator(const SimOptions& options);

}  // namespace dealstream::crm::alfacrm
