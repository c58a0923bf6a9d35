// What the control interface does to a school.
#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include <fmt/format.h>

#include "libs/crm/alfacrm/sim/school.h"

namespace dealstream::crm::alfacrm::sim {
namespace {

using simkit::DealTruth;
using simkit::TextOf;

constexpr Kopecks kUsualSum = 100'000;

// "1234.5" or 1234.5 as kopecks.
Result<Kopecks> ParseSum(std::string_view key, const Json& value) {
  const std::string text = TextOf(value);
  const size_t point = std::min(text.find('.'), text.size());
  std::string digits = text.substr(0, point);
  std::string fraction = text.substr(std::min(point + 1, text.size()));
  Kopecks kopecks = 0;
  if (fraction.size() <= 2) {
    fraction.resize(2, '0');
    digits += fraction;
    if (absl::SimpleAtoi(digits, &kopecks)) {
      return kopecks;
    }
  }
  return absl::InvalidArgumentError(
      fmt::format("{}: got {}, want a sum with two places at most", key, text));
}

Result<int64_t> ParseEntry(std::string_view key, std::string_view entity, const Json& value) {
  if (value.is_null()) {
    return 0;
  }
  const int64_t id = FindIn(entity, TextOf(value));
  if (id == 0) {
    return absl::InvalidArgumentError(fmt::format(
        "{}: got {}, want the number or name of an entry of {}", key, TextOf(value), entity));
  }
  return id;
}

Result<std::vector<int64_t>> ParseEntries(std::string_view key,
                                          std::string_view entity,
                                          const Json& value) {
  std::vector<int64_t> ids;
  const Json list = value.is_array() ? value : value.is_null() ? Json::array() : Json{value};
  for (const Json& one : list) {
    DEALSTREAM_ASSIGN_OR_RETURN(const int64_t id, ParseEntry(key, entity, one));
    ids.push_back(id);
  }
  return ids;
}

std::vector<std::string> Texts(const Json& value) {
  std::vector<std::string> texts;
  for (const Json& one : value.is_array() ? value : Json{value}) {
    texts.push_back(TextOf(one));
  }
  return texts;
}

}  // namespace

Status School::Apply(const Json& fields, Customer& customer) {
  for (const auto& [key, value] : fields.items()) {
    if (key == "title") {
      customer.name = TextOf(value);
    } else if (key == "stage") {
      const std::string stage = TextOf(value);
      if (stage == "Успешный этап") {
        Turn(customer, true);
      } else if (stage == "Отказной этап") {
        customer.reject = 6;
      } else {
        DEALSTREAM_ASSIGN_OR_RETURN(customer.status, ParseEntry(key, "lead-status", value));
      }
    } else if (key == "client") {
      Turn(customer, value.get<bool>());
    } else if (key == "reject") {
      DEALSTREAM_ASSIGN_OR_RETURN(customer.reject, ParseEntry(key, "lead-reject", value));
    } else if (key == "branches") {
      DEALSTREAM_ASSIGN_OR_RETURN(customer.branches, ParseEntries(key, "branch", value));
    } else if (key == "teachers") {
      DEALSTREAM_ASSIGN_OR_RETURN(customer.teachers, ParseEntries(key, "teacher", value));
    } else if (key == "assigned") {
      DEALSTREAM_ASSIGN_OR_RETURN(customer.assigned, ParseEntry(key, "user", value));
    } else if (key == "phone") {
      customer.phones = Texts(value);
    } else if (key == "email") {
      customer.emails = Texts(value);
    } else if (key == "note") {
      customer.note = TextOf(value);
    } else if (key == "archived") {
      customer.archived = value.get<bool>() ? Day(Now()) : "";
    } else if (key.starts_with("custom_")) {
      customer.custom[key] = value;
    } else if (key != "amount" && key != "currency") {
      return absl::InvalidArgumentError(fmt::format("{}: a lead has no such field", key));
    }
  }
  return absl::OkStatus();
}

Status School::Apply(const Json& fields, Pay& pay) {
  for (const auto& [key, value] : fields.items()) {
    if (key == "amount") {
      DEALSTREAM_ASSIGN_OR_RETURN(const Kopecks sum, ParseSum(key, value));
      (pay.type == kRefund ? pay.expenditure : pay.income) = std::abs(sum);
    } else if (key == "confirmed") {
      pay.confirmed = value.get<bool>();
    } else if (key == "stage") {
      pay.confirmed = TextOf(value) != "Ожидает подтверждения";
    } else if (key == "type") {
      DEALSTREAM_ASSIGN_OR_RETURN(pay.type, ParseEntry(key, "pay-type", value));
    } else if (key == "note") {
      pay.note = TextOf(value);
    } else if (key != "title" && key != "currency") {
      return absl::InvalidArgumentError(fmt::format("{}: a payment has no such field", key));
    }
  }
  return absl::OkStatus();
}

Result<DealTruth> School::CreateDeal(const Json& fields) {
  std::optional<Kopecks> sum;
  if (fields.contains("amount") && !fields.at("amount").is_null()) {
    DEALSTREAM_ASSIGN_OR_RETURN(sum, ParseSum("amount", fields.at("amount")));
  }
  Customer& customer = NewCustomer();
  const int64_t id = customer.id;
  const Status applied = Apply(fields, customer);
  if (!applied.ok()) {
    customers_.erase(id);
    return applied;
  }
  if (customer.is_client) {
    // Made one at once.
    customer.turns.clear();
    customer.began_as_client = true;
    customer.status = fields.contains("stage") ? customer.status : 0;
  }
  Announce(customer);
  if (sum.has_value()) {
    Announce(NewPay(customer, kIncome, *sum));
  }
  return TruthOf(customer);
}

Result<DealTruth> School::EditDeal(const std::string& deal, const Json& fields) {
  if (Kept<Pay>* pay = FindPay(deal)) {
    Pay copy = pay->now;
    DEALSTREAM_RETURN_IF_ERROR(Apply(fields, copy));
    ChangePay(*pay, [&copy](Pay& changed) { changed = copy; });
    return FindDeal(deal);
  }
  Kept<Customer>* customer = FindCustomer(deal);
  if (customer == nullptr) {
    return NoSuchDeal(deal);
  }
  Customer copy = customer->now;
  DEALSTREAM_RETURN_IF_ERROR(Apply(fields, copy));
  if (fields.contains("amount")) {
    // What a lead is worth is what it paid: one payment more, or a refund.
    if (copy.is_client) {
      return absl::InvalidArgumentError("amount: the sum of a client's first sale doesn't change");
    }
    DEALSTREAM_ASSIGN_OR_RETURN(const Kopecks want, ParseSum("amount", fields.at("amount")));
    Kopecks have = 0;
    const auto truth = TruthOf(customer->now);
    if (truth.amount.has_value()) {
      DEALSTREAM_ASSIGN_OR_RETURN(have, ParseSum("amount", Json(*truth.amount)));
    }
    if (want != have) {
      Announce(NewPay(copy, want > have ? kIncome : kRefund, std::abs(want - have)));
    }
  }
  if (FieldsOf(copy) != FieldsOf(customer->now)) {
    ChangeCustomer(*customer, [&copy](Customer& changed) { changed = copy; });
  }
  return FindDeal(deal);
}

Result<DealTruth> School::MoveDeal(const std::string& deal, const Json& fields) {
  if (Kept<Pay>* pay = FindPay(deal)) {
    ChangePay(*pay, [&](Pay& changed) {
      changed.confirmed = TextOf(fields, "stage") != "Ожидает подтверждения";
    });
    return FindDeal(deal);
  }
  if (fields.contains("stage")) {
    return EditDeal(deal, {{"stage", fields.at("stage")}});
  }
  Kept<Customer>* customer = FindCustomer(deal);
  if (customer == nullptr) {
    return NoSuchDeal(deal);
  }
  if (customer->now.is_client) {
    return absl::InvalidArgumentError("a client has no next stage");
  }
  ChangeCustomer(*customer, [this](Customer& changed) {
    if (changed.status >= 3) {
      changed.status = 5;
      Turn(changed, true);
    } else {
      ++changed.status;
    }
  });
  return FindDeal(deal);
}

Result<DealTruth> School::PayDeal(const std::string& deal, const Json& fields) {
  if (Kept<Pay>* pay = FindPay(deal)) {
    ChangePay(*pay, [](Pay& changed) { changed.confirmed = true; });
    return FindDeal(deal);
  }
  const Kept<Customer>* customer = FindCustomer(deal);
  if (customer == nullptr) {
    return NoSuchDeal(deal);
  }
  Kopecks sum = kUsualSum;
  if (fields.contains("amount")) {
    DEALSTREAM_ASSIGN_OR_RETURN(sum, ParseSum("amount", fields.at("amount")));
  }
  int64_t branch = 0;
  if (fields.contains("branch")) {
    DEALSTREAM_ASSIGN_OR_RETURN(branch, ParseEntry("branch", "branch", fields.at("branch")));
  }
  Pay& pay = NewPay(customer->now, fields.value("goods", false) ? kGoods : kIncome, sum);
  pay.confirmed = fields.value("confirmed", true);
  pay.branch = branch == 0 ? pay.branch : branch;
  Announce(pay);
  DealTruth truth = TruthOf(customer->now);
  truth.more["pay"] = fmt::format("pay:{}", pay.id);
  return truth;
}

Result<DealTruth> School::RefundDeal(const std::string& deal, const Json& fields) {
  int64_t customer_id = IdOf(deal, "lead:");
  Kopecks sum = kUsualSum / 2;
  if (const Kept<Pay>* pay = FindPay(deal)) {
    customer_id = pay->now.customer;
    sum = std::abs(ValueOf(pay->now).value_or(sum));
  }
  const auto customer = customers_.find(customer_id);
  if (customer == customers_.end() || customer->second.now.gone) {
    return NoSuchDeal(deal);
  }
  if (fields.contains("amount")) {
    DEALSTREAM_ASSIGN_OR_RETURN(sum, ParseSum("amount", fields.at("amount")));
  }
  Pay& refund = NewPay(customer->second.now, kRefund, sum);
  if (fields.value("by_income", false)) {
    // As old accounts write it.
    std::swap(refund.income, refund.expenditure);
    refund.expenditure.reset();
  }
  Announce(refund);
  DEALSTREAM_ASSIGN_OR_RETURN(DealTruth truth, FindDeal(deal));
  truth.more["pay"] = fmt::format("pay:{}", refund.id);
  return truth;
}

Result<DealTruth> School::DeleteDeal(const std::string& deal, const Json&) {
  if (Kept<Pay>* pay = FindPay(deal)) {
    const Json fields = FieldsOf(pay->now, settings_.old_webhooks.Bool());
    pay->before = std::make_unique<Pay>(pay->now);
    pay->touched = absl::Now();
    pay->now.gone = true;
    Happened();
    Log(pay->now, 3, fields, Json::object(), Now());
    Tell(pay->now, "delete", fields, Json::object());
    return FindDeal(deal);
  }
  Kept<Customer>* customer = FindCustomer(deal);
  if (customer == nullptr) {
    return NoSuchDeal(deal);
  }
  const Json fields = FieldsOf(customer->now);
  customer->before = std::make_unique<Customer>(customer->now);
  customer->touched = absl::Now();
  customer->now.gone = true;
  Happened();
  Log(customer->now, 3, fields, Json::object(), Now());
  Tell(customer->now, "delete", fields, Json::object());
  return FindDeal(deal);
}

Result<DealTruth> School::NotifyDeal(const std::string& deal, const Json&) {
  if (const Kept<Pay>* pay = FindPay(deal)) {
    Tell(pay->now, "update", Json::object(), Json::object());
  } else if (const Kept<Customer>* customer = FindCustomer(deal)) {
    Tell(customer->now, "update", Json::object(), Json::object());
  } else {
    return NoSuchDeal(deal);
  }
  return FindDeal(deal);
}

Result<DealTruth> School::OwnDealStep(const std::string& step,
                                      const std::string& deal,
                                      const Json& fields) {
  if (step == "convert" || step == "unconvert") {
    return EditDeal(deal, {{"client", step == "convert"}});
  }
  if (step == "archive" || step == "restore") {
    Json edit = {{"archived", step == "archive"}};
    if (fields.contains("reason")) {
      edit["reject"] = fields.at("reason");
    }
    return EditDeal(deal, edit);
  }
  if (step == "correct") {
    const Kept<Customer>* customer = FindCustomer(deal);
    if (customer == nullptr) {
      return NoSuchDeal(deal);
    }
    Announce(NewPay(customer->now, kCorrection, -12'550));
    return FindDeal(deal);
  }
  return Account::OwnDealStep(step, deal, fields);
}

Result<Json> School::OwnControl(const std::string& method,
                                const std::string& path,
                                const Json& fields) {
  if (path == "revoke") {
    tokens_.clear();
    return Json{{"account", name()}};
  }
  if (path == "key") {
    // Its owner has made another one; the old one is good for nothing, nor are its tokens.
    tokens_.clear();
    key_ = side_random().Uuid();
    return Json{{"account", name()}, {"credential", Credential()}};
  }
  if (path == "clock") {
    ahead_ += absl::Seconds(fields.value("seconds", 1));
    return Json{{"now", WallTime(Now())}};
  }
  if (path == "logins") {
    return Json{{"logins", logins_}};
  }
  return Account::OwnControl(method, path, fields);
}

Status School::SetOwnFault(const std::string& name, const Json& value) {
  if (name == "no_api") {
    own_faults_.no_api = value.get<bool>();
  } else if (name == "no_log") {
    own_faults_.no_log = value.get<bool>();
  } else if (name == "no_directories") {
    own_faults_.no_directories = value.get<bool>();
  } else if (name == "stale_ms") {
    own_faults_.stale_ms = value.get<int>();
  } else {
    return Account::SetOwnFault(name, value);
  }
  return absl::OkStatus();
}

}  // namespace dealstream::crm::alfacrm::sim
