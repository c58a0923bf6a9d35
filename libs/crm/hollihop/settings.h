#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "google/protobuf/any.pb.h"

#include "dealstream/deal/v1/deal.pb.h"
#include "libs/base/status.h"
#include "libs/crm/api/adapter.h"
#include "libs/crm/hollihop/settings.pb.h"

namespace dealstream::crm::hollihop {

// Settings as the adapter uses them.
struct Settings {
  // Defaults filled in.
  v1::Settings values;
  absl::TimeZone zone;
  // By id of the status.
  std::vector<std::pair<std::string, deal::v1::StageKind>> stage_kinds;
};

// The settings in force. The reference is good until the next call in this thread: what was
// unpacked last is kept, for records of one integration come in rows.
Result<const Settings*> SettingsInForce(const google::protobuf::Any& packed);

// What the types can't show. InvalidArgument names the key, what was found and what was expected.
Status CheckSettings(const v1::Settings& settings);

RateLimit LimitOf(const v1::Settings& settings);

}  // namespace dealstream::crm::hollihop
