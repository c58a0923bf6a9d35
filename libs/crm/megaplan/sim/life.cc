#include <utility>

#include <fmt/format.h>

#include "libs/crm/megaplan/sim/account.h"
#include "libs/crm/megaplan/sim/view.h"
#include "libs/crm/sim/names.h"

// What happens in an account by itself. Draws from random() alone.
namespace dealstream::crm::megaplan::sim {

Deal& MegaplanAccount::MakeDeal(absl::Time now) {
  Deal deal;
  deal.id = NewId();
  deal.number = random().Chance(0.9) ? fmt::format("СД-{}", deal.id) : "";
  deal.name = simkit::MakeProduct(random());
  deal.program = random().Below(programs_.size());
  deal.created = deal.updated = deal.state_updated = now;
  if (random().Chance(0.95)) {
    deal.contractor = random().Of(clients_).id;
  }
  if (random().Chance(0.4)) {
    deal.contact = random().Of(clients_).id;
  }
  if (random().Chance(0.95)) {
    deal.manager = random().Chance(0.1) ? "group" : random().Of(employees_).id;
  }
  DrawSum(deal);
  DrawCustomField(deal);
  Deal& kept = deals_[deal.id];
  kept = std::move(deal);
  return kept;
}

void MegaplanAccount::DrawSum(Deal& deal) {
  deal.positions.clear();
  deal.currency = random().Chance(0.8) ? 0 : random().Below(3);
  const double kind = static_cast<double>(random().Below(100)) / 100;
  if (kind < 0.05) {
    deal.place = SumPlace::kNowhere;
    return;
  }
  if (kind < 0.5) {
    deal.place = kind < 0.25 ? SumPlace::kCost : SumPlace::kPrice;
    deal.sum = random().Between(0, 50'000'000);
    return;
  }
  deal.place = SumPlace::kPositions;
  const size_t rows = random().Chance(0.02) ? 120 : 1 + random().Below(4);
  for (size_t i = 0; i < rows; ++i) {
    deal.positions.push_back(
        {NewId(),
         NewId(),
         simkit::MakeProduct(random()),
         random().Chance(0.7) ? "product" : "service",
         random().Chance(0.8) ? 100 * random().Between(1, 9) : random().Between(1, 999),
         random().Between(0, 5'000'000)});
  }
}

void MegaplanAccount::DrawCustomField(Deal& deal) {
  const auto key = [](const char* name) {
    return fmt::format("Category1000042CustomField{}", name);
  };
  switch (random().Below(6)) {
    case 0:
      deal.custom_fields[key("Istochnik")] = random().Chance(0.5) ? "Яндекс" : "Рекомендация";
      return;
    case 1:
      deal.custom_fields[key("Opisanie")] =
          fmt::format("<p>{} &amp; прочее</p>", simkit::MakeProduct(random()));
      return;
    case 2:
      deal.custom_fields[key("DataMontazha")] = {{"contentType", "DateOnly"},
                                                 {"year", 2026},
                                                 {"month", random().Between(0, 11)},
                                                 {"day", random().Between(1, 28)}};
      return;
    case 3:
      deal.custom_fields[key("Dogovor")] = random().Chance(0.5);
      return;
    case 4:
      deal.custom_fields[key("Ploshad")] = random().Between(0, 500);
      return;
    default: {
      const Employee& employee = random().Of(employees_);
      deal.custom_fields[key("Dizayner")] = Link("Employee", employee.id);
      return;
    }
  }
}

void MegaplanAccount::DrawMove(Deal& deal, absl::Time now) {
  const size_t states = programs_[deal.program].states.size();
  deal.state = random().Chance(0.2) ? random().Below(states) : (deal.state + 1) % states;
  deal.state_updated = now;
}

void MegaplanAccount::DrawDetail(Deal& deal) {
  switch (random().Below(5)) {
    case 0:
      deal.name = simkit::MakeProduct(random());
      return;
    case 1:
      deal.manager = random().Of(employees_).id;
      return;
    case 2:
      deal.contractor = MakeClient(random().Chance(0.5));
      return;
    case 3:
      deal.contact = random().Chance(0.3) ? "" : random().Of(clients_).id;
      return;
    default:
      DrawCustomField(deal);
  }
}

std::string MegaplanAccount::LiveNewDeal() {
  const Deal& deal = MakeDeal(Now());
  Happened();
  Tell(deal, "on_after_create");
  return deal.id;
}

void MegaplanAccount::LiveOneChange() {
  if (deals_.empty() || random().Chance(0.1)) {
    LiveNewDeal();
    return;
  }
  auto found = deals_.begin();
  std::advance(found, random().Below(deals_.size()));
  Deal& deal = found->second;
  const size_t kind = random().Below(100);
  if (deal.gone) {
    LiveNewDeal();
    return;
  }
  const absl::Time now = Now();
  if (kind < 3) {
    (void)DeleteDeal(deal.id, {});
    return;
  }
  if (kind < 45) {
    DrawMove(deal, now);
  } else if (kind < 70) {
    DrawSum(deal);
  } else {
    DrawDetail(deal);
  }
  Changed(deal, now);
}

}  // namespace dealstream::crm::megaplan::sim
