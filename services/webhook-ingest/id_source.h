#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "absl/random/random.h"
#include "absl/time/time.h"

namespace dealstream::ingest {

// Ids of notices and spans, without a system call or an allocation for each. What it gives is
// unique, not secret. Belongs to one thread.
class IdSource {
 public:
  // A ULID (as NewUlid): 26 characters. Valid until the next call.
  std::string_view Ulid(absl::Time now);
  // A W3C traceparent: 55 characters; with a well-formed parent the same trace and flags, and a new
  // span. Valid until the next call.
  std::string_view Traceparent(std::string_view parent);

 private:
  absl::InsecureBitGen random_;
  std::array<char, 26> ulid_{};
  std::array<char, 55> traceparent_{};
};

}  // namespace dealstream::ingest
