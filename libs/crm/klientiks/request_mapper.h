#pragma once

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::klientiks {

// A visit that was booked online as a request: who asked, when, and what brought them. Made once a
// visit: what happens to it later belongs to the deal.
class BookingMapper final : public RequestMapper {
 public:
  Result<bool> Map(const raw::v1::Record& record, request::v1::Request& request) const override;
  bool IsMadeOnce() const override { return true; }
};

}  // namespace dealstream::crm::klientiks
