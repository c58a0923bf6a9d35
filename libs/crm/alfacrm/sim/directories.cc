#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "libs/crm/alfacrm/sim/school.h"

namespace dealstream::crm::alfacrm::sim {

const std::vector<Named>& Directory(std::string_view entity) {
  static const std::map<std::string, std::vector<Named>, std::less<>> directories = {
      {"branch", {{1, "Филиал «Центр»"}, {2, "Онлайн"}, {3, "Филиал «Север»"}}},
      {"lead-status",
       {{1, "Новый"},
        {2, "Записан на пробное"},
        {3, "Был на пробном"},
        {4, "Отказ"},
        {5, "Оплатил"},
        {7, "Оплатил частями"}}},
      {"lead-source", {{1, "Сарафан"}, {2, "Реклама"}, {3, "Чат на сайте"}}},
      {"lead-reject", {{5, "Дорого"}, {6, "Не отвечает"}}},
      {"study-status", {{1, "Активен"}, {2, "На паузе"}}},
      {"teacher", {{14, "Тихая Вера"}, {15, "Громов Илья"}}},
      {"user", {{7, "Стоян Мария"}, {8, "Агеев Пётр"}}},
      {"pay-type",
       {{kIncome, "Доход"},
        {kRefund, "Возврат средств"},
        {kCorrection, "Корректировка"},
        {kGoods, "Продажа товара"}}},
      {"pay-account", {{1, "Касса"}, {2, "Терминал"}}},
      {"pay-item", {{1, "Абонементы"}, {4, "Учебники"}}}};
  static const std::vector<Named> none;
  const auto found = directories.find(entity);
  return found == directories.end() ? none : found->second;
}

std::string NameIn(std::string_view entity, int64_t id) {
  for (const Named& entry : Directory(entity)) {
    if (entry.id == id) {
      return entry.name;
    }
  }
  return "";
}

int64_t FindIn(std::string_view entity, const std::string& id_or_name) {
  for (const Named& entry : Directory(entity)) {
    if (entry.name == id_or_name || std::to_string(entry.id) == id_or_name) {
      return entry.id;
    }
  }
  return 0;
}

std::string WallTime(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", time, absl::FixedTimeZone(3 * 3600));
}

std::string Day(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d", time, absl::FixedTimeZone(3 * 3600));
}

std::string Units(Kopecks kopecks) {
  return fmt::format(
      "{}{}.{:02}", kopecks < 0 ? "-" : "", std::abs(kopecks) / 100, std::abs(kopecks) % 100);
}

Json FieldsOf(const Customer& customer) {
  Json fields = {{"name", customer.name},
                 {"is_study", customer.is_client ? 1 : 0},
                 {"lead_status_id", customer.status},
                 {"lead_reject_id", customer.reject},
                 {"lead_source_id", customer.source},
                 {"assigned_id", customer.assigned},
                 {"branch_ids", customer.branches},
                 {"teacher_ids", customer.teachers},
                 {"legal_name", customer.legal_name},
                 {"note", customer.note},
                 {"phone", customer.phones},
                 {"email", customer.emails},
                 {"e_date", customer.archived.empty() ? "2030-12-31" : customer.archived}};
  fields.update(customer.custom);
  return fields;
}

Json FieldsOf(const Pay& pay, bool old_shape) {
  const auto id = [old_shape](int64_t number) {
    return old_shape ? Json(std::to_string(number)) : Json(number);
  };
  return {{"customer_id", pay.customer == 0 ? Json() : id(pay.customer)},
          {"income", pay.income ? Json(Units(*pay.income)) : Json()},
          {"expenditure", pay.expenditure ? Json(Units(*pay.expenditure)) : Json()},
          {"document_date", Day(pay.document)},
          {"note", pay.note},
          {"payer_name", pay.payer},
          {"branch_id", pay.branch},
          {old_shape ? "confirmed" : "is_confirmed", pay.confirmed},
          {"pay_account_id", id(pay.account)},
          {"pay_type_id", id(pay.type)}};
}

}  // namespace dealstream::crm::alfacrm::sim
