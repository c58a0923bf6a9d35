#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::hollihop {

// Lists leads that changed, each whole, so that none need be read for itself: one or two calls a
// page. Read is for single leads that an operator sends again.
//
// A pass goes by offset through all leads updated since two hours before the last pass began, by
// the server's clock, or by ours where that one is ahead. The order of rows is not documented:
// pages overlap, and a pass whose pages don't meet begins anew, a few times, and then ends as
// broken, as it does with a page that repeats the one before: the next pass begins where this one
// did.
class Source final : public RecordSource {
 public:
  Result<ReadObject> Read(const ObjectRef& ref,
                          const google::protobuf::Any& settings,
                          Session& session) const override;
  bool CanList() const override { return true; }
  Result<ListPage> List(const ListRequest& request,
                        Purpose purpose,
                        const google::protobuf::Any& settings,
                        Session& session) const override;

  // Leads asked for in one page: the larger, the fewer borders at which rows may be skipped.
  static constexpr int64_t kPageSize = 500;
};

namespace internal {

// What List and Read must know of an answer; for the fuzz target.
struct ListedLead {
  std::string id;
  // Empty: it has none.
  std::string status_id;
  // Updated, else Created, as written; empty: neither.
  std::string updated;
  // As the CRM wrote it.
  std::string body;
};
struct LeadPage {
  std::vector<ListedLead> leads;
  // The server's local time; empty when it isn't given.
  std::string now;
};
Result<LeadPage> ReadLeadPage(std::string_view operation, std::string_view body);

// Entries of the dictionary as the CRM wrote them, by id.
using Statuses = std::map<std::string, std::string, std::less<>>;
Result<Statuses> ReadStatuses(std::string_view body);

}  // namespace internal
}  // namespace dealstream::crm::hollihop
