#pragma once

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::megaplan {

// A deal's answer, with those of entities it only links to, as a deal of our schema. One pass over
// the bytes of each part, then links are resolved over all of them. What becomes what stands in
// README.md#deals.
class Mapper final : public DealMapper {
 public:
  Status Map(const raw::v1::Record& record, deal::v1::Deal& deal) const override;
};

}  // namespace dealstream::crm::megaplan
