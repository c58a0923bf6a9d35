#pragma once

#include <array>
#include <string>
#include <string_view>

#include "absl/time/time.h"

#include "libs/kafka/kafka.h"

namespace dealstream::ingest {

// The Kafka record of a notice, written over for each: after the first few nothing is allocated.
// Belongs to one thread.
class NoticeRecord {
 public:
  NoticeRecord();

  struct Parts {
    std::string_view topic;
    std::string_view crm;
    std::string_view integration_id;
    std::string_view crm_account_id;
    std::string_view notice_id;
    std::string_view traceparent;
    absl::Time time;
  };
  // Takes the value by swapping, and gives the last one's memory for it. Valid until the next call.
  const kafka::OutRecord& Fill(const Parts& parts, std::string& value);

 private:
  std::string& HeaderOf(std::string_view name);
  void SetTime(absl::Time time);

  kafka::OutRecord record_;
  int64_t time_second_ = 0;
  // Of record_.headers.
  std::string& id_;
  std::string& source_;
  std::string& subject_;
  std::string& time_;
  std::string& traceparent_;
};

}  // namespace dealstream::ingest
