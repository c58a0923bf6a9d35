#pragma once

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::newcrm {

// A webhook names a deal, which is read again, whatever happened to it. What happened to other
// things is ignored ("other_entity").
class Decoder final : public NoticeDecoder {
 public:
  NoticeReply Reply() const override;
  Result<DecodedNotice> Decode(const raw::v1::Notice& notice, Purpose purpose) const override;
};

}  // namespace dealstream::crm::newcrm
