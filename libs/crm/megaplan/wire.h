#pragma once

#include <string>
#include <string_view>

#include "absl/time/time.h"

// How API v3 of Megaplan writes things: names of the wire, ids, times, rich text. Facts and their
// sources are in README.md.
//
//   answer   = {meta:{status, errors:[{message, field?, type?}], pagination?}, data}
//   data     = entity, or an array of entities
//   entity   = {contentType, id, ...}; within one answer written in full once, later as a link only
//   link     = {contentType, id}
//   Deal     = {..., number, name, contractor, contact, payer, manager, price, cost, state, result,
//              program, positions:[OfferRow], timeCreated, timeUpdated,
//              Category<n>CustomField<x>...}
//   Money    = {contentType, value, currency, valueInMain, rate}
//   DateTime = {contentType, value: "2025-10-03T06:03:56+00:00"}
//   DateOnly = {contentType, year, month: from 0 on, day}
//   event    = {event, model?, data: entity}, or {data: {deal: {Id}}} of a scenario
namespace dealstream::crm::megaplan {

// Kind of ObjectRef and of records.
inline constexpr std::string_view kDeal = "deal";
// Kind of a deal that an event said was dropped: "dropped_deal@<seconds since 1970 of its
// receipt>". Such a deal, where it is still there, is read once more a moment later.
inline constexpr std::string_view kDroppedDealPrefix = "dropped_deal@";

// Names of a record's parts. The deal's answer comes once and first; then an answer for each entity
// that the deal's answer only links to.
inline constexpr std::string_view kDealPart = "deal";
inline constexpr std::string_view kEntityPart = "entity";

// Content types.
inline constexpr std::string_view kDealType = "Deal";
inline constexpr std::string_view kHumanType = "ContractorHuman";
inline constexpr std::string_view kCompanyType = "ContractorCompany";
inline constexpr std::string_view kEmployeeType = "Employee";
inline constexpr std::string_view kProgramType = "Program";

// Ids are texts of digits.
bool IsId(std::string_view text);

// ISO 8601 with an offset, years 1 to 9999. False when it is no such text.
bool ParseDateTime(std::string_view text, absl::Time& time);

std::string_view Trimmed(std::string_view text);

// A rich text without its tags and entities, trimmed; ends of paragraphs and lines become single
// line breaks.
std::string PlainText(std::string_view html);

}  // namespace dealstream::crm::megaplan
