#include "libs/crm/alfacrm/history.h"

#include <algorithm>

#include "absl/time/civil_time.h"
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "libs/crm/alfacrm/json_values.h"
#include "libs/crm/alfacrm/wire.h"

namespace dealstream::crm::alfacrm {
namespace {

struct Fields {
  bool any = false;
  std::optional<bool> is_study;
  int64_t customer_id = 0;
};

Status ReadFields(json::Node node, json::Document& nested, Fields& fields) {
  return ReadMap(node, nested, [&fields](std::string_view key, json::Node value) -> Status {
    fields.any = true;
    if (key == "is_study") {
      return ReadFlag(value, fields.is_study);
    }
    return key == "customer_id" ? ReadId(value, fields.customer_id) : absl::OkStatus();
  });
}

Status ReadRow(json::Node node,
               const absl::TimeZone& zone,
               json::Document& nested,
               std::vector<LogRow>& rows) {
  LogRow row;
  Fields before;
  Fields after;
  std::optional<WireTime> at;
  DEALSTREAM_RETURN_IF_ERROR(node.Object([&](std::string_view key, json::Node value) -> Status {
    if (key == "id") {
      return ReadId(value, row.id);
    }
    if (key == "entity") {
      return value.StringTo([&row](std::string_view text) { row.entity = text; });
    }
    if (key == "entity_id") {
      return ReadId(value, row.entity_id);
    }
    if (key == "date_time") {
      std::string_view text;
      DEALSTREAM_RETURN_IF_ERROR(value.String(text));
      at = ParseWireTime(text, zone);
      return absl::OkStatus();
    }
    if (key == "fields_old") {
      return ReadFields(value, nested, before);
    }
    return key == "fields_new" ? ReadFields(value, nested, after) : absl::OkStatus();
  }));
  if (!at.has_value()) {
    return absl::OkStatus();
  }
  row.at = at->time;
  row.has_old_fields = before.any;
  row.client_before = before.is_study;
  row.client_after = after.is_study;
  row.customer_before = before.customer_id;
  row.customer_after = after.customer_id;
  rows.push_back(std::move(row));
  return absl::OkStatus();
}

Status ReadInstant(json::Node node, std::optional<absl::Time>& time) {
  int64_t micros = 0;
  DEALSTREAM_RETURN_IF_ERROR(node.Int(micros));
  time = absl::FromUnixMicros(micros);
  return absl::OkStatus();
}

Status ReadStudy(json::Node node, std::vector<History::Study>& studies) {
  std::optional<absl::Time> at;
  bool client = false;
  DEALSTREAM_RETURN_IF_ERROR(node.Object([&](std::string_view key, json::Node value) -> Status {
    if (key == "at") {
      return ReadInstant(value, at);
    }
    return key == "client" ? value.Bool(client) : absl::OkStatus();
  }));
  if (!at.has_value()) {
    return node.Wrong("a change without a time", "one");
  }
  studies.push_back({*at, client});
  return absl::OkStatus();
}

Status ReadPayEntered(json::Node node, std::vector<std::pair<int64_t, absl::Time>>& pays) {
  std::optional<absl::Time> at;
  int64_t id = 0;
  DEALSTREAM_RETURN_IF_ERROR(node.Object([&](std::string_view key, json::Node value) -> Status {
    if (key == "at") {
      return ReadInstant(value, at);
    }
    return key == "id" ? value.Int(id) : absl::OkStatus();
  }));
  if (!at.has_value()) {
    return node.Wrong("a payment without a time", "one");
  }
  pays.emplace_back(id, *at);
  return absl::OkStatus();
}

}  // namespace

bool History::WasLead() const {
  // A change is one from or to a lead.
  return began_as_client == false || !studies.empty();
}

bool History::IsUpsell(absl::Time pay_at, bool client_now) const {
  if (studies.empty() || studies.back().at < pay_at) {
    return client_now;
  }
  bool client = !studies.front().client;
  for (const Study& study : studies) {
    // At the very moment it is still what it was.
    if (study.at < pay_at) {
      client = study.client;
    }
  }
  return client;
}

std::optional<bool> History::LastKnown() const {
  return studies.empty() ? began_as_client : std::optional(studies.back().client);
}

std::optional<absl::Time> History::PayEntered(int64_t pay_id) const {
  const auto found = std::find_if(
      pays.begin(), pays.end(), [pay_id](const auto& pay) { return pay.first == pay_id; });
  return found == pays.end() ? std::nullopt : std::optional(found->second);
}

bool History::HasChangeOn(absl::Time first_moment, const absl::TimeZone& zone) const {
  const absl::CivilDay day = absl::ToCivilDay(first_moment, zone);
  return std::any_of(studies.begin(), studies.end(), [&](const Study& study) {
    return absl::ToCivilDay(study.at, zone) == day;
  });
}

std::string History::ToJson() const {
  std::vector<std::string> members;
  if (made.has_value()) {
    members.push_back(fmt::format("\"made\":{}", absl::ToUnixMicros(*made)));
  }
  if (changed.has_value()) {
    members.push_back(fmt::format("\"changed\":{}", absl::ToUnixMicros(*changed)));
  }
  if (began_as_client.has_value()) {
    members.push_back(fmt::format("\"began_as_client\":{}", *began_as_client));
  }
  if (!studies.empty()) {
    std::string list;
    for (const Study& study : studies) {
      list += fmt::format("{}{{\"at\":{},\"client\":{}}}",
                          list.empty() ? "" : ",",
                          absl::ToUnixMicros(study.at),
                          study.client);
    }
    members.push_back(fmt::format("\"studies\":[{}]", list));
  }
  if (!pays.empty()) {
    std::string list;
    for (const auto& [id, at] : pays) {
      list += fmt::format(
          "{}{{\"id\":{},\"at\":{}}}", list.empty() ? "" : ",", id, absl::ToUnixMicros(at));
    }
    members.push_back(fmt::format("\"pays\":[{}]", list));
  }
  return fmt::format("{{{}}}", fmt::join(members, ","));
}

Result<History> History::Parse(std::string_view text) {
  History history;
  // The parser's memory is used again for every record of this thread.
  thread_local json::Document document;
  DEALSTREAM_RETURN_IF_ERROR(document.Read(kHistoryPart, text, [&history](json::Node root) {
    return root.Object([&history](std::string_view key, json::Node value) -> Status {
      if (key == "made") {
        return ReadInstant(value, history.made);
      }
      if (key == "changed") {
        return ReadInstant(value, history.changed);
      }
      if (key == "began_as_client") {
        bool client = false;
        DEALSTREAM_RETURN_IF_ERROR(value.Bool(client));
        history.began_as_client = client;
        return absl::OkStatus();
      }
      if (key == "studies") {
        return value.Array(
            [&history](json::Node node) { return ReadStudy(node, history.studies); });
      }
      if (key == "pays") {
        return value.Array(
            [&history](json::Node node) { return ReadPayEntered(node, history.pays); });
      }
      return absl::OkStatus();
    });
  }));
  return history;
}

Result<LogPage> ReadLogPage(std::string_view body, const absl::TimeZone& zone) {
  LogPage page;
  PageHead head;
  json::Document document;
  json::Document nested;
  int64_t items = 0;
  DEALSTREAM_RETURN_IF_ERROR(document.Read("log", body, [&](json::Node root) {
    return ReadPage(root, head, [&](json::Node row) {
      ++items;
      return ReadRow(row, zone, nested, page.rows);
    });
  }));
  DEALSTREAM_RETURN_IF_ERROR(CheckPage("log", head));
  page.page = head.page;
  page.count = std::max(head.count, items);
  page.total = head.total;
  return page;
}

History HistoryOf(std::vector<LogRow> rows) {
  std::sort(rows.begin(), rows.end(), [](const LogRow& a, const LogRow& b) {
    return std::pair(a.at, a.id) < std::pair(b.at, b.id);
  });
  // Rows may move between pages while they are read: one may come twice.
  rows.erase(std::unique(rows.begin(),
                         rows.end(),
                         [](const LogRow& a, const LogRow& b) {
                           return a.id == b.id && a.at == b.at &&
                                  a.client_before == b.client_before &&
                                  a.client_after == b.client_after;
                         }),
             rows.end());
  History history;
  for (const LogRow& row : rows) {
    if (!history.made.has_value()) {
      history.made = row.at;
    }
    history.changed = row.at;
    if (!row.client_after.has_value()) {
      continue;
    }
    // The numbers of events mean different things in different sources: the fields tell. Source:
    // README.md#log.
    if (!row.client_before.has_value()) {
      if (!row.has_old_fields && !history.began_as_client.has_value()) {
        history.began_as_client = row.client_after;
      }
      continue;
    }
    if (*row.client_before != *row.client_after) {
      history.studies.push_back({row.at, *row.client_after});
    }
  }
  return history;
}

}  // namespace dealstream::crm::alfacrm
