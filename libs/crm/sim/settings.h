#pragma once

#include <atomic>
#include <list>
#include <string>
#include <utility>

#include "absl/time/time.h"

#include "libs/base/status.h"

namespace dealstream::crm::simkit {

// A number that tests may set, before the start or while the simulator runs. Thread-safe.
class Setting {
 public:
  Setting(std::string name, double value, double least, double most)
      : name_(std::move(name)), least_(least), most_(most), value_(value) {}

  const std::string& name() const { return name_; }
  double value() const { return value_; }
  int Int() const { return static_cast<int>(value()); }
  // Of one that is 0 or 1.
  bool Bool() const { return value() != 0; }
  // Of one that counts milliseconds.
  absl::Duration Ms() const { return absl::Milliseconds(value()); }
  // InvalidArgument outside of the bounds.
  Status Set(double value);

 private:
  const std::string name_;
  const double least_;
  const double most_;
  std::atomic<double> value_;
};

// The settings of a simulator by name. Add is for its constructor; the rest is thread-safe.
class Settings {
 public:
  // The reference lives as long as this object.
  Setting& Add(std::string name, double value, double least, double most);
  // InvalidArgument names those there are.
  Status Set(const std::string& name, double value);

 private:
  std::list<Setting> settings_;
};

}  // namespace dealstream::crm::simkit
