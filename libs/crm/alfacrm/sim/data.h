#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

#include "libs/crm/sim/web.h"

// What a simulated school holds. Plain data.
namespace dealstream::crm::alfacrm::sim {

using simkit::Json;

// Kopecks.
using Kopecks = int64_t;

// Types of payments.
inline constexpr int64_t kIncome = 1;
inline constexpr int64_t kRefund = 5;
inline constexpr int64_t kCorrection = 6;
inline constexpr int64_t kGoods = 9;

struct Named {
  int64_t id;
  std::string name;
};

// Ids are 0 where there is none.
struct Customer {
  int64_t id = 0;
  std::vector<int64_t> branches;
  std::vector<int64_t> teachers;
  std::string name;
  bool is_client = false;
  int64_t status = 0;
  int64_t reject = 0;
  int64_t source = 0;
  int64_t study_status = 0;
  int64_t assigned = 0;
  int legal_type = 1;
  std::string legal_name;
  std::string note;
  std::vector<std::string> phones;
  std::vector<std::string> emails;
  // Day of the archive; empty: not in it.
  std::string archived;
  Json custom = Json::object();
  absl::Time created;
  absl::Time updated;
  bool gone = false;
  // When it became a client (true) or a lead again (false), oldest first.
  std::vector<std::pair<absl::Time, bool>> turns;
  // It never was a lead and has no stage.
  bool began_as_client = false;
};

struct Pay {
  int64_t id = 0;
  int64_t branch = 0;
  // 0: the school's own.
  int64_t customer = 0;
  int64_t type = 1;
  int64_t account = 2;
  int64_t item = 1;
  std::optional<Kopecks> income;
  std::optional<Kopecks> expenditure;
  bool confirmed = true;
  std::string payer;
  std::string note;
  // A day of the document, which is seldom that of its entry.
  absl::Time document;
  absl::Time created;
  absl::Time updated;
  bool gone = false;
};

struct LogEntry {
  int64_t id = 0;
  std::string entity;
  int64_t entity_id = 0;
  // Those whose log shows it.
  std::vector<int64_t> branches;
  // 1 created, 2 changed, 3 deleted.
  int event = 2;
  Json before = Json::object();
  Json after = Json::object();
  absl::Time at;
};

}  // namespace dealstream::crm::alfacrm::sim
