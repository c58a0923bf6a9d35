#pragma once

#include <memory>

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::alfacrm {

// AlfaCRM: leads and payments of schools as deals. See README.md.
std::unique_ptr<Adapter> MakeAdapter();

}  // namespace dealstream::crm::alfacrm
