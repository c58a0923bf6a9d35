#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "libs/crm/sim/account.h"

// What an account of the simulated CRM holds.
namespace dealstream::crm::klientiks::sim {

using simkit::Json;

struct Employee {
  int64_t id = 0;
  std::string name;
  // Digits.
  std::string phone;
  std::string email;
  absl::Time changed;
};

struct Client {
  int64_t id = 0;
  std::string last;
  std::string first;
  std::string middle;
  // Digits.
  std::string phone;
  std::string groups;
  bool demo = false;
  absl::Time created;
  absl::Time changed;
  // Before, it can't be read.
  absl::Time visible;
  // Own fields, e-mail among them.
  Json own = Json::object();

  std::string Name() const;
};

struct Service {
  int64_t id = 0;
  std::string name;
  // "service" or "good".
  std::string type = "service";
  // Hundredths.
  int64_t price = 0;
};

struct Line {
  int64_t id = 0;
  Service service;
  // Hundredths; absent: the line has no price.
  std::optional<int64_t> price;
  int64_t count = 1;
  int64_t discount = 0;
  // Id of the subscription that pays; 0: none.
  int64_t subscription = 0;
};

struct Visit {
  int64_t id = 0;
  // 0: a blocked hour.
  int64_t client = 0;
  // 0: none.
  int64_t executor = 0;
  int64_t author = 0;
  std::string status = "scheduled";
  absl::Time start;
  int minutes = 45;
  std::vector<Line> lines;
  // Hundredths; absent: the CRM doesn't say.
  std::optional<int64_t> total;
  int64_t subscription = 0;
  bool is_sale = false;
  bool online = false;
  bool removed = false;
  absl::Time created;
  absl::Time changed;
  // Before, it can't be read.
  absl::Time visible;
  // The customer's own fields.
  Json own = Json::object();
};

struct StatusName {
  const char* value;
  const char* label;
  const char* kind;
};
// In the order in which a visit goes on, up to its end; then the other ends.
const std::vector<StatusName>& Statuses();
// By value or label; null: one that the CRM doesn't have.
const StatusName* FindStatusName(const std::string& text);

// "2026-03-02 15:31:47.644588", Moscow's.
std::string TimeText(absl::Time time);
// "1800" or "990.50".
std::string MoneyText(int64_t hundredths);

}  // namespace dealstream::crm::klientiks::sim
