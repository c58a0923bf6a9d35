#pragma once

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::moysklad {

// A webhook names objects and says nothing of them: orders are read again, whatever happened to
// them; what happened to other entities is ignored ("other_entity"), and so are the stock reports
// that may be sent to the same address ("stock_report"). An event that can't be read leaves the
// others be.
class Decoder final : public NoticeDecoder {
 public:
  NoticeReply Reply() const override;
  Result<DecodedNotice> Decode(const raw::v1::Notice& notice, Purpose purpose) const override;
};

}  // namespace dealstream::crm::moysklad
