#pragma once

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::newcrm {

// Part "deal" (README.md#deals) into a deal.
class Mapper final : public DealMapper {
 public:
  Status Map(const raw::v1::Record& record, deal::v1::Deal& deal) const override;
};

}  // namespace dealstream::crm::newcrm
