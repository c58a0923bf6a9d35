#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"

#include "libs/base/status.h"

namespace dealstream::crm::alfacrm {

// What the CRM's log says of a customer, as far as deals need it: when the lead became a client
// (and maybe a lead again), and when payments without a time of their own were entered. The part
// "history" of a record holds it as JSON with instants in microseconds since 1970:
//
//   {"made": 1741, "changed": 1742, "began_as_client": false,
//    "studies": [{"at": 1742, "client": true}], "pays": [{"id": 9001, "at": 1743}]}
struct History {
  struct Study {
    absl::Time at;
    // What it was from then on.
    bool client = false;
  };

  // Of the oldest and the newest row.
  std::optional<absl::Time> made;
  std::optional<absl::Time> changed;
  // Known when the log holds the card's creation.
  std::optional<bool> began_as_client;
  // Oldest first.
  std::vector<Study> studies;
  std::vector<std::pair<int64_t, absl::Time>> pays;

  bool WasLead() const;
  // True for a payment made while the customer was a client, by what the log says: so a payment
  // stays what it was when a client becomes a lead again. After the last change counts what the
  // card says now; without any, all payments of a client are made after.
  bool IsUpsell(absl::Time pay_at, bool client_now) const;
  // What it was in the end, where the log says it.
  std::optional<bool> LastKnown() const;
  std::optional<absl::Time> PayEntered(int64_t pay_id) const;
  // A payment of that day may have been made before or after a change.
  bool HasChangeOn(absl::Time first_moment, const absl::TimeZone& zone) const;

  std::string ToJson() const;
  static Result<History> Parse(std::string_view text);
};

// A row of the log.
struct LogRow {
  int64_t id = 0;
  std::string entity;
  int64_t entity_id = 0;
  absl::Time at;
  // From fields_old and fields_new.
  bool has_old_fields = false;
  std::optional<bool> client_before;
  std::optional<bool> client_after;
  // Of a payment; 0 where it isn't named.
  int64_t customer_before = 0;
  int64_t customer_after = 0;
};

// Reads a page of the log; rows of a shape that isn't known are errors, rows without a time are
// left out.
struct LogPage {
  int64_t page = 0;
  int64_t count = 0;
  int64_t total = 0;
  std::vector<LogRow> rows;
};
Result<LogPage> ReadLogPage(std::string_view body, const absl::TimeZone& zone);

// Of all rows of one customer, in any order.
History HistoryOf(std::vector<LogRow> rows);

}  // namespace dealstream::crm::alfacrm
