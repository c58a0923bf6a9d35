#pragma once

#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"

// What both mappers do alike.
namespace dealstream::crm::klientiks {

inline void SetTime(absl::Time time, google::protobuf::Timestamp& timestamp) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  timestamp.set_seconds(seconds);
  timestamp.set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
}

}  // namespace dealstream::crm::klientiks
