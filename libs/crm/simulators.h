#pragma once

#include <map>
#include <string>

#include "libs/crm/sim/simulator.h"

namespace dealstream::crm {

// The simulator of each adapter that has one, by the adapter's id. The source is generated.
std::map<std::string, SimulatorFactory> AllSimulators();

}  // namespace dealstream::crm
