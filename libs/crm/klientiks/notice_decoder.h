#pragma once

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::klientiks {

// A webhook is a GET whose address the CRM fills in from a template: all it says is in the query,
// `appointment_id` and `status`. The status may be old or empty: the visit is always read. What a
// template leaves where it could not be filled in is ignored ("empty_template",
// "unfilled_template").
class Decoder final : public NoticeDecoder {
 public:
  NoticeReply Reply() const override;
  Result<DecodedNotice> Decode(const raw::v1::Notice& notice, Purpose purpose) const override;
};

}  // namespace dealstream::crm::klientiks
