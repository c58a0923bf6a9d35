#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

#include "libs/crm/sim/web.h"

// What an account of Megaplan holds.
namespace dealstream::crm::megaplan::sim {

using simkit::Json;

struct Employee {
  std::string id;
  std::string last;
  std::string first;
  std::string middle;
  std::string email;
  std::string phone;

  std::string Name() const { return last + " " + first; }
};

struct ContactInfo {
  std::string type;
  std::string value;
  bool is_main = false;
};

// A company or a person.
struct Client {
  std::string id;
  bool is_company = false;
  // Of a company.
  std::string name;
  // Of a person.
  std::string last;
  std::string first;
  std::string middle;
  std::vector<ContactInfo> infos;
  // Ids of employees.
  std::vector<std::string> responsibles;

  std::string Type() const { return is_company ? "ContractorCompany" : "ContractorHuman"; }
  std::string Name() const { return is_company ? name : last + " " + first; }
};

struct State {
  std::string id;
  std::string name;
  // active, positive, negative.
  std::string type;
};

struct Program {
  std::string id;
  std::string name;
  // In the order that deals go through them; those that end a deal are last.
  std::vector<State> states;
};

struct Currency {
  std::string id;
  std::string name;
  std::string code;
  double rate = 1;
};

// Of an offer. Numbers are hundredths of a unit.
struct Position {
  std::string id;
  std::string offer_id;
  std::string name;
  // product, service.
  std::string type;
  int64_t quantity = 100;
  int64_t price = 0;

  int64_t Sum() const { return (quantity * price + 50) / 100; }
};

// Where a deal has its sum.
enum class SumPlace {
  // In positions: price is their sum.
  kPositions,
  // In cost; price is 0, for there are no positions.
  kCost,
  // In price, without positions.
  kPrice,
  // Its scheme has neither price nor cost nor positions.
  kNowhere,
};

struct Deal {
  std::string id;
  std::string number;
  std::string name;
  size_t program = 0;
  size_t state = 0;
  // Ids; empty: none.
  std::string contractor;
  std::string contact;
  // Of an employee, or "group".
  std::string manager;
  SumPlace place = SumPlace::kPrice;
  // Hundredths.
  int64_t sum = 0;
  int64_t paid = 0;
  // Index of the account's currencies.
  size_t currency = 0;
  std::vector<Position> positions;
  // Keys Category<n>CustomField<name>, in their order.
  Json custom_fields = Json::object();
  absl::Time created;
  absl::Time updated;
  absl::Time state_updated;
  bool gone = false;
  // Of one that is gone: until then the API still shows it.
  absl::Time shown_until = absl::InfinitePast();

  int64_t Total() const {
    if (place != SumPlace::kPositions) {
      return sum;
    }
    int64_t total = 0;
    for (const Position& position : positions) {
      total += position.Sum();
    }
    return total;
  }
};

}  // namespace dealstream::crm::megaplan::sim
