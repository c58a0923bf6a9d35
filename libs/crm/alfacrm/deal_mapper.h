#pragma once

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::alfacrm {

// A lead or a payment as a deal; what becomes what stands in README.md#deals. A record with the
// part "pay" is a payment, any other one a lead.
class Mapper final : public DealMapper {
 public:
  Status Map(const raw::v1::Record& record, deal::v1::Deal& deal) const override;
};

}  // namespace dealstream::crm::alfacrm
