#pragma once

#include "libs/crm/moysklad/sim/world.h"
#include "libs/http/server.h"

namespace dealstream::crm::moysklad::sim {

// The control interface under /_sim/: see README.md. Thread-safe.
class Control {
 public:
  // `world` outlives this object.
  explicit Control(World& world) : world_(world) {}
  http::ServerResponse Handle(const http::ServerRequest& request);

 private:
  World& world_;
};

// What Simulator::Describe gives.
Json DescribeWorld(World& world);

// Sets one of the simulator's settings ("unit_price"). InvalidArgument names those there are.
Status SetSetting(World& world, const std::string& name, double value);

}  // namespace dealstream::crm::moysklad::sim
