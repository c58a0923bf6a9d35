#pragma once

#include <string>
#include <vector>

#include "google/protobuf/message.h"

#include "dealstream/deal/v1/deal.pb.h"

namespace dealstream::domain {

// "<integration_id>:<external_id>".
std::string EntityId(std::string_view integration_id, std::string_view external_id);

// Names of the top-level fields that differ, in the order of field numbers; those filled in `after`
// when `before` is null. Both of one type. By content: serialised bytes are not compared.
std::vector<std::string> ChangedFields(const google::protobuf::Message* before,
                                       const google::protobuf::Message& after);

}  // namespace dealstream::domain
