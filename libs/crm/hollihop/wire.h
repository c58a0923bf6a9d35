#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/civil_time.h"
#include "absl/time/time.h"

// How Hollihop writes things: names of the wire, times. Facts and their sources are in README.md.
//
//   leads    = {Leads:[lead], Now:time}           a key without a value is left out, not null
//   lead     = {Id, Created, Updated, FirstName?, LastName?, MiddleName?, Mobile?, Phone?, EMail?,
//               StatusId?, Status?, Discipline?, Level?, Maturity?, LearningType?, AdSource?,
//               AddressDate?, StudentClientId?, Budget?, BudgetQuantity?, BudgetCurrency?,
//               Agents?:[person], OfficesAndCompanies?:[{Id, Name}], Assignees?:[{Id, FullName}],
//               ExtraFields?:[{Name, Value}], ...}
//   person   = {FirstName?, LastName?, MiddleName?, Mobile?, Phone?, EMail?, WhoIs?, ...}
//   statuses = {Statuses:[{Id, Name, Type?}]}
//   error    = {Error: text}                      with any status, 200 too
//   time     = "2025-09-03T18:02:07", local to the school; date = "2025-09-03"
namespace dealstream::crm::hollihop {

// Kind of ObjectRef and of records.
inline constexpr std::string_view kLead = "lead";

// Names of a record's parts, each an element of an answer: the lead, and the entry of the
// dictionary of statuses that the lead names (absent when there is none).
inline constexpr std::string_view kLeadPart = "lead";
inline constexpr std::string_view kStatusPart = "status";

inline constexpr std::string_view kDefaultPipelineId = "default";
inline constexpr std::string_view kDefaultPipelineName = "Сделки из Hollihop";

// A time as it is written.
struct LocalTime {
  absl::CivilSecond civil;
  // Of the second.
  int64_t nanos = 0;
  // Seconds east of UTC, where the text says it itself ("Z", "+03:00").
  std::optional<int> offset;

  // As an instant. A time that a change of the clocks skips or repeats is read by the offset before
  // the change.
  absl::Time In(const absl::TimeZone& zone) const;
  // Microseconds since 1970 of the wall time, whatever the zone: larger is newer for one server,
  // and a zone that is set right later leaves the order of versions as it was.
  int64_t Version() const;
};

// "2025-09-03T18:02:07", fractions and offset optional, or a date, which is its midnight. False
// when it is no such text.
bool ParseLocalTime(std::string_view text, LocalTime& time);

// "2025-09-03T18:02:07".
std::string FormatLocalTime(absl::CivilSecond time);

// Digits only, at most 18 of them: an id.
bool IsId(std::string_view text);

}  // namespace dealstream::crm::hollihop
