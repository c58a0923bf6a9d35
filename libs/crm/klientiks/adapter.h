#pragma once

#include <memory>

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::klientiks {

// Klientiks (Клиентикс CRM): visits as deals, online bookings as requests. See README.md.
std::unique_ptr<Adapter> MakeAdapter();

}  // namespace dealstream::crm::klientiks
