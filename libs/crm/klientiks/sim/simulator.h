#pragma once

#include <memory>

#include "libs/base/status.h"
#include "libs/crm/sim/simulator.h"

namespace dealstream::crm::klientiks {

// A simulator of the CRM; see README.md beside this file.
Result<std::unique_ptr<Simulator>> MakeSimulator(const SimOptions& options);

}  // namespace dealstream::crm::klientiks
