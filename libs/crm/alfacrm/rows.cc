#include "libs/crm/alfacrm/rows.h"

#include <utility>

#include "libs/crm/alfacrm/json_values.h"
#include "libs/crm/alfacrm/row_fields.h"

namespace dealstream::crm::alfacrm {
namespace {

// What is no time is as good as none: people type some of them.
Status ReadTime(json::Node node, const absl::TimeZone& zone, std::optional<WireTime>& time) {
  std::string_view text;
  DEALSTREAM_RETURN_IF_ERROR(ReadText(node, text));
  time = ParseWireTime(text, zone);
  return absl::OkStatus();
}

Status ReadIds(json::Node node, std::vector<int64_t>& ids) {
  return ReadList(node, [&ids](json::Node element) -> Status {
    int64_t id = 0;
    DEALSTREAM_RETURN_IF_ERROR(ReadId(element, id));
    if (id > 0) {
      ids.push_back(id);
    }
    return absl::OkStatus();
  });
}

Status ReadCustomer(json::Node node, const absl::TimeZone& zone, CustomerRow& row) {
  DEALSTREAM_RETURN_IF_ERROR(node.Object([&](std::string_view key, json::Node value) {
    return TakeCustomerField(key, value, zone, row).status();
  }));
  return row.id > 0 ? absl::OkStatus() : node.Wrong("a customer without id", "one with an id");
}

Status ReadPay(json::Node node, const absl::TimeZone& zone, PayRow& row) {
  DEALSTREAM_RETURN_IF_ERROR(node.Object([&](std::string_view key, json::Node value) {
    return TakePayField(key, value, zone, row).status();
  }));
  return row.id > 0 ? absl::OkStatus() : node.Wrong("a payment without id", "one with an id");
}

template <typename Row, typename ReadRow>
Result<RowPage<Row>> ReadRows(std::string_view what, std::string_view body, const ReadRow& read) {
  RowPage<Row> page;
  PageHead head;
  json::Document document;
  Status status = document.Read(what, body, [&](json::Node root) {
    return ReadPage(root, head, [&](json::Node node) -> Status {
      Row row;
      DEALSTREAM_RETURN_IF_ERROR(read(node, row));
      page.rows.push_back(std::move(row));
      return absl::OkStatus();
    });
  });
  DEALSTREAM_RETURN_IF_ERROR(OfAnswer(std::move(status)));
  DEALSTREAM_RETURN_IF_ERROR(CheckPage(what, head));
  page.page = head.page;
  page.count = head.count;
  page.total = head.total;
  return page;
}

}  // namespace

Result<bool> TakeCustomerField(std::string_view key,
                               json::Node value,
                               const absl::TimeZone& zone,
                               CustomerRow& row) {
  Status status;
  if (key == "id") {
    status = ReadId(value, row.id);
  } else if (key == "is_study") {
    status = ReadFlag(value, row.is_study);
  } else if (key == "lead_status_id") {
    status = ReadId(value, row.lead_status_id);
  } else if (key == "lead_reject_id") {
    status = ReadId(value, row.lead_reject_id);
  } else if (key == "lead_source_id") {
    status = ReadId(value, row.lead_source_id);
  } else if (key == "study_status_id") {
    status = ReadId(value, row.study_status_id);
  } else if (key == "assigned_id") {
    status = ReadId(value, row.assigned_id);
  } else if (key == "branch_ids") {
    status = ReadIds(value, row.branch_ids);
  } else if (key == "teacher_ids") {
    status = ReadIds(value, row.teacher_ids);
  } else if (key == "created_at") {
    status = ReadTime(value, zone, row.created_at);
  } else if (key == "b_date") {
    status = ReadTime(value, zone, row.b_date);
  } else if (key == "updated_at") {
    status = ReadTime(value, zone, row.updated_at);
  } else {
    return false;
  }
  DEALSTREAM_RETURN_IF_ERROR(status);
  return true;
}

Result<bool> TakePayField(std::string_view key,
                          json::Node value,
                          const absl::TimeZone& zone,
                          PayRow& row) {
  Status status;
  if (key == "id") {
    status = ReadId(value, row.id);
  } else if (key == "branch_id") {
    status = ReadId(value, row.branch_id);
  } else if (key == "customer_id") {
    status = ReadId(value, row.customer_id);
  } else if (key == "pay_type_id") {
    status = ReadId(value, row.pay_type_id);
  } else if (key == "pay_account_id") {
    status = ReadId(value, row.pay_account_id);
  } else if (key == "pay_item_id") {
    status = ReadId(value, row.pay_item_id);
  } else if (key == "document_date") {
    status = ReadTime(value, zone, row.document_date);
  } else if (key == "created_at") {
    status = ReadTime(value, zone, row.created_at);
  } else if (key == "updated_at") {
    status = ReadTime(value, zone, row.updated_at);
  } else {
    return false;
  }
  DEALSTREAM_RETURN_IF_ERROR(status);
  return true;
}

std::optional<absl::Time> CustomerRow::MadeAt(const History& history) const {
  if (created_at.has_value()) {
    return created_at->time;
  }
  return b_date.has_value() ? b_date->time : history.made;
}

std::optional<absl::Time> CustomerRow::ChangedAt(const History& history) const {
  const bool says_when = updated_at.has_value() && updated_at->has_time;
  return says_when ? updated_at->time : history.changed;
}

bool CustomerRow::HasLeadDeal(const History& history) const {
  return !IsClient() || lead_status_id > 0 || history.WasLead();
}

absl::Time PayRow::MadeAt(const History& history) const {
  if (HasOwnTime()) {
    return created_at->time;
  }
  if (const auto entered = history.PayEntered(id)) {
    return *entered;
  }
  return document_date.has_value() ? document_date->time : absl::InfinitePast();
}

absl::Time PayRow::ChangedAt(const History& history) const {
  const bool says_when = updated_at.has_value() && updated_at->has_time;
  return says_when ? updated_at->time : MadeAt(history);
}

Result<RowPage<CustomerRow>> ReadCustomers(std::string_view body, const absl::TimeZone& zone) {
  return ReadRows<CustomerRow>("customers", body, [&zone](json::Node node, CustomerRow& row) {
    return ReadCustomer(node, zone, row);
  });
}

Result<RowPage<PayRow>> ReadPays(std::string_view body, const absl::TimeZone& zone) {
  return ReadRows<PayRow>(
      "pays", body, [&zone](json::Node node, PayRow& row) { return ReadPay(node, zone, row); });
}

Status OfAnswer(Status status) {
  if (ReasonOf(status) != json::kMalformed) {
    return status;
  }
  return WithReason(absl::UnavailableError(status.message()), json::kMalformed);
}

bool IsForbidden(const Status& status) {
  return (absl::IsPermissionDenied(status) && ReasonOf(status) != "host_not_allowed") ||
         ReasonOf(status) == "unknown_path";
}

}  // namespace dealstream::crm::alfacrm
