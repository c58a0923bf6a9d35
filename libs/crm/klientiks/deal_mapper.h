#pragma once

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::klientiks {

// A visit as a deal. What becomes what stands in README.md#deals.
class Mapper final : public DealMapper {
 public:
  Status Map(const raw::v1::Record& record, deal::v1::Deal& deal) const override;
};

}  // namespace dealstream::crm::klientiks
