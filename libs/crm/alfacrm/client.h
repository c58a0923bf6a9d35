#pragma once

#include <string>
#include <string_view>

#include "libs/base/status.h"
#include "libs/crm/api/adapter.h"

namespace dealstream::crm::alfacrm {

// The calls of API v2, and what its refusals mean. Thin: gives bodies, reads none of the good ones.
// Lives while the session does.
class Client {
 public:
  explicit Client(Session& session) : session_(session) {}

  // A page of an entity's rows ("customer", "lead-status") in a branch; 0: the account's default
  // scope. `filter`: the body's fields as JSON, without braces.
  Result<std::string> Index(std::string_view entity, int64_t branch, std::string_view filter);

 private:
  Session& session_;
};

// Ok for a good answer with a JSON body. `operation` begins the message.
Status StatusOfAnswer(std::string_view operation, const http::Response& response);

}  // namespace dealstream::crm::alfacrm
