#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

#include "libs/base/status.h"
#include "libs/crm/alfacrm/history.h"
#include "libs/crm/alfacrm/settings.h"
#include "libs/crm/alfacrm/wire.h"

// Rows of customers and payments, as far as reading needs them; the mapper reads more of them.
namespace dealstream::crm::alfacrm {

struct CustomerRow {
  int64_t id = 0;
  std::optional<bool> is_study;
  int64_t lead_status_id = 0;
  int64_t lead_reject_id = 0;
  int64_t lead_source_id = 0;
  int64_t study_status_id = 0;
  int64_t assigned_id = 0;
  std::vector<int64_t> branch_ids;
  std::vector<int64_t> teacher_ids;
  std::optional<WireTime> created_at;
  // Older accounts' creation.
  std::optional<WireTime> b_date;
  std::optional<WireTime> updated_at;

  // Nothing when neither it nor the log says.
  std::optional<absl::Time> MadeAt(const History& history) const;
  std::optional<absl::Time> ChangedAt(const History& history) const;
  bool IsClient() const { return is_study.value_or(false); }
  // A person who was made a client at once has no deal of a first sale.
  bool HasLeadDeal(const History& history) const;
};

struct PayRow {
  int64_t id = 0;
  int64_t branch_id = 0;
  int64_t customer_id = 0;
  int64_t pay_type_id = 0;
  int64_t pay_account_id = 0;
  int64_t pay_item_id = 0;
  std::optional<WireTime> document_date;
  std::optional<WireTime> created_at;
  std::optional<WireTime> updated_at;

  bool HasOwnTime() const { return created_at.has_value() && created_at->has_time; }
  // Its own time, else that of its entry in the log, else the day of its document. InfinitePast
  // when there is none of them.
  absl::Time MadeAt(const History& history) const;
  // Its own update time, else when it was made.
  absl::Time ChangedAt(const History& history) const;
};

template <typename Row>
struct RowPage {
  int64_t page = 0;
  int64_t count = 0;
  int64_t total = 0;
  std::vector<Row> rows;
};

// DataLoss names the path. An answer that is no JSON is Unavailable: it may have been cut.
Result<RowPage<CustomerRow>> ReadCustomers(std::string_view body, const absl::TimeZone& zone);
Result<RowPage<PayRow>> ReadPays(std::string_view body, const absl::TimeZone& zone);

// An answer that is no JSON may have been cut on its way: it is asked for again, whereas one of the
// wrong shape would come again as it is.
Status OfAnswer(Status status);

// The role may not read it, or the account doesn't have it.
bool IsForbidden(const Status& status);

}  // namespace dealstream::crm::alfacrm
