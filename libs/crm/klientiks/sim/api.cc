#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/time/civil_time.h"
#include "absl/time/clock.h"
#include <fmt/format.h>

#include "libs/crm/klientiks/sim/account.h"

// What an account answers.
namespace dealstream::crm::klientiks::sim {
namespace {

using simkit::JsonAnswer;

constexpr int kDefaultLimit = 50;

int64_t NumberOf(const Arguments& arguments, const std::string& name, int64_t absent = 0) {
  const auto found = arguments.find(name);
  return found == arguments.end() || found->second.empty()
             ? absent
             : std::strtoll(found->second.c_str(), nullptr, 10);
}

std::string TextOf(const Arguments& arguments, const std::string& name) {
  const auto found = arguments.find(name);
  return found == arguments.end() ? "" : found->second;
}

// For the statistics.
std::string KindOf(const std::string& action, const std::string& model) {
  if (action == "getAppointment") {
    return "appointment.get";
  }
  if (action == "roistatExportAcl") {
    return "export";
  }
  if (action != "list") {
    return action;
  }
  static const std::map<std::string, std::string> kinds = {{"Appointments", "appointment.list"},
                                                           {"Clients", "client.get"},
                                                           {"clients", "client.list"},
                                                           {"getClientByPhone", "client.phone"},
                                                           {"Users", "user.list"},
                                                           {"Services", "service.list"}};
  const auto found = kinds.find(model);
  return found == kinds.end() ? "list" : found->second;
}

Json NullIfZero(int64_t id) { return id == 0 ? Json(nullptr) : Json(id); }

}  // namespace

http::ServerResponse KlientiksAccount::Call(const http::ServerRequest& request,
                                            const std::string& action,
                                            const Arguments& arguments,
                                            const std::string& bearer) {
  http::ServerResponse response =
      Pass(KindOf(action, TextOf(arguments, "m")), [&]() -> http::ServerResponse {
        const bool by_header = bearer == token_ && settings_.header_token.Bool();
        const bool by_path = TextOf(arguments, "t") == token_;
        if (TextOf(arguments, "u") != user_id_ || (!by_header && !by_path)) {
          return Fail(403);
        }
        return Answer(request.method, action, arguments, request.body);
      });
  std::lock_guard lock(mutex());
  if (own_faults_.php_notice && response.status == 200) {
    response.body =
        "<br />\n<b>Notice</b>:  Undefined index: service in <b>/var/www/clientix/Restapi.php</b> "
        "on line <b>217</b><br />\n" +
        response.body;
  }
  return response;
}

http::ServerResponse KlientiksAccount::Answer(const std::string& method,
                                              const std::string& action,
                                              const Arguments& arguments,
                                              const std::string& body) {
  const std::string model = TextOf(arguments, "m");
  if (action == "getAppointment") {
    return GetAppointment(NumberOf(arguments, "id"));
  }
  if (action == "roistatExportAcl") {
    return Export(arguments);
  }
  if (action == "getACL") {
    Json rows = Json::array();
    for (const Visit* visit : Listed()) {
      if (visit->client == NumberOf(arguments, "clientId")) {
        rows.push_back(Row(*visit, /*flatten=*/true));
      }
    }
    return Rows(std::move(rows), arguments);
  }
  if (action == "list") {
    return ListModel(model, arguments);
  }
  if (action == "add" || action == "edit") {
    return method == "POST" ? Write(model, body) : Fail(405);
  }
  return Fail(404);
}

bool KlientiksAccount::IsReadable(const Visit& visit, absl::Time now) const {
  return !visit.removed && visit.visible <= now;
}

std::vector<const Visit*> KlientiksAccount::Listed() const {
  std::vector<const Visit*> listed;
  const absl::Time now = absl::Now();
  for (const auto& [id, visit] : visits_) {
    if (IsReadable(visit, now)) {
      listed.push_back(&visit);
    }
  }
  if (settings_.newest_first.Bool()) {
    std::stable_sort(listed.begin(), listed.end(), [](const Visit* a, const Visit* b) {
      return a->changed > b->changed;
    });
  }
  return listed;
}

http::ServerResponse KlientiksAccount::GetAppointment(int64_t id) {
  const auto found = visits_.find(id);
  const bool is_shown =
      found != visits_.end() && (IsReadable(found->second, absl::Now()) ||
                                 (found->second.removed && settings_.show_removed.Bool()));
  if (!is_shown) {
    return JsonAnswer({{"items", "No data"}});
  }
  Json row = Row(found->second, settings_.flatten.Bool());
  switch (settings_.envelope.Int()) {
    case 1:
      return JsonAnswer({{"items", Json::array({row})}});
    case 2:
      return JsonAnswer({{"status", "ok"}, {"object", row}});
    case 3:
      return JsonAnswer(row);
    case 4:
      return JsonAnswer({{"object", row}, {"status", true}});
    default:
      return JsonAnswer({{"items", row}});
  }
}

http::ServerResponse KlientiksAccount::ListModel(const std::string& model,
                                                 const Arguments& arguments) {
  Json rows = Json::array();
  if (model == "Users") {
    if (own_faults_.hide_users) {
      return Fail(403);
    }
    for (const Employee& employee : employees_) {
      rows.push_back(Row(employee));
    }
  } else if (model == "Services") {
    for (const Service& service : services_) {
      rows.push_back({{"id", service.id},
                      {"type", service.type},
                      {"name", service.name},
                      {"price", MoneyText(service.price)},
                      {"barcode", ""},
                      {"service_groups", nullptr},
                      {"archived", false}});
    }
  } else if (model == "Appointments") {
    const std::string day = TextOf(arguments, "date");
    for (const Visit* visit : Listed()) {
      if (TimeText(visit->start).starts_with(day)) {
        rows.push_back(Row(*visit, /*flatten=*/true));
      }
    }
  } else if (model == "Clients" || model == "clients" || model == "getClientByPhone") {
    if (own_faults_.hide_clients) {
      return Fail(403);
    }
    for (const Client& client : clients_) {
      if (model == "getClientByPhone") {
        if (client.phone == TextOf(arguments, "phone")) {
          return JsonAnswer({{"items", Row(client, /*flatten=*/false)}});
        }
      } else if (client.visible <= absl::Now() &&
                 (!arguments.contains("id") || client.id == NumberOf(arguments, "id")) &&
                 TimeText(client.changed) >= TextOf(arguments, "date")) {
        rows.push_back(Row(client, /*flatten=*/true));
      }
    }
  }
  return Rows(std::move(rows), arguments);
}

http::ServerResponse KlientiksAccount::Export(const Arguments& arguments) {
  const absl::Time since = absl::FromUnixSeconds(NumberOf(arguments, "date"));
  Json orders = Json::array();
  for (const Visit* visit : Listed()) {
    if (visit->client != 0 && visit->changed >= since) {
      orders.push_back({{"id", std::to_string(visit->id)},
                        {"status", visit->status},
                        {"client_id", visit->client},
                        {"created", TimeText(visit->created)},
                        {"modified", TimeText(visit->changed)}});
    }
  }
  Json statuses = Json::array();
  for (const StatusName& status : Statuses()) {
    statuses.push_back({{"id", status.value}, {"name", status.label}});
  }
  return JsonAnswer({{"orders", std::move(orders)}, {"statuses", std::move(statuses)}});
}

http::ServerResponse KlientiksAccount::Write(const std::string& model, const std::string& body) {
  const simkit::Parameters form = simkit::ParseQuery(body);
  const auto text = [&form](const char* name) {
    return std::string(simkit::FindParameter(form, name));
  };
  if (model != "Clients") {
    return JsonAnswer({{"status", false},
                       {"messages", Json::array()},
                       {"errors", {{"model", {"Модель недоступна"}}}}});
  }
  for (const char* required : {"phone", "first_name"}) {
    if (text(required).empty()) {
      return JsonAnswer({{"status", false},
                         {"messages", Json::array()},
                         {"errors", {{required, {"Необходимо заполнить поле"}}}}});
    }
  }
  Client& client = MakeClient();
  client.phone = text("phone");
  client.first = text("first_name");
  client.last = text("second_name");
  client.middle = text("patron_name");
  return JsonAnswer({{"status", "ok"},
                     {"messages", {"Клиент добавлен"}},
                     {"errors", Json::array()},
                     {"object", Row(client, /*flatten=*/false)}});
}

// `offset` of the answer is the next one; "No data" in place of an empty list.
http::ServerResponse KlientiksAccount::Rows(Json rows, const Arguments& arguments) const {
  const int64_t offset = NumberOf(arguments, "offset");
  int64_t limit = std::max<int64_t>(NumberOf(arguments, "limit", kDefaultLimit), 1);
  if (settings_.most_rows.Int() > 0) {
    limit = std::min<int64_t>(limit, settings_.most_rows.Int());
  }
  Json page = Json::array();
  for (int64_t i = offset; i < std::min(offset + limit, static_cast<int64_t>(rows.size())); ++i) {
    page.push_back(std::move(rows[static_cast<size_t>(i)]));
  }
  const size_t count = page.size();
  return JsonAnswer({{"offset", offset + limit},
                     {"items", count == 0 ? Json("No data") : std::move(page)},
                     {"count", count},
                     {"limit", limit}});
}

Json KlientiksAccount::Row(const Visit& visit, bool flatten) const {
  Json lines = Json::array();
  const Employee* executor = FindEmployee(visit.executor);
  for (const Line& line : visit.lines) {
    Json executions = Json::array();
    if (executor != nullptr) {
      executions.push_back({{"id", executor->id}, {"name", executor->name}});
    }
    lines.push_back({{"id", line.id},
                     {"service_id", line.service.id},
                     {"name", line.service.name},
                     {"type", line.service.type},
                     {"price", line.price.has_value() ? Json(MoneyText(*line.price)) : Json()},
                     {"count", line.count},
                     {"discount_sum", MoneyText(line.discount)},
                     {"service_pack_id", NullIfZero(line.subscription)},
                     {"appointed_services_executions", std::move(executions)}});
  }
  Json row = {
      {"id", visit.id},
      {"account_id", 20'000 + number()},
      {"client_id", NullIfZero(visit.client)},
      {"executor_id", NullIfZero(visit.executor)},
      {"author_id", NullIfZero(visit.author)},
      {"start_datetime", TimeText(visit.start).substr(0, 19)},
      {"finish_datetime", TimeText(visit.start + absl::Minutes(visit.minutes)).substr(0, 19)},
      {"status", visit.status},
      {"appointed_services", std::move(lines)},
      {"total_sum", visit.total.has_value() ? Json(MoneyText(*visit.total)) : Json()},
      {"paid", false},
      {"urgent", false},
      {"is_sale", visit.is_sale},
      {"created", TimeText(visit.created)},
      {"modified", TimeText(visit.changed)},
      {"deleted", visit.removed},
      {"json_data", visit.own.empty() ? Json() : Json(simkit::Dump(visit.own))}};
  if (visit.subscription != 0) {
    row["service_pack_id"] = visit.subscription;
  }
  if (settings_.nested_client.Bool() && FindClient(visit.client) != nullptr) {
    row["client"] = Row(*FindClient(visit.client), /*flatten=*/true);
  }
  if (flatten) {
    row.update(visit.own);
  }
  return row;
}

Json KlientiksAccount::Row(const Client& client, bool flatten) const {
  Json row = {{"id", client.id},
              {"name", client.Name()},
              {"phone", client.phone},
              {"created", TimeText(client.created)},
              {"json_data", flatten ? Json(simkit::Dump(client.own)) : Json()},
              {"modified", TimeText(client.changed)},
              {"account_id", 20'000 + number()},
              {"country_code", "RU"},
              {"client_groups", client.groups},
              {"delay_stat", nullptr},
              {"unparsed_name", false},
              {"first_name", client.first},
              {"patron_name", client.middle.empty() ? Json() : Json(client.middle)},
              {"second_name", client.last.empty() ? Json() : Json(client.last)},
              {"loyalty_program_status", nullptr},
              {"demo_entity", client.demo},
              {"deleted", false},
              {"forbid_roistat_export", false},
              {"responsible_manager_id", nullptr},
              {"blocked", false},
              {"number", client.id % 100'000},
              {"external_id", nullptr}};
  if (flatten) {
    row.update(client.own);
  }
  return row;
}

Json KlientiksAccount::Row(const Employee& employee) const {
  return {{"id", employee.id},
          {"name", employee.name},
          {"phone", employee.phone},
          {"email", employee.email.empty() ? Json() : Json(employee.email)},
          {"created", TimeText(employee.changed)},
          {"modified", TimeText(employee.changed)},
          {"archived", false}};
}

}  // namespace dealstream::crm::klientiks::sim
