#include "libs/crm/newcrm/notice_decoder.h"

#include <string>

#include "libs/crm/api/json.h"
#include "libs/crm/newcrm/wire.h"

namespace dealstream::crm::newcrm {
namespace {

constexpr std::string_view kDealEvents = "deal.";
constexpr size_t kLongestDeliveryId = 64;

}  // namespace

NoticeReply Decoder::Reply() const {
  NoticeReply reply;
  reply.status = 200;
  return reply;
}

Result<DecodedNotice> Decoder::Decode(const raw::v1::Notice& notice, Purpose purpose) const {
  std::string event;
  std::string id;
  DecodedNotice decoded;
  json::Document document(absl::StatusCode::kInvalidArgument);
  DEALSTREAM_RETURN_IF_ERROR(document.Read("webhook", notice.body(), [&](json::Node root) {
    return root.Object([&](std::string_view key, json::Node value) -> Status {
      if (key == "event") {
        return value.StringTo([&](std::string_view text) { event = text; });
      }
      if (key == "deal") {
        std::string_view text;
        DEALSTREAM_RETURN_IF_ERROR(value.String(text));
        id = text;
        return IsId(text) ? absl::OkStatus() : value.Wrong("another text", "a number's digits");
      }
      if (key == "delivery") {
        return value.StringTo([&](std::string_view text) {
          decoded.delivery_id = text.substr(0, kLongestDeliveryId);
        });
      }
      return absl::OkStatus();
    });
  }));
  if (event.empty()) {
    return absl::InvalidArgumentError("webhook: event: got nothing, want a string");
  }
  if (!event.starts_with(kDealEvents) || purpose != integration::v1::PURPOSE_DEALS) {
    decoded.ignored.emplace_back("other_entity");
    return decoded;
  }
  if (id.empty()) {
    return absl::InvalidArgumentError("webhook: deal: got nothing, want a string");
  }
  decoded.objects.push_back({std::string(kDeal), id});
  return decoded;
}

}  // namespace dealstream::crm::newcrm
