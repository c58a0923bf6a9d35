#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"

#include "libs/base/status.h"
#include "libs/crm/api/adapter.h"

namespace dealstream::crm::newcrm {

// The calls of the API, and what its refusals mean. Lives while the session does.
class Client {
 public:
  explicit Client(Session& session) : session_(session) {}

  // Each: the body of a good answer. NotFound when the CRM says that there is no such deal; the
  // others as RecordSource says.
  Result<std::string> GetDeal(std::string_view id);
  // Deals changed at `since` or later and before `until`, by time and id; of those changed at
  // `since` itself only ids above `after`.
  Result<std::string> ListDeals(absl::Time since, std::string_view after, absl::Time until);

  // Rows of a page.
  static constexpr size_t kPageSize = 100;

 private:
  Result<std::string> Get(std::string_view operation,
                          std::string path,
                          std::vector<std::pair<std::string, std::string>> query);

  Session& session_;
};

}  // namespace dealstream::crm::newcrm
