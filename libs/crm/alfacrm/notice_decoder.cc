#include "libs/crm/alfacrm/notice_decoder.h"

#include <string>
#include <utility>

#include "libs/crm/alfacrm/json_values.h"
#include "libs/crm/alfacrm/wire.h"

namespace dealstream::crm::alfacrm {
namespace {

struct Event {
  std::string entity;
  int64_t entity_id = 0;
  // Of a payment; 0 where it isn't named.
  int64_t customer_before = 0;
  int64_t customer_after = 0;
};

Status ReadCustomerId(json::Node map, json::Document& nested, int64_t& id) {
  return ReadMap(map, nested, [&id](std::string_view key, json::Node value) -> Status {
    return key == "customer_id" ? ReadId(value, id) : absl::OkStatus();
  });
}

Status ReadEvent(json::Node root, Event& event) {
  return root.Object([&event](std::string_view key, json::Node value) -> Status {
    if (key == "entity") {
      return value.StringTo([&event](std::string_view text) { event.entity = text; });
    }
    return key == "entity_id" ? ReadId(value, event.entity_id) : absl::OkStatus();
  });
}

// Of a payment. What is known of the one map is kept though the other can't be read.
Status ReadCustomers(json::Node root, json::Document& nested, Event& event) {
  Status unreadable;
  const Status status = root.Object([&](std::string_view key, json::Node value) -> Status {
    Status read;
    if (key == "fields_old") {
      read = ReadCustomerId(value, nested, event.customer_before);
    } else if (key == "fields_new") {
      read = ReadCustomerId(value, nested, event.customer_after);
    }
    if (ReasonOf(read) != json::kWrongShape) {
      return read;
    }
    unreadable = std::move(read);
    return absl::OkStatus();
  });
  return status.ok() ? unreadable : status;
}

Status Missing(std::string_view what) {
  return WithReason(absl::InvalidArgumentError("webhook: " + std::string(what)), json::kWrongShape);
}

void AddLead(int64_t customer_id, DecodedNotice& notice) {
  ObjectRef ref{std::string(kLead), LeadId(customer_id)};
  if (customer_id > 0 && (notice.objects.empty() || notice.objects.back() != ref)) {
    notice.objects.push_back(std::move(ref));
  }
}

}  // namespace

NoticeReply Decoder::Reply() const {
  NoticeReply reply;
  // What AlfaCRM takes for success, and how long it waits, isn't documented. Source:
  // README.md#webhooks.
  reply.status = 200;
  reply.content_type = "text/plain";
  reply.body = "ok";
  return reply;
}

Result<DecodedNotice> Decoder::Decode(const raw::v1::Notice& notice, Purpose purpose) const {
  json::Document document(absl::StatusCode::kInvalidArgument);
  Event event;
  DEALSTREAM_RETURN_IF_ERROR(document.Read(
      "webhook", notice.body(), [&](json::Node root) { return ReadEvent(root, event); }));
  if (event.entity.empty()) {
    return Missing("entity: got nothing, want the name of one, such as Customer");
  }
  DecodedNotice decoded;
  const bool is_customer = event.entity == "Customer";
  if (!is_customer && event.entity != "Pay") {
    decoded.ignored.emplace_back("other_entity");
    return decoded;
  }
  if (purpose != integration::v1::PURPOSE_DEALS) {
    decoded.ignored.emplace_back("other_purpose");
    return decoded;
  }
  if (event.entity_id <= 0) {
    return Missing("entity_id: got nothing, want a number");
  }
  if (is_customer) {
    AddLead(event.entity_id, decoded);
    return decoded;
  }
  decoded.objects.push_back({std::string(kPay), PayId(event.entity_id)});
  // Only of payments do the maps say anything that is needed.
  json::Document nested(absl::StatusCode::kInvalidArgument);
  decoded.unreadable = document.Read("webhook", notice.body(), [&](json::Node root) {
    return ReadCustomers(root, nested, event);
  });
  AddLead(event.customer_after, decoded);
  AddLead(event.customer_before, decoded);
  if (decoded.objects.size() == 1) {
    // A change names the fields that changed, not the customer.
    decoded.objects.push_back({std::string(kPayer), PayId(event.entity_id)});
  }
  return decoded;
}

}  // namespace dealstream::crm::alfacrm
