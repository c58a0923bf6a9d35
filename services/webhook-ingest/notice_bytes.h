#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

#include "services/webhook-ingest/http_session.h"
#include "services/webhook-ingest/token_table.h"

namespace dealstream::ingest {

// Puts raw.v1.Notice together in two steps, so that a body is copied once: a protobuf message may
// be written as several messages one behind the other.

// Everything but the body and the time. Headers are kept whose names are in `kept` (lower case), in
// the order received. Bytes that are no UTF-8 are kept too: percent-encoded in the query, as
// Latin-1 (RFC 9110, 5.5) in headers.
void AppendNoticeHead(std::string_view notice_id,
                      std::string_view crm,
                      const TokenTarget& target,
                      const RequestHead& head,
                      const std::vector<std::string_view>& kept,
                      std::string* out);

void AppendNoticeBody(std::string_view body, absl::Time received_at, std::string* out);

}  // namespace dealstream::ingest
