#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

#include "dealstream/raw/v1/raw.pb.h"
#include "libs/base/status.h"
#include "libs/crm/api/adapter.h"
#include "libs/kafka/kafka.h"
#include "services/crm-reader/integrations.h"

// The records that the reader writes: pure functions from what happened to bytes and headers.
namespace dealstream::reader {

// Where a notice or tick first lay; a retry carries it in its headers.
struct Origin {
  std::string topic;
  int32_t partition = -1;
  int64_t offset = -1;
};

Origin OriginOf(const kafka::InRecord& record);

// On what an operator has sent again: the dead letter's id. A retry keeps it.
inline constexpr std::string_view kRedrivenFrom = "dealstream-redriven-from";

// What one read of one object was for.
struct ReadContext {
  deal::v1::Cause cause = deal::v1::CAUSE_UNSPECIFIED;
  std::vector<std::string> notice_ids;
  // InfiniteFuture: no notice.
  absl::Time oldest_notice_at = absl::InfiniteFuture();
  absl::Time observed_at;
  // Of the first notice; empty: a new trace.
  std::string traceparent;
};

kafka::OutRecord MakeRecord(std::string_view crm,
                            const Integration& integration,
                            const crm::ObjectRef& ref,
                            crm::ReadObject object,
                            ReadContext context);

// Into the topic of `delay`; `retry.due_at` is set here. `headers`: the item's own.
kafka::OutRecord MakeRetry(std::string_view crm,
                           raw::v1::Retry retry,
                           const std::string& key,
                           const Origin& origin,
                           const kafka::Headers& headers,
                           absl::Duration delay,
                           absl::Time now);

struct DeadLetterFacts {
  Origin origin;
  std::string key;
  std::string value;
  kafka::Headers headers;
  std::string_view stage;
  std::string reason;
  std::string message;
  int attempts = 0;
  absl::Time first_failed_at;
  absl::Time now;
  std::string integration_id;
};
kafka::OutRecord MakeDeadLetter(std::string_view crm, DeadLetterFacts facts);

kafka::OutRecord MakeTick(std::string_view crm, const raw::v1::PollTick& tick, absl::Time now);
kafka::OutRecord MakeProgress(std::string_view crm,
                              const std::string& key,
                              const raw::v1::PollProgress& progress,
                              absl::Time now);

}  // namespace dealstream::reader
