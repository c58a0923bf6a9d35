#pragma once

#include <string>
#include <vector>

#include "google/protobuf/message.h"
#include "nlohmann/json.hpp"

#include "libs/base/status.h"
#include "libs/kafka/kafka.h"
#include "libs/topics/topics.h"

namespace dealstream::cli {

using Json = nlohmann::ordered_json;

// Protobuf JSON with the field names of the .proto files.
Result<Json> ToJson(const google::protobuf::Message& message);
Status FromJson(const Json& json, google::protobuf::Message& message);

// {"topic","partition","offset","key","headers","value"}; the value's type is told by the header
// ce_dataschema, else by the declared topic. Null value: a tombstone.
Result<Json> RecordToJson(const kafka::InRecord& record, const std::vector<topics::Spec>& specs);

// One line; bytes that are no UTF-8 are replaced.
std::string ToLine(const Json& json);

// Rows under their column names, aligned.
std::string Table(const std::vector<std::vector<std::string>>& rows);

}  // namespace dealstream::cli
