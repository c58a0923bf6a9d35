#pragma once

#include "google/protobuf/any.pb.h"

#include "libs/base/status.h"
#include "libs/crm/api/adapter.h"
#include "libs/crm/newcrm/settings.pb.h"

namespace dealstream::crm::newcrm {

// The settings in force, defaults filled in; good until this thread's next call.
Result<const v1::Settings*> SettingsInForce(const google::protobuf::Any& packed);

// What the types can't show. InvalidArgument names the key, what was found and what was expected.
Status CheckSettings(const v1::Settings& settings);

RateLimit LimitOf(const v1::Settings& settings);

}  // namespace dealstream::crm::newcrm
