// What a test compares the deals of a school with.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "libs/crm/alfacrm/sim/school.h"

namespace dealstream::crm::alfacrm::sim {
namespace {

using simkit::DealTruth;

}  // namespace

bool Counts(int64_t type) { return type == kIncome || type == kGoods || type == kRefund; }

std::optional<Kopecks> ValueOf(const Pay& pay) {
  const bool has_income = pay.income.has_value() && *pay.income != 0;
  const std::optional<Kopecks> sum = has_income || !pay.expenditure ? pay.income : pay.expenditure;
  if (!sum.has_value()) {
    return std::nullopt;
  }
  return pay.type == kRefund ? -std::abs(*sum) : *sum;
}

// At the moment of a turn it is still what it was.
bool School::WasClientAt(const Customer& customer, absl::Time at) const {
  bool client = customer.began_as_client;
  for (const auto& [time, turned] : customer.turns) {
    if (time < at) {
      client = turned;
    }
  }
  return client;
}

bool School::IsUpsell(const Pay& pay) const {
  const auto customer = customers_.find(pay.customer);
  return Counts(pay.type) && customer != customers_.end() &&
         WasClientAt(customer->second.now, pay.created);
}

DealTruth School::TruthOf(const Customer& customer) const {
  DealTruth truth;
  truth.id = fmt::format("lead:{}", customer.id);
  truth.title = customer.name;
  truth.currency = "RUB";
  truth.gone = customer.gone;
  truth.updated = customer.updated;
  const bool merged = settings_.merged_stages.Bool();
  const bool refused = customer.reject != 0 || (merged && customer.status == 4);
  const bool succeeded =
      customer.is_client || (merged && !refused && (customer.status == 5 || customer.status == 7));
  if (succeeded) {
    truth.stage_kind = "WON";
    truth.stage = "Успешный этап";
  } else if (refused || !customer.archived.empty()) {
    truth.stage_kind = "LOST";
    truth.stage = "Отказной этап";
  } else {
    truth.stage = customer.status == 0 ? "Без этапа" : NameIn("lead-status", customer.status);
  }
  Kopecks sum = 0;
  bool any = false;
  for (const auto& [id, pay] : pays_) {
    const auto value = ValueOf(pay.now);
    if (!pay.now.gone && pay.now.customer == customer.id && Counts(pay.now.type) &&
        value.has_value() && !WasClientAt(customer, pay.now.created)) {
      sum += *value;
      any = true;
    }
  }
  if (any) {
    truth.amount = Units(sum);
  }
  Json branches = Json::array();
  for (const int64_t branch : customer.branches) {
    branches.push_back(NameIn("branch", branch));
  }
  Json teachers = Json::array();
  for (const int64_t teacher : customer.teachers) {
    teachers.push_back(NameIn("teacher", teacher));
  }
  truth.more = {{"client", customer.is_client},
                {"status", NameIn("lead-status", customer.status)},
                {"branches", branches},
                {"teachers", teachers},
                {"pipeline", "Первая продажа"}};
  return truth;
}

DealTruth School::TruthOf(const Pay& pay) const {
  const Customer& customer = customers_.at(pay.customer).now;
  DealTruth truth;
  truth.id = fmt::format("pay:{}", pay.id);
  truth.title = customer.gone ? fmt::format("Платёж №{}", pay.id)
                              : fmt::format("Платёж №{}: {}", pay.id, customer.name);
  truth.currency = "RUB";
  truth.gone = pay.gone;
  truth.updated = pay.updated;
  const auto value = ValueOf(pay);
  if (value.has_value()) {
    truth.amount = Units(*value);
  }
  truth.stage_kind = "WON";
  if (pay.type == kRefund || value.value_or(0) < 0) {
    truth.stage = "Возврат";
  } else if (!pay.confirmed) {
    truth.stage = "Ожидает подтверждения";
    truth.stage_kind = "OPEN";
  } else {
    truth.stage = "Оплата";
  }
  truth.more = {{"customer", customer.id},
                {"branches", {NameIn("branch", pay.branch)}},
                {"pipeline", "Допродажи"}};
  return truth;
}

std::vector<DealTruth> School::Deals() const {
  std::vector<DealTruth> deals;
  for (const auto& [id, kept] : customers_) {
    const bool has_deal = !kept.now.is_client || kept.now.status != 0 ||
                          !kept.now.began_as_client || !kept.now.turns.empty();
    if (has_deal) {
      deals.push_back(TruthOf(kept.now));
    }
  }
  for (const auto& [id, kept] : pays_) {
    if (IsUpsell(kept.now)) {
      deals.push_back(TruthOf(kept.now));
    }
  }
  return deals;
}

Result<DealTruth> School::FindDeal(const std::string& deal) const {
  const auto customer = customers_.find(IdOf(deal, "lead:"));
  if (customer != customers_.end()) {
    return TruthOf(customer->second.now);
  }
  const auto pay = pays_.find(IdOf(deal, "pay:"));
  if (pay != pays_.end() && customers_.contains(pay->second.now.customer)) {
    return TruthOf(pay->second.now);
  }
  return NoSuchDeal(deal);
}

}  // namespace dealstream::crm::alfacrm::sim
