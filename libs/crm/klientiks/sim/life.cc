#include <utility>

#include <fmt/format.h>

#include "libs/crm/klientiks/sim/account.h"
#include "libs/crm/sim/names.h"

// What happens in an account by itself. Draws from random() alone.
namespace dealstream::crm::klientiks::sim {
namespace {

constexpr size_t kEmployees = 12;
constexpr size_t kClients = 40;

const char* const kServices[] = {"Осмотр терапевта",
                                 "Чистка лица",
                                 "Стрижка",
                                 "Массаж спины",
                                 "УЗИ щитовидной железы",
                                 "Маникюр",
                                 "Консультация косметолога"};
const char* const kGoods[] = {"Крем, 50 мл", "Шампунь", "Зубная паста"};

}  // namespace

void KlientiksAccount::MakeDirectories() {
  const absl::Time opened = Now() - absl::Hours(24 * 400);
  for (size_t i = 0; i < kEmployees; ++i) {
    Employee employee;
    employee.id = NewId();
    employee.name = simkit::MakePerson(random()).Full();
    employee.phone = simkit::MakeMobile(random()).substr(1);
    employee.email = random().Chance(0.5) ? simkit::MakeEmail(random()) : "";
    employee.changed = opened;
    employees_.push_back(std::move(employee));
  }
  for (const char* name : kServices) {
    services_.push_back({NewId(), name, "service", 50 * random().Between(600, 12'000)});
  }
  for (const char* name : kGoods) {
    services_.push_back({NewId(), name, "good", 50 * random().Between(300, 3'000)});
  }
  for (size_t i = 0; i < kClients; ++i) {
    MakeClient().changed = opened;
  }
}

Client& KlientiksAccount::MakeClient() {
  Client client;
  const simkit::PersonName person = simkit::MakePerson(random());
  client.id = NewId();
  client.first = person.first;
  client.last = random().Chance(0.9) ? person.last : "";
  client.middle = random().Chance(0.7) ? person.middle : "";
  client.phone = simkit::MakeMobile(random()).substr(1);
  client.groups = random().Chance(0.3) ? "Постоянные клиенты" : "";
  client.created = client.changed = Now();
  client.own = {{"email", random().Chance(0.7) ? simkit::MakeEmail(random()) : ""},
                {"lead_source", random().Chance(0.5) ? "Сайт" : ""},
                {"appointment_confirmation_sms", true}};
  if (random().Chance(0.1)) {
    client.own["additional_contact_name"] = "Мама";
    client.own["additional_contact_phone"] = simkit::MakeMobile(random()).substr(1);
  }
  clients_.push_back(std::move(client));
  return clients_.back();
}

void KlientiksAccount::DrawLines(Visit& visit) {
  visit.lines.clear();
  const size_t count = random().Chance(0.05) ? 0 : 1 + random().Below(3);
  int64_t total = 0;
  for (size_t i = 0; i < count; ++i) {
    Line line;
    line.id = NewId();
    line.service = random().Of(services_);
    line.price = line.service.price;
    line.count = line.service.type == "good" ? random().Between(1, 3) : 1;
    line.discount = random().Chance(0.1) ? *line.price / 10 : 0;
    line.subscription = random().Chance(0.1) ? NewId() : 0;
    total += *line.price * line.count - line.discount;
    visit.lines.push_back(std::move(line));
  }
  visit.total = random().Chance(0.8) ? std::optional<int64_t>(total) : std::nullopt;
}

Visit KlientiksAccount::MakeVisit(absl::Time now) {
  Visit visit;
  visit.id = NewId();
  visit.created = visit.changed = visit.visible = now;
  visit.client = random().Of(clients_).id;
  visit.executor = random().Chance(0.95) ? random().Of(employees_).id : 0;
  visit.author = random().Chance(0.9) ? random().Of(employees_).id : 0;
  // On the grid of 15 minutes, within the next days.
  visit.start = absl::FromUnixSeconds(absl::ToUnixSeconds(now) / 900 * 900) +
                absl::Minutes(15 * random().Between(4, 4 * 24 * 5));
  visit.minutes = static_cast<int>(15 * random().Between(1, 8));
  visit.own = {{"appointment_source", random().Chance(0.5) ? "Администратор" : "Звонок"}};
  if (random().Chance(0.3)) {
    visit.own["cabinet"] = fmt::format("Кабинет {}", random().Between(1, 6));
  }
  DrawLines(visit);
  return visit;
}

std::string KlientiksAccount::LiveNewDeal() {
  Visit visit = MakeVisit(Now());
  visit.online = random().Chance(0.3);
  if (visit.online) {
    visit.author = 0;
    visit.own = {{"lead", random().Chance(0.6) ? "Telegram-канал" : ""}};
    if (random().Chance(0.5)) {
      visit.own["utm_source"] = random().Chance(0.5) ? "yandex" : "vk";
      visit.own["utm_medium"] = "cpc";
      visit.own["comagic_session_id"] = random().Between(100'000'000, 999'999'999);
    }
  } else if (random().Chance(0.05)) {
    visit.client = 0;
  }
  const Visit& kept = Keep(std::move(visit));
  TellCreated(kept);
  return std::to_string(kept.id);
}

void KlientiksAccount::DrawChange(Visit& visit) {
  switch (random().Below(6)) {
    case 0:
      visit.start += absl::Minutes(15 * random().Between(-8, 8));
      return;
    case 1:
      DrawLines(visit);
      return;
    case 2:
      visit.executor = random().Of(employees_).id;
      return;
    default: {
      const auto& statuses = Statuses();
      visit.status = statuses[random().Below(statuses.size())].value;
    }
  }
}

void KlientiksAccount::LiveOneChange() {
  if (visits_.empty() || random().Chance(0.2)) {
    LiveNewDeal();
    return;
  }
  auto found = visits_.begin();
  std::advance(found, random().Below(visits_.size()));
  Visit& visit = found->second;
  if (visit.removed) {
    LiveNewDeal();
    return;
  }
  if (random().Chance(0.02)) {
    visit.removed = true;
    if (settings_.removal_webhook.Bool()) {
      TellChanged(visit);
    }
    return;
  }
  DrawChange(visit);
  Changed(visit);
  TellChanged(visit);
}

}  // namespace dealstream::crm::klientiks::sim
