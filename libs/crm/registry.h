#pragma once

#include "libs/crm/api/registry.h"

namespace dealstream::crm {

// One adapter for each folder beside this file. The source is generated from the folders.
Registry AllAdapters();

}  // namespace dealstream::crm
