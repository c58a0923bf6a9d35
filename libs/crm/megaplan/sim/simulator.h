#pragma once

#include <memory>

#include "libs/crm/sim/simulator.h"

namespace dealstream::crm::megaplan {

// Plays accounts of Megaplan; see README.md.
Result<std::unique_ptr<Simulator>> MakeSimulator(const SimOptions& options);

}  // namespace dealstream::crm::megaplan
