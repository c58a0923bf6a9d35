#pragma once

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::megaplan {

// An event of an application, or the webhook of a scenario, names one entity. Of deals only the id
// counts: the deal is read again. Other entities are ignored ("other_entity"), and so are webhooks
// that say nothing ("empty_body", "no_json", "unknown_entity").
class Decoder final : public NoticeDecoder {
 public:
  NoticeReply Reply() const override;
  Result<DecodedNotice> Decode(const raw::v1::Notice& notice, Purpose purpose) const override;
};

}  // namespace dealstream::crm::megaplan
