#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"

#include "libs/base/status.h"
#include "libs/domain/money.h"

// How AlfaCRM writes things. Facts and their sources are in README.md.
//
//   page     = {page, count, total, items: [row]}; pages count from 0, one past the end repeats the
//              last
//   customer = {id, branch_ids: [id], teacher_ids: [id], name, is_study, lead_status_id?, ...,
//              phone: [text], email: [text], custom_<code>: any}; a lead and a client are one row
//   pay      = {id, branch_id, customer_id?, pay_type_id, income?, expenditure?, document_date,
//              is_confirmed?, ...}
//   log row  = {entity, entity_id, event, fields_old: map, fields_new: map, date_time}
//   map      = {...}, or [] or "" when it is empty, or a JSON text
//   notice   = {branch_id, event, entity, entity_id, fields_old: map, fields_new: map, datetime}
//   refusal  = {name, message, code, status}
//
// Ids, money and flags come as numbers and as texts. Times are wall times of the account.
namespace dealstream::crm::alfacrm {

// Of rows that don't say when they changed: read once.
inline constexpr int64_t kUnknownVersion = 1;

// Kinds of objects and what their external ids begin with: "lead:4101", "pay:9001". A payer is the
// lead of a payment whose customer isn't named; it bears the payment's id.
inline constexpr std::string_view kLead = "lead";
inline constexpr std::string_view kPay = "pay";
inline constexpr std::string_view kPayer = "payer";

// Parts of a record: the pages as the CRM gave them, and what the adapter made of the history and
// the directories.
inline constexpr std::string_view kCustomerPart = "customer";
// The payment itself.
inline constexpr std::string_view kPayPart = "pay";
// All payments of a lead's customer, one part for each page.
inline constexpr std::string_view kPaysPart = "pays";
// See history.h.
inline constexpr std::string_view kHistoryPart = "history";
// {"<directory>": {"<id>": "<name>"}}, of what the other parts refer to.
inline constexpr std::string_view kNamesPart = "names";

std::string LeadId(int64_t customer_id);
std::string PayId(int64_t pay_id);
// The number in an external id of that kind; nothing when it is none.
std::optional<int64_t> NumberOf(std::string_view kind, std::string_view external_id);

// A whole number without sign, blanks and leading zeros but "0". Nothing when it is none.
std::optional<int64_t> ParseId(std::string_view text);

// A time as the CRM writes them.
struct WireTime {
  absl::Time time;
  // False: a date, `time` is its first moment.
  bool has_time = false;
};

// "2025-09-29 18:05:44", with "T", with a fraction that is cut off, "2025-09-29", "29.09.2025" and
// "29.09.2025 18:05:44", in the account's wall time, unless an offset stands behind the time ("Z",
// "+03:00"). A time that the clocks skip is the one after
// it, one that comes twice is the first. Nothing for "", "0000-00-00" and what is no time.
std::optional<WireTime> ParseWireTime(std::string_view text, const absl::TimeZone& zone);

// "DD.MM.YYYY" and "YYYY.MM.DD HH:MM:SS".
std::string FormatDay(absl::Time time, const absl::TimeZone& zone);
std::string FormatTime(absl::Time time, const absl::TimeZone& zone);

// The content of a JSON string.
std::string EscapeJson(std::string_view text);

// Money as text or number: "575.00", "1 250,50", "". Nothing when it is empty; InvalidArgument when
// it is no amount.
Result<std::optional<domain::Decimal>> ParseAmount(std::string_view text);

}  // namespace dealstream::crm::alfacrm
