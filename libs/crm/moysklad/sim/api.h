#pragma once

#include <map>
#include <string>

#include "libs/crm/moysklad/sim/customer.h"
#include "libs/http/server.h"

namespace dealstream::crm::moysklad::sim {

// By login. Doesn't change when requests come.
using Customers = std::map<std::string, Customer*, std::less<>>;

// MoySklad's JSON API 1.2, under /api/remap/1.2. Thread-safe.
http::ServerResponse ServeApi(const Customers& customers, const http::ServerRequest& request);

}  // namespace dealstream::crm::moysklad::sim
