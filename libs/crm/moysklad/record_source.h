#pragma once

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::moysklad {

// Reads orders with what belongs to them: the order with its references expanded, the pages of its
// positions that the order didn't hold, and the contact persons of its counterparty. Two or three
// calls an order.
//
// List goes by update time: each page begins at the update time of the last row of the page before
// and overlaps it by one row. An order that changes meanwhile goes to the end of the list; nothing
// is skipped, some orders may be listed twice.
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

namespace internal {

// What Read must know of an answer; for the fuzz target.
struct OrderSummary {
  int64_t version = 0;
  int64_t positions = 0;
  int64_t positions_given = 0;
  // Of an agent that is a counterparty and has contact persons; else empty.
  std::string counterparty_id;
  int64_t contact_persons = 0;
};
Result<OrderSummary> ReadOrder(std::string_view body);

struct ListedOrder {
  // Empty where it can't be read.
  std::string id;
  // Where `has_time` is false, that of the row before: rows are in order.
  absl::Time updated;
  bool has_time = false;
};
struct OrderPage {
  int64_t size = 0;
  std::vector<ListedOrder> orders;
};
// All rows of a page that begins at `from`. One odd row must not hold up a listing for good.
// DataLoss when there are rows and none has an id: this is no list of orders then.
Result<OrderPage> ReadOrderPage(std::string_view body, absl::Time from);

}  // namespace internal
}  // namespace dealstream::crm::moysklad
