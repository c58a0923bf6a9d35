#pragma once

#include "libs/crm/moysklad/sim/world.h"
#include "libs/http/server.h"

namespace dealstream::crm::moysklad::sim {

// MoySklad's JSON API 1.2, under /api/remap/1.2. Thread-safe.
class Api {
 public:
  // `world` outlives this object.
  explicit Api(World& world) : world_(world) {}
  http::ServerResponse Handle(const http::ServerRequest& request);

 private:
  World& world_;
};

// Packs with gzip.
std::string Gzip(const std::string& bytes);

}  // namespace dealstream::crm::moysklad::sim
