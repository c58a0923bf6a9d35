#include "libs/crm/sim/settings.h"

#include <fmt/format.h>

namespace dealstream::crm::simkit {

Status Setting::Set(double value) {
  if (!(value >= least_ && value <= most_)) {
    return absl::InvalidArgumentError(
        fmt::format("{}: got {}, want {} to {}", name_, value, least_, most_));
  }
  value_ = value;
  return absl::OkStatus();
}

Setting& Settings::Add(std::string name, double value, double least, double most) {
  return settings_.emplace_back(std::move(name), value, least, most);
}

Status Settings::Set(const std::string& name, double value) {
  std::string known;
  for (Setting& setting : settings_) {
    if (setting.name() == name) {
      return setting.Set(value);
    }
    known += (known.empty() ? "" : ", ") + setting.name();
  }
  return absl::InvalidArgumentError(fmt::format("{}: unknown setting; there are {}", name, known));
}

}  // namespace dealstream::crm::simkit
