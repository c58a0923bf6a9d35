#pragma once

#include <string>
#include <string_view>

#include "absl/time/civil_time.h"
#include "absl/time/time.h"

#include "dealstream/deal/v1/deal.pb.h"
#include "libs/base/status.h"
#include "libs/domain/money.h"

// How Klientiks writes things: names of the wire, ids, times, money. Facts and their sources are in
// README.md.
//
//   list        = {offset, count, limit, items: [row] | row | "No data"}
//   appointment = {items: visit | [visit] | "No data"} | {object: visit} | visit
//   visit       = {id, client_id?, executor_id?, author_id?, start_datetime, finish_datetime,
//                  status, created, modified, appointed_services: [line], total_sum?, json_data?,
//                  and the keys of json_data once more}
//   line        = {service_id, name, type, price, count?, discount_sum?, service_pack_id?,
//                  appointed_services_executions: [{id, name}]}
//   client      = {id, name, second_name?, first_name?, patron_name?, phone, json_data?, ...}
//   failure     = {error: text}
//
// json_data is a JSON text within the JSON. What is empty may be null, "", false or [].
namespace dealstream::crm::klientiks {

// Kinds of ObjectRef and of records: one visit, as a deal and as a request.
inline constexpr std::string_view kAppointment = "appointment";
inline constexpr std::string_view kBooking = "booking";

// Names of a record's parts. `appointment` comes first; the others where they were asked for and
// found: `client` is the answer that holds the visit's client among its rows, `user` the row of the
// responsible employee.
inline constexpr std::string_view kAppointmentPart = "appointment";
inline constexpr std::string_view kClientPart = "client";
inline constexpr std::string_view kUserPart = "user";

// What stands where a list has nothing, and where a visit isn't.
inline constexpr std::string_view kNoData = "No data";

// 1 to 18 digits, the first of them not 0.
bool IsId(std::string_view text);

// Spaces, tabs, line ends and no-break spaces at both ends.
std::string_view Trim(std::string_view text);

struct StatusInfo {
  std::string_view value;
  std::string_view label;
  deal::v1::StageKind kind;
};
// Null for one that we don't know.
const StatusInfo* FindStatus(std::string_view value);

// "2025-09-01 20:27:51.644588", fraction optional, in the zone's wall time. A time that was skipped
// by a change of the clocks counts as the moment of the change. False when it is no such text.
bool ParseTime(std::string_view text, const absl::TimeZone& zone, absl::Time& time);
// What stands where there is no time: nothing, or zeros.
bool IsNoTime(std::string_view text);

// "2025-09-05".
std::string FormatDay(absl::CivilDay day);
bool ParseDay(std::string_view text, absl::CivilDay& day);

// "2500", "2 500,50": comma or point, spaces and no-break spaces between digits. False when it is
// no number.
bool ParseMoney(std::string_view text, domain::Decimal& money);
// To hundredths, half to even.
domain::Decimal RoundToHundredths(const domain::Decimal& value);

// PHP writes its notices before the answer when it is set up to show them; gives what follows them.
// Anything else is given as it is.
std::string_view WithoutPhpNotices(std::string_view body);

}  // namespace dealstream::crm::klientiks
