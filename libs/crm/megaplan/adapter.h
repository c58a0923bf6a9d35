#pragma once

#include <memory>

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::megaplan {

// Megaplan (Мегаплан): deals of its sales schemes. See README.md.
std::unique_ptr<Adapter> MakeAdapter();

}  // namespace dealstream::crm::megaplan
