#pragma once

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::newcrm {

// Reads a deal with one call. List goes by time of change, then by id, so that nothing is skipped
// while deals change.
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

}  // namespace dealstream::crm::newcrm
