#pragma once

#include <string>
#include <string_view>

#include "libs/base/status.h"
#include "libs/crm/api/adapter.h"

namespace dealstream::crm::moysklad {

// The calls of the JSON API, and what its refusals mean. Thin: gives bodies, reads none of the good
// ones. Lives while the session does.
class Client {
 public:
  explicit Client(Session& session) : session_(session) {}

  // Each: the body of a good answer. NotFound when the CRM says that there is no such object; the
  // others as RecordSource says.
  Result<std::string> GetOrder(std::string_view id);
  Result<std::string> GetPositions(std::string_view order_id, int64_t offset);
  Result<std::string> GetContactPersons(std::string_view counterparty_id, int64_t offset);

  struct Range {
    // Both cut to milliseconds, as the CRM has them.
    absl::Time from;
    // Exclusive.
    absl::Time to = absl::InfiniteFuture();
    int64_t offset = 0;
  };
  // Orders by update time, then by id, those in the bin among them.
  Result<std::string> ListOrders(const Range& range);

  // Rows in one page of positions and of orders. More than 100 and references come unexpanded.
  static constexpr int64_t kPageSize = 100;
  static constexpr int64_t kContactPersonsPageSize = 1000;

 private:
  Result<std::string> Get(std::string_view operation,
                          std::string path,
                          std::vector<std::pair<std::string, std::string>> query);

  Session& session_;
};

// Ok for a good answer with a JSON body. `operation` begins the message.
Status StatusOfAnswer(std::string_view operation, const http::Response& response);

}  // namespace dealstream::crm::moysklad
