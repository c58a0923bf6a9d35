#pragma once

#include <string>
#include <string_view>

#include "absl/time/time.h"

#include "libs/base/status.h"

// How MoySklad writes things: names of the wire, references, times. Facts and their sources are in
// README.md.
//
//   order    = {id, name, updated, created, deleted?, sum, rate:{currency}, state?, store?,
//   salesChannel?,
//               owner?, agent, positions:{meta:{size}, rows?:[position]}, attributes?:[attribute],
//               ...}
//   position = {id, quantity, price, discount, assortment}
//   ref      = {meta:{href, type}} and, where it was asked to expand, the fields of the object
//   beside it page     = {meta:{size, limit, offset}, rows:[...]} errors   = {errors:[{error,
//   code?, parameter?}]} notice   = {events:[{meta:{type, href}, action, accountId}]}
namespace dealstream::crm::moysklad {

// The type of an order: kind of ObjectRef, of records, and the pipeline's id.
inline constexpr std::string_view kOrder = "customerorder";
inline constexpr std::string_view kPipelineName = "Заказы покупателей";

// Names of a record's parts. `order` comes once and first; the others once for each page.
inline constexpr std::string_view kOrderPart = "order";
inline constexpr std::string_view kPositionsPart = "positions";
inline constexpr std::string_view kContactPersonsPart = "contactpersons";

// Last segment of the path of a href: the id of the object. Query and fragment are left out.
std::string_view IdOfHref(std::string_view href);

// 8-4-4-4-12 hexadecimal digits.
bool IsUuid(std::string_view text);

// "2026-03-02 15:31:47.915", seconds' fractions optional, in Moscow's wall time, as an instant. A
// time that was skipped by a change of the clocks counts as the one after it. False when it is no
// such text.
bool ParseMoscowTime(std::string_view text, absl::Time& time);

// The same backwards, with milliseconds; what is finer is cut off.
std::string FormatMoscowTime(absl::Time time);

}  // namespace dealstream::crm::moysklad
