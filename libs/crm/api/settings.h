#pragma once

#include <string>
#include <utility>
#include <vector>

#include "libs/base/status.h"
#include "libs/crm/api/adapter.h"

namespace dealstream::crm {

// Settings between text (the cabinet's form, dealctl --set) and the adapter's message. An unknown
// key is InvalidArgument that names it and lists those there are; a value that can't be read names
// the key, what was found and what was expected.
Result<google::protobuf::Any> SettingsFromText(
    const Adapter& adapter,
    Purpose purpose,
    const google::protobuf::Any* base,
    const std::vector<std::pair<std::string, std::string>>& values);
// All keys with their values in force.
Result<std::vector<std::pair<std::string, std::string>>> SettingsToText(
    const Adapter& adapter, const google::protobuf::Any& settings);

}  // namespace dealstream::crm
