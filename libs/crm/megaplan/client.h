#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "libs/base/status.h"
#include "libs/crm/api/adapter.h"
#include "libs/crm/megaplan/answer.h"

namespace dealstream::crm::megaplan {

// The calls of API v3, and what its refusals mean. Lives while the session does.
class Client {
 public:
  // Both outlive the client. What was answered is added to `answers`.
  Client(Session& session, Answers& answers) : session_(session), answers_(answers) {}

  // A good answer: as it came, and its `data` among the answers.
  struct Answer {
    std::string body;
    Value data;
    // A list goes on behind this page, it says. Not all answers do where it does.
    bool has_more = false;
  };

  // NotFound when the API says that there is no such object; the others as RecordSource says.
  Result<Answer> GetDeal(std::string_view id);
  // An entity that the deal's answer only links to. `type` is one that PathOf knows.
  Result<Answer> GetEntity(std::string_view type, std::string_view id);
  // Deals by change time, the newest first, behind the deal `after`; from the first one when empty.
  Result<Answer> ListDeals(std::string_view after);

  // Rows in one page, the API's own default. Source: README.md#paging, official.
  static constexpr size_t kPageSize = 100;

 private:
  // `query`: the arguments, one JSON object; or nothing.
  Result<Answer> Get(std::string_view operation,
                     std::string_view part,
                     std::string path,
                     std::string query);

  Session& session_;
  Answers& answers_;
};

// The folder of the API that has entities of a content type by id; empty when it isn't known.
std::string_view PathOf(std::string_view content_type);

// Ok for an answer that is good as far as HTTP says, and may hold JSON. `operation` begins the
// message.
Status StatusOfAnswer(std::string_view operation, const http::Response& response);

// Ok when an answer's meta doesn't say otherwise: a failure may come with HTTP's status 200.
Status StatusOfMeta(std::string_view operation, const Value& root, const http::Headers& headers);

}  // namespace dealstream::crm::megaplan
