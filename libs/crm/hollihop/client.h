#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libs/base/status.h"
#include "libs/crm/api/adapter.h"

namespace dealstream::crm::hollihop {

// The calls of API 2.0, and what its refusals mean. Thin: gives bodies, reads none of the good
// ones. Lives while the session does. The key isn't seen here: the host adds it.
class Client {
 public:
  explicit Client(Session& session) : session_(session) {}

  // Each: the body of an answer with status 200 and JSON in it, which may still be a refusal
  // (`Error`); see StatusOfError.
  Result<std::string> GetLead(std::string_view id);
  Result<std::string> GetLeadStatuses();

  struct Range {
    // Local time of the school; empty: all there are.
    std::string updated_from;
    int64_t skip = 0;
    int64_t take = 0;
  };
  // In an order that isn't documented. Where the first page of a pass is one for people, or leads
  // elsewhere, the address is wrong or the school is parked: FailedPrecondition "wrong_address", as
  // for a 404. Later ones have had an API there, and are to be tried again.
  Result<std::string> ListLeads(const Range& range);

 private:
  Result<std::string> Get(std::string_view operation,
                          std::string path,
                          std::vector<std::pair<std::string, std::string>> query,
                          bool begins_pass = false);

  Session& session_;
};

// Ok for status 200 with a JSON body. `operation` begins the message.
Status StatusOfAnswer(std::string_view operation, const http::Response& response);

// What the text of an answer's `Error` means. Never ok; the text isn't repeated: it may quote what
// was sent.
Status StatusOfError(std::string_view operation, int http_status, std::string_view text);

}  // namespace dealstream::crm::hollihop
