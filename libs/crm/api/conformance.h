#pragma once

#include <string>
#include <vector>

#include "libs/crm/api/adapter.h"

// What every adapter must do, checked on its own fixtures (fixture.h). No part of the product.
namespace dealstream::crm {

struct ConformanceCheck {
  std::string name;
  // Each finding is a sentence; none means that the adapter conforms.
  std::vector<std::string> (*run)(const Adapter& adapter, const std::string& testdata);
};

std::vector<ConformanceCheck> ConformanceChecks();

}  // namespace dealstream::crm
