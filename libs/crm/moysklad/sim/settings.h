#pragma once

#include "libs/crm/moysklad/sim/limits.h"
#include "libs/crm/sim/settings.h"

namespace dealstream::crm::moysklad::sim {

// What tests may set, see README.md. Thread-safe.
class SimSettings {
 public:
  explicit SimSettings(simkit::Settings& settings)
      : unit_price_(settings.Add("unit_price", LimitSettings().unit_price, 0, 1e6)),
        units_(settings.Add("units", LimitSettings().units, 0, 1e6)),
        interval_ms_(settings.Add("interval_ms", 3000, 0, 1e6)),
        parallel_(settings.Add("parallel", LimitSettings().parallel, 0, 1e6)),
        refusals_to_block_(
            settings.Add("refusals_to_block", LimitSettings().refusals_to_block, 0, 1e6)),
        nested_limit_(settings.Add("nested_limit", 1000, 0, 1e6)) {}

  LimitSettings Limits() const {
    return {units_.Int(),
            unit_price_.Int(),
            interval_ms_.Ms(),
            parallel_.Int(),
            refusals_to_block_.Int()};
  }
  // How many rows an expanded collection inside an entity shows.
  size_t NestedLimit() const { return static_cast<size_t>(nested_limit_.Int()); }

 private:
  const simkit::Setting& unit_price_;
  const simkit::Setting& units_;
  const simkit::Setting& interval_ms_;
  const simkit::Setting& parallel_;
  const simkit::Setting& refusals_to_block_;
  const simkit::Setting& nested_limit_;
};

}  // namespace dealstream::crm::moysklad::sim
