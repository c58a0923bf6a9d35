#pragma once

#include <string_view>

#include "absl/time/time.h"
#include "google/protobuf/any.pb.h"

#include "libs/base/status.h"
#include "libs/crm/api/adapter.h"
#include "libs/crm/klientiks/settings.pb.h"

namespace dealstream::crm::klientiks {

// What is made of the settings once for many records.
struct SettingsView {
  v1::Settings settings;
  absl::TimeZone zone;
  // Lives as long as the process.
  std::string_view currency;
};

// The settings in force, defaults filled in. The reference is good until the next call in this
// thread: what was unpacked last is kept, for records of one integration come in rows.
// InvalidArgument names the key, what was found and what was expected.
Result<const SettingsView*> SettingsInForce(const google::protobuf::Any& packed);

// What the types can't show, as above, and what an owner must choose.
Status CheckSettings(const google::protobuf::Any& packed, Purpose purpose);

RateLimit LimitOf(const v1::Settings& settings);

}  // namespace dealstream::crm::klientiks
