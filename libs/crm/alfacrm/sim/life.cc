// What happens in a school by itself.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "libs/crm/alfacrm/sim/school.h"
#include "libs/crm/sim/names.h"

namespace dealstream::crm::alfacrm::sim {
std::vector<int64_t> School::LiveIds(bool clients, bool leads) const {
  std::vector<int64_t> ids;
  for (const auto& [id, kept] : customers_) {
    if (!kept.now.gone && (kept.now.is_client ? clients : leads)) {
      ids.push_back(id);
    }
  }
  return ids;
}

std::string School::LiveNewDeal() {
  Customer& customer = NewCustomer();
  if (random().Chance(0.2)) {
    customer.branches.push_back(customer.branches.front() % 3 + 1);
  }
  Announce(customer);
  return fmt::format("lead:{}", customer.id);
}

void School::LiveOneChange() {
  const std::vector<int64_t> all = LiveIds(true, true);
  const std::vector<int64_t> leads = LiveIds(false, true);
  const size_t dice = random().Below(20);
  if (all.empty() || dice < 4) {
    LiveNewDeal();
    return;
  }
  const std::string any = fmt::format("lead:{}", random().Of(all));
  if (dice < 9 && !leads.empty()) {
    (void)MoveDeal(fmt::format("lead:{}", random().Of(leads)), Json::object());
  } else if (dice < 14) {
    (void)PayDeal(any, {{"amount", Units(random().Between(5, 200) * 5000)}});
  } else if (dice < 15) {
    (void)RefundDeal(any, {{"amount", Units(random().Between(1, 20) * 5000)}});
  } else if (dice < 16 && !leads.empty()) {
    (void)OwnDealStep(
        "archive", fmt::format("lead:{}", random().Of(leads)), {{"reason", "Не отвечает"}});
  } else if (dice < 19) {
    (void)EditDeal(any, {{"note", simkit::MakeRemark(random())}});
  } else if (random().Chance(0.3)) {
    (void)DeleteDeal(any, Json::object());
  } else {
    (void)EditDeal(any, {{"teachers", {random().Between(14, 15)}}});
  }
}

}  // namespace dealstream::crm::alfacrm::sim
