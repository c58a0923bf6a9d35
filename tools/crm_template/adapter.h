#pragma once

#include <memory>

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::newcrm {

// New CRM: deals. See README.md.
std::unique_ptr<Adapter> MakeAdapter();

}  // namespace dealstream::crm::newcrm
