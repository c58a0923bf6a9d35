#pragma once

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::alfacrm {

// Reads leads and payments, each with what decides on its deal.
//
// A lead: the customer's card, all payments of it, what the log says of it (where it matters),
// names of directories: once those are known, two calls and one for each of its branches, or two in
// an account of one branch. A payment: its row, the card of its customer, what the log says of
// that. A payment that counts towards the first sale, or doesn't count at all, has no deal: it is
// gone.
//
// For List see listing.h.
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

}  // namespace dealstream::crm::alfacrm
