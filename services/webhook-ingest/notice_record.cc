#include "services/webhook-ingest/notice_record.h"

#include <cstdint>
#include <cstdlib>

#include "libs/kafka/cloudevents.h"

namespace dealstream::ingest {
namespace {

constexpr std::string_view kEventType = "dealstream.notice.received.v1";
constexpr std::string_view kDataSchema = "dealstream.raw.v1.Notice";
// "2026-11-21T05:02:08.557Z"
constexpr size_t kMillisAt = 20;

// The headers that all events have, for their names and for what doesn't change.
kafka::OutRecord MakeTemplate() {
  kafka::OutRecord record;
  record.value.emplace();
  record.headers = kafka::ToHeaders({.id = {},
                                     .source = {},
                                     .type = kEventType,
                                     .subject = {},
                                     .time = absl::UnixEpoch(),
                                     .data_schema = kDataSchema,
                                     .traceparent = {}});
  return record;
}

}  // namespace

NoticeRecord::NoticeRecord()
    : record_(MakeTemplate()),
      id_(HeaderOf("ce_id")),
      source_(HeaderOf("ce_source")),
      subject_(HeaderOf("ce_subject")),
      time_(HeaderOf("ce_time")),
      traceparent_(HeaderOf("traceparent")) {}

std::string& NoticeRecord::HeaderOf(std::string_view name) {
  for (auto& [key, value] : record_.headers) {
    if (key == name) {
      return value;
    }
  }
  // Only a change of cloudevents.cc could bring us here.
  std::abort();
}

const kafka::OutRecord& NoticeRecord::Fill(const Parts& parts, std::string& value) {
  record_.topic.assign(parts.topic);
  record_.key.assign(parts.crm_account_id);
  record_.value->swap(value);
  value.clear();
  id_.assign(parts.notice_id);
  source_.assign("/crm/").append(parts.crm).append("/integrations/").append(parts.integration_id);
  subject_.assign(parts.crm_account_id);
  traceparent_.assign(parts.traceparent);
  SetTime(parts.time);
  return record_;
}

void NoticeRecord::SetTime(absl::Time time) {
  const int64_t millis = absl::ToUnixMillis(time);
  const int64_t second = millis / 1000;
  if (second != time_second_) {
    time_second_ = second;
    time_ = absl::FormatTime(
        "%E4Y-%m-%dT%H:%M:%S.000Z", absl::FromUnixSeconds(second), absl::UTCTimeZone());
  }
  auto part = static_cast<int>(millis % 1000);
  for (size_t at = kMillisAt + 3; at-- > kMillisAt; part /= 10) {
    time_[at] = static_cast<char>('0' + part % 10);
  }
}

}  // namespace dealstream::ingest
