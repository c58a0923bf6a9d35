#pragma once

#include <memory>

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::moysklad {

// MoySklad (МойСклад): orders of customers as deals. See README.md.
std::unique_ptr<Adapter> MakeAdapter();

}  // namespace dealstream::crm::moysklad
