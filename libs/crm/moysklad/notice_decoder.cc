#include "libs/crm/moysklad/notice_decoder.h"

#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/api/json.h"
#include "libs/crm/moysklad/wire.h"

namespace dealstream::crm::moysklad {
namespace {

// The CRM's own notices hold at most as many events as a bulk request has rows, 1000.
constexpr size_t kMostEvents = 10'000;
constexpr size_t kLongestDeliveryId = 64;

// Value of `requestId` in a query string: repeats of a delivery bear the same.
std::string DeliveryId(std::string_view query) {
  constexpr std::string_view kName = "requestId=";
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    if (pair.substr(0, kName.size()) == kName) {
      const std::string_view value = pair.substr(kName.size());
      // A UUID needs no percent-decoding; anything else is no id of theirs.
      return IsUuid(value) && value.size() <= kLongestDeliveryId
                 ? absl::AsciiStrToLower(ToAbsl(value))
                 : std::string();
    }
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
  }
  return {};
}

struct Event {
  std::string_view type;
  std::string_view href;
};

Status ReadMeta(json::Node node, Event& event) {
  return node.Object([&](std::string_view key, json::Node value) -> Status {
    if (key == "type") {
      return value.String(event.type);
    }
    if (key == "href") {
      return value.String(event.href);
    }
    return absl::OkStatus();
  });
}

class Reader {
 public:
  explicit Reader(Purpose purpose) : purpose_(purpose) {}

  Status ReadEvents(json::Node events) {
    seen_events_ = true;
    size_t count = 0;
    return events.Array([&](json::Node node) -> Status {
      if (++count > kMostEvents) {
        return node.Wrong("more", fmt::format("at most {} events", kMostEvents));
      }
      return ReadEvent(node);
    });
  }

  void SawStockReport() { stock_report_ = true; }

  Result<DecodedNotice> Finish(std::string_view query) && {
    if (!seen_events_) {
      if (!stock_report_) {
        return WithReason(
            absl::InvalidArgumentError("webhook: events: got nothing, want an array of events"),
            json::kWrongShape);
      }
      notice_.ignored.emplace_back("stock_report");
    } else if (notice_.objects.empty() && notice_.ignored.empty() && notice_.unreadable.ok()) {
      notice_.ignored.emplace_back("no_events");
    }
    if (notice_.objects.empty()) {
      DEALSTREAM_RETURN_IF_ERROR(notice_.unreadable);
    }
    notice_.delivery_id = DeliveryId(query);
    return std::move(notice_);
  }

 private:
  Status ReadEvent(json::Node node) {
    Event event;
    DEALSTREAM_RETURN_IF_ERROR(node.Object([&](std::string_view key, json::Node value) -> Status {
      // The action is not looked at: the order is read in any case. Nor is accountId: it isn't
      // known which one the integration has until something was read.
      return key == "meta" ? ReadMeta(value, event) : absl::OkStatus();
    }));
    if (event.type.empty()) {
      return Keep(node.Wrong("an event without meta.type", "the type of the entity"));
    }
    if (event.type != kOrder || purpose_ != integration::v1::PURPOSE_DEALS) {
      notice_.ignored.emplace_back(event.type == kOrder ? "other_purpose" : "other_entity");
      return absl::OkStatus();
    }
    const std::string_view id = IdOfHref(event.href);
    if (!IsUuid(id)) {
      return Keep(node.Wrong("an event whose meta.href ends without an id",
                             "a reference that ends in a UUID"));
    }
    ObjectRef ref{std::string(kOrder), absl::AsciiStrToLower(ToAbsl(id))};
    if (seen_.insert(ref).second) {
      notice_.objects.push_back(std::move(ref));
    }
    return absl::OkStatus();
  }

  // One bad event doesn't keep the others from being read.
  Status Keep(Status unreadable) {
    notice_.unreadable.Update(std::move(unreadable));
    return absl::OkStatus();
  }

  Purpose purpose_;
  DecodedNotice notice_;
  absl::flat_hash_set<ObjectRef> seen_;
  bool seen_events_ = false;
  bool stock_report_ = false;
};

}  // namespace

NoticeReply Decoder::Reply() const {
  NoticeReply reply;
  // 200 or 204 within 1500 ms, else three more tries at once and then never again. Source:
  // README.md#webhooks, official.
  reply.status = 204;
  reply.patience = absl::Milliseconds(1500);
  return reply;
}

Result<DecodedNotice> Decoder::Decode(const raw::v1::Notice& notice, Purpose purpose) const {
  json::Document document(absl::StatusCode::kInvalidArgument);
  Reader reader(purpose);
  DEALSTREAM_RETURN_IF_ERROR(document.Read("webhook", notice.body(), [&](json::Node root) {
    return root.Object([&](std::string_view key, json::Node value) -> Status {
      if (key == "events") {
        return reader.ReadEvents(value);
      }
      if (key == "reportUrl" || key == "stockType") {
        reader.SawStockReport();
      }
      return absl::OkStatus();
    });
  }));
  return std::move(reader).Finish(notice.query());
}

}  // namespace dealstream::crm::moysklad
