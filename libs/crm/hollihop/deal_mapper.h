#pragma once

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::hollihop {

// A lead as a deal: one pass over each part of the record. What becomes what stands in
// README.md#deals.
class Mapper final : public DealMapper {
 public:
  Status Map(const raw::v1::Record& record, deal::v1::Deal& deal) const override;
};

}  // namespace dealstream::crm::hollihop
