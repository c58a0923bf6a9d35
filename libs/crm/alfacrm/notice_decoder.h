#pragma once

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::alfacrm {

// A webhook names a customer or a payment. What it says of them isn't used: both are read again. A
// payment is two deals' business: its own, and that of the lead, whose sum it may belong to. Both
// branches' triggers name the same objects.
class Decoder final : public NoticeDecoder {
 public:
  NoticeReply Reply() const override;
  Result<DecodedNotice> Decode(const raw::v1::Notice& notice, Purpose purpose) const override;
};

}  // namespace dealstream::crm::alfacrm
