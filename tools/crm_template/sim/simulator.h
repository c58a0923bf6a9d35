#pragma once

#include <memory>

#include "libs/base/status.h"
#include "libs/crm/sim/simulator.h"

namespace dealstream::crm::newcrm {

// Plays New CRM: see README.md for what is faithful, the fields of deals and the settings.
Result<std::unique_ptr<Simulator>> MakeSimulator(const SimOptions& options);

}  // namespace dealstream::crm::newcrm
