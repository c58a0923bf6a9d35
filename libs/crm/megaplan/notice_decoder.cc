#include "libs/crm/megaplan/notice_decoder.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/api/json.h"
#include "libs/crm/megaplan/wire.h"

namespace dealstream::crm::megaplan {
namespace {

// What an event says, as views into the document.
struct Event {
  std::string_view name;
  std::string_view model;
  std::string_view content_type;
  std::string_view id;
  // Of a scenario.
  bool is_scenario = false;
  std::string_view deal_id;
};

// Ids are texts of digits in events and numbers in scenarios; either may be either. Those of other
// entities are other texts, or worse: only a deal's is looked at.
Status ReadId(json::Node node, std::string_view& id) {
  switch (node.kind()) {
    case json::Node::Kind::kNumber:
      return node.Number(id);
    case json::Node::Kind::kString:
      return node.String(id);
    default:
      return absl::OkStatus();
  }
}

// A name that isn't a text is as good as none: the entity is named in more than one way.
Status ReadName(json::Node node, std::string_view& name) {
  return node.kind() == json::Node::Kind::kString ? node.String(name) : absl::OkStatus();
}

Status ReadScenarioDeal(json::Node node, Event& event) {
  event.is_scenario = true;
  return node.Object([&](std::string_view key, json::Node value) -> Status {
    return key == "Id" || key == "id" ? ReadId(value, event.deal_id) : absl::OkStatus();
  });
}

Status ReadData(json::Node node, Event& event) {
  return node.Object([&](std::string_view key, json::Node value) -> Status {
    if (key == "contentType") {
      return ReadName(value, event.content_type);
    }
    if (key == "id") {
      return ReadId(value, event.id);
    }
    return key == "deal" && value.kind() == json::Node::Kind::kObject
               ? ReadScenarioDeal(value, event)
               : absl::OkStatus();
  });
}

// "on_after_drop" and "onAfterDrop" are one.
bool IsDrop(std::string_view name) {
  std::string plain;
  for (char c : name) {
    if (c != '_') {
      plain += absl::ascii_tolower(static_cast<unsigned char>(c));
    }
  }
  return plain == "onafterdrop";
}

// Value of `stream` in the query of our address, for applications that say nothing of the entity.
std::string_view StreamOf(std::string_view query) {
  constexpr std::string_view kName = "stream=";
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    if (pair.starts_with(kName)) {
      return pair.substr(kName.size());
    }
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
  }
  return {};
}

bool IsDealName(std::string_view name) {
  const std::string lower = absl::AsciiStrToLower(ToAbsl(name));
  return lower == "deal" || lower == "deals";
}

DecodedNotice Ignored(std::string_view reason) {
  DecodedNotice notice;
  notice.ignored.emplace_back(reason);
  return notice;
}

DecodedNotice Named(std::string_view kind, std::string_view id) {
  DecodedNotice notice;
  notice.objects.push_back({std::string(kind), std::string(id)});
  return notice;
}

Status Nameless(std::string_view where, std::string_view id) {
  const std::string got = id.empty() ? "nothing" : fmt::format("\"{}\"", id.substr(0, 40));
  return WithReason(absl::InvalidArgumentError(fmt::format(
                        "webhook: {}: got {}, want the id of a deal, in digits", where, got)),
                    json::kWrongShape);
}

Result<DecodedNotice> Judge(const Event& event, const raw::v1::Notice& notice, Purpose purpose) {
  // By the entity itself, else by the model, else by the stream that our address names.
  const std::string_view entity = !event.content_type.empty() ? event.content_type
                                  : !event.model.empty()      ? event.model
                                                              : StreamOf(notice.query());
  const bool is_scenario = event.is_scenario && event.id.empty();
  if (!is_scenario && entity.empty()) {
    return Ignored("unknown_entity");
  }
  if (!is_scenario && !IsDealName(entity)) {
    return Ignored("other_entity");
  }
  if (purpose != integration::v1::PURPOSE_DEALS) {
    return Ignored("other_purpose");
  }
  const std::string_view id = is_scenario ? event.deal_id : event.id;
  if (!IsId(id)) {
    return Nameless(is_scenario ? "data.deal.Id" : "data.id", id);
  }
  // Whether it is gone is read, like all else; that it should be gone is remembered, for a moment.
  if (IsDrop(event.name) && notice.has_received_at()) {
    return Named(fmt::format("{}{}", kDroppedDealPrefix, notice.received_at().seconds()), id);
  }
  return Named(kDeal, id);
}

}  // namespace

NoticeReply Decoder::Reply() const {
  NoticeReply reply;
  // Which answers count as received, and how long it waits, isn't documented. Source:
  // README.md#webhooks.
  reply.status = 200;
  reply.content_type = "application/json";
  reply.body = "{}";
  return reply;
}

Result<DecodedNotice> Decoder::Decode(const raw::v1::Notice& notice, Purpose purpose) const {
  const std::string_view body = Trimmed(notice.body());
  if (body.empty()) {
    return Ignored("empty_body");
  }
  // Such were seen, and mean nothing. What begins as JSON and doesn't end as such was cut.
  if (body.front() != '{' && body.front() != '[') {
    return Ignored("no_json");
  }
  json::Document document(absl::StatusCode::kInvalidArgument);
  Event event;
  DEALSTREAM_RETURN_IF_ERROR(document.Read("webhook", body, [&](json::Node root) {
    return root.Object([&](std::string_view key, json::Node value) -> Status {
      if (key == "event") {
        return ReadName(value, event.name);
      }
      if (key == "model") {
        return ReadName(value, event.model);
      }
      return key == "data" && value.kind() == json::Node::Kind::kObject ? ReadData(value, event)
                                                                        : absl::OkStatus();
    });
  }));
  return Judge(event, notice, purpose);
}

}  // namespace dealstream::crm::megaplan
