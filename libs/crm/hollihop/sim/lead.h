#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

// What a school holds. Empty texts are values that it doesn't have.
namespace dealstream::crm::hollihop::sim {

struct LeadStatus {
  int id;
  const char* name;
  // As the API spells it: our guess.
  const char* type;
  // OPEN, WON, LOST.
  const char* kind;
};
inline constexpr LeadStatus kStatuses[] = {{1, "Новый", "InProcess", "OPEN"},
                                           {2, "Пробное занятие", "InProcess", "OPEN"},
                                           {5, "Думает", "Delayed", "OPEN"},
                                           {8, "Оплатил", "Success", "WON"},
                                           {9, "Отказ", "Fail", "LOST"}};

struct Office {
  int id;
  const char* name;
  const char* location;
  bool has_classrooms;
};
inline constexpr Office kOffices[] = {{1, "Филиал Северный", "Москва", true},
                                      {3, "Филиал Южный", "Москва", true},
                                      {36, "Онлайн", "Онлайн", false}};

struct Employee {
  int id;
  const char* last;
  const char* first;
  const char* middle;
  const char* role;
};
inline constexpr Employee kEmployees[] = {{15, "Примерова", "Ольга", "Игоревна", "Администратор"},
                                          {22, "Образцов", "Павел", "", "Менеджер"},
                                          {31, "Выдуманная", "Анна", "Львовна", "Менеджер"}};

inline constexpr const char* kDisciplines[] = {
    "Английский язык", "Программирование", "Шахматы", "Рисование"};
inline constexpr const char* kLevels[] = {"Начальный", "A1", "A2", "B1"};
inline constexpr const char* kMaturities[] = {
    "Дошкольники", "Школьники 10-12", "Подростки", "Взрослые"};
inline constexpr const char* kLearningTypes[] = {
    "Групповые занятия", "Индивидуально", "Мини-группы"};
inline constexpr const char* kAdSources[] = {"Яндекс Директ", "Сайт", "Рекомендация", "Звонок"};
inline constexpr const char* kRejectReasons[] = {"Дорого", "Не подошло расписание", "Переехали"};

// Where and how a lead's budget is written. How it really is isn't published.
enum class BudgetForm { kNumber, kText, kQuantity, kExtraField };

struct Person {
  std::string first;
  std::string last;
  std::string middle;
  std::string who_is;
  std::string mobile;
  std::string phone;
  std::string email;
};

struct Lead {
  int64_t id = 0;
  // To the second, as the API shows them.
  absl::Time created;
  absl::Time updated;
  Person person;
  std::vector<Person> agents;
  // Null: none.
  const LeadStatus* status = nullptr;
  std::vector<const Office*> offices;
  std::vector<const Employee*> assignees;
  // In hundredths of the currency.
  std::optional<int64_t> budget;
  std::string currency = "RUB";
  BudgetForm budget_form = BudgetForm::kNumber;
  std::string discipline;
  std::string level;
  std::string maturity;
  std::string learning_type;
  std::string ad_source;
  // "2025-09-01".
  std::string address_date;
  // An additional field.
  std::string reject_reason;
  // Additional fields, in their order.
  std::vector<std::pair<std::string, std::string>> extra_fields;
  // Of a lead that became a student; 0: it didn't.
  int64_t client_id = 0;
  bool gone = false;
};

// A lead went from one status to another.
struct StatusChange {
  int64_t lead_id = 0;
  absl::Time at;
  const LeadStatus* before = nullptr;
  const LeadStatus* after = nullptr;
};

struct Payment {
  int64_t id = 0;
  int64_t client_id = 0;
  absl::Time created;
  // In hundredths.
  int64_t value = 0;
};

}  // namespace dealstream::crm::hollihop::sim
