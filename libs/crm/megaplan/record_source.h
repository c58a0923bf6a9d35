#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libs/crm/api/adapter.h"
#include "libs/crm/megaplan/answer.h"

namespace dealstream::crm::megaplan {

// Reads a deal by its id, which gives all its fields, and then what it only links to: the manager,
// the clients, the scheme, where its answer doesn't have them in full. Mostly one call a deal.
//
// List goes from the deal that was changed last back to where the pass began. A deal that changes
// meanwhile goes to the front, behind us, and the next pass begins before that; pages begin behind
// a deal, not at a number, so that none is skipped when others go.
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
};

// When a deal was changed last: timeUpdated, else timeCreated. DataLoss when it has neither.
Result<absl::Time> ChangeTimeOf(const Value& deal);

namespace internal {

struct ListedDeal {
  std::string id;
  // None where it can't be read.
  std::optional<absl::Time> updated;
};
struct DealPage {
  // Those that have an id.
  std::vector<ListedDeal> deals;
  size_t rows = 0;
};
// One odd row must not hold up a listing for good. DataLoss when there are rows and none has an id:
// this is no list of deals then.
Result<DealPage> ReadPage(const Value& data);

}  // namespace internal
}  // namespace dealstream::crm::megaplan
