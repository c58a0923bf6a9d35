#pragma once

#include <set>
#include <string>
#include <utility>

#include "libs/crm/megaplan/sim/account.h"

namespace dealstream::crm::megaplan::sim {

// Entities as API v3 writes them, keys in its order.
class View {
 public:
  explicit View(const MegaplanAccount& account) : account_(account) {}

  // With everything, as it's read by id.
  Json Full(const Deal& deal) const;
  // A row of a list: what is always there, and `fields`.
  Json Row(const Deal& deal, const std::set<std::string>& fields, bool only_fields) const;
  Json Full(const Employee& employee) const;
  Json Full(const Client& client) const;
  Json Full(const Program& program) const;
  Json Full(const Currency& currency) const;
  // Of a webhook.
  Json ForEvent(const Deal& deal) const;

 private:
  Json Money(int64_t hundredths, const Deal& deal) const;
  Json ClientOrNull(const std::string& id) const;
  Json Manager(const Deal& deal) const;
  Json Positions(const Deal& deal) const;

  const MegaplanAccount& account_;
};

Json Link(const std::string& type, const std::string& id);
Json DateTime(absl::Time time);

// {"meta":…,"data":…}; of what is written twice, the second time is a link.
Json Envelope(Json data);

// Replaces people, scheme and stage of a deal by links, and leaves out what would explain them.
void LinkEverything(Json& deal);

// "12.50" of hundredths.
std::string Decimal(int64_t hundredths);

}  // namespace dealstream::crm::megaplan::sim
