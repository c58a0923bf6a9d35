#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "google/protobuf/any.pb.h"
#include "google/protobuf/descriptor.h"

#include "libs/base/status.h"
#include "libs/crm/api/adapter.h"

namespace dealstream::crm {

// Unpacks an adapter's settings message (cleared first) and fills what is not set with the defaults
// of its field options, so that settings kept by an older release have what was added since. Fields
// whose default is not their type's zero must be `optional`. An empty Any is all defaults.
// InvalidArgument when it is another message or can't be read.
Status UnpackSettings(const google::protobuf::Any& packed, google::protobuf::Message& settings);

// Settings between text (the cabinet's form, dealctl --set) and the adapter's message. An unknown
// key is InvalidArgument that names it and lists those there are; a value that can't be read names
// the key, what was found and what was expected. A list is written with commas, a choice with its
// short name ("sales_channel"). A list that has a default can't be emptied.
Result<google::protobuf::Any> SettingsFromText(
    const Adapter& adapter,
    Purpose purpose,
    const google::protobuf::Any* base,
    const std::vector<std::pair<std::string, std::string>>& values);
// The keys of this purpose with their values in force.
Result<std::vector<std::pair<std::string, std::string>>> SettingsToText(
    const Adapter& adapter, Purpose purpose, const google::protobuf::Any& settings);

// Whether an integration of this purpose has the setting.
bool SettingApplies(const google::protobuf::FieldDescriptor& field, Purpose purpose);

// ---- For adapters ----------------------------------------------------------------------------

// What was made of the settings last: records of one integration come in rows, and settings are
// looked at with each. Not thread-safe; an adapter has one in each thread.
template <typename T>
class LastSettings {
 public:
  // `make(packed, T&)` -> Status is a pure function of `packed` and gets what it filled before. It
  // isn't called for what it was called for last with success. The pointer is good until the next
  // call.
  template <typename Make>
  Result<const T*> Get(const google::protobuf::Any& packed, const Make& make) {
    if (!filled_ || value_ != packed.value() || type_url_ != packed.type_url()) {
      filled_ = false;
      DEALSTREAM_RETURN_IF_ERROR(make(packed, made_));
      type_url_ = packed.type_url();
      value_ = packed.value();
      filled_ = true;
    }
    return &made_;
  }

 private:
  bool filled_ = false;
  std::string type_url_;
  std::string value_;
  T made_{};
};

// As UnpackSettings; the defaults where these can't be read. For limits: an account whose settings
// are broken is called no faster.
template <typename Settings>
Settings SettingsOrDefaults(const google::protobuf::Any& packed) {
  Settings settings;
  if (!UnpackSettings(packed, settings).ok()) {
    // An adapter's own defaults can be read, or no test of it passes.
    UnpackSettings({}, settings).IgnoreError();
  }
  return settings;
}

// Checks of single values. InvalidArgument names the key, what was found and what was expected.
Status BadSetting(std::string_view key, std::string_view got, std::string_view want);
Status CheckRange(std::string_view key, int64_t value, int64_t lowest, int64_t highest);
// One that the type has, and not 0, "unspecified".
Status CheckChoice(std::string_view key, const google::protobuf::EnumDescriptor& type, int value);
// ISO 3166: "RU".
Status CheckRegion(std::string_view key, std::string_view region);
// ISO 4217, as it is written: "RUB".
Status CheckCurrency(std::string_view key, std::string_view code);
// A zone of the IANA database: "Europe/Moscow". Never a path: the library would read any file.
Result<absl::TimeZone> LoadZone(std::string_view key, std::string_view name);

}  // namespace dealstream::crm
