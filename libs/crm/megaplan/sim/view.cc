#include "libs/crm/megaplan/sim/view.h"

#include <cstdlib>

#include <fmt/format.h>

namespace dealstream::crm::megaplan::sim {
namespace {

// Whole numbers without a point, others as a double prints, tails included.
Json Number(double value) {
  const auto whole = static_cast<int64_t>(value);
  return static_cast<double>(whole) == value ? Json(whole) : Json(value);
}

Json Number(int64_t hundredths) { return Number(static_cast<double>(hundredths) / 100); }

Json StateJson(const State& state) {
  return {{"contentType", "ProgramState"},
          {"id", state.id},
          {"name", state.name},
          {"entryPointName", state.name},
          {"type", state.type},
          {"color", "#3d7eff"},
          {"description", ""},
          {"isEntry", state.type == "active"}};
}

Json Infos(const std::vector<ContactInfo>& infos, const Json& subject) {
  Json list = Json::array();
  for (const ContactInfo& info : infos) {
    list.push_back({{"contentType", "ContactInfo"},
                    {"type", info.type},
                    {"value", info.value},
                    {"comment", nullptr},
                    {"isMain", info.is_main},
                    {"subject", subject}});
  }
  return list;
}

bool IsEntity(const Json& value) {
  return value.is_object() && value.contains("contentType") && value.contains("id");
}

// In the order of the document.
void Collapse(Json& value, std::set<std::pair<std::string, std::string>>& seen) {
  if (!value.is_structured()) {
    return;
  }
  if (IsEntity(value) && value.size() > 2) {
    const std::string type = value["contentType"];
    const std::string id = value["id"];
    if (!seen.emplace(type, id).second) {
      value = Link(type, id);
      return;
    }
  }
  for (Json& child : value) {
    Collapse(child, seen);
  }
}

}  // namespace

Json Link(const std::string& type, const std::string& id) {
  return {{"contentType", type}, {"id", id}};
}

Json DateTime(absl::Time time) {
  return {{"contentType", "DateTime"},
          {"value", absl::FormatTime("%Y-%m-%dT%H:%M:%S+00:00", time, absl::UTCTimeZone())}};
}

Json Envelope(Json data) {
  Json answer = {{"meta", {{"status", 200}, {"errors", Json::array()}}}, {"data", std::move(data)}};
  std::set<std::pair<std::string, std::string>> seen;
  Collapse(answer["data"], seen);
  return answer;
}

void LinkEverything(Json& deal) {
  for (const char* key : {"contractor", "manager", "contact", "state", "program"}) {
    if (IsEntity(deal[key])) {
      deal[key] = Link(deal[key]["contentType"], deal[key]["id"]);
    }
  }
  // They would explain some of the links.
  deal.erase("possibleTransitions");
  deal.erase("userCreated");
}

std::string Decimal(int64_t hundredths) {
  return fmt::format("{}{}.{:02}",
                     hundredths < 0 ? "-" : "",
                     std::abs(hundredths) / 100,
                     std::abs(hundredths) % 100);
}

Json View::Money(int64_t hundredths, const Deal& deal) const {
  const Currency& currency = account_.currencies_[deal.currency];
  return {{"contentType", "Money"},
          {"currency", currency.code},
          {"valueInMain", Number(static_cast<double>(hundredths) / 100 * currency.rate)},
          {"rate", Number(currency.rate)},
          {"value", Number(hundredths)}};
}

Json View::Full(const Employee& employee) const {
  const Json link = Link("Employee", employee.id);
  return {
      {"contentType", "Employee"},
      {"id", employee.id},
      {"name", employee.Name()},
      {"firstName", employee.first},
      {"middleName", employee.middle},
      {"lastName", employee.last},
      {"position", "Менеджер"},
      {"department", {{"contentType", "Department"}, {"id", "1000003"}, {"name", "Отдел продаж"}}},
      {"uid", std::stoll(employee.id)},
      {"birthday", nullptr},
      {"inn", ""},
      {"contactInfo",
       Infos({{"email", employee.email, true}, {"phone", employee.phone, false}}, link)},
      {"contactInfoCount", 2},
      {"isWorking", true},
      {"nearestVacation", nullptr},
      {"canLogin", true},
      {"avatar", nullptr}};
}

Json View::Full(const Client& client) const {
  const Json link = Link(client.Type(), client.id);
  Json json = link;
  Json responsibles = Json::array();
  for (const std::string& id : client.responsibles) {
    responsibles.push_back(Full(*account_.FindEmployee(id)));
  }
  const size_t infos = client.infos.size();
  if (!client.is_company) {
    json["firstName"] = client.first;
    json["middleName"] = client.middle;
    json["lastName"] = client.last;
    json["name"] = client.Name();
    json["contactInfo"] = Infos(client.infos, link);
    json["contactInfoCount"] = infos;
    json["responsibles"] = std::move(responsibles);
    json["isDropped"] = false;
    return json;
  }
  json["type"] = {{"contentType", "ContractorType"},
                  {"id", "1"},
                  {"name", "Клиент"},
                  {"type", "client"},
                  {"fixedFields", Json::array()}};
  json["responsibles"] = std::move(responsibles);
  json["contactInfo"] = Infos(client.infos, link);
  json["contactInfo"].push_back(
      {{"contentType", "Address"}, {"id", "77"}, {"value", "Тверь, Садовая, 3"}});
  json["contactInfoCount"] = infos + 1;
  json["description"] = "";
  json["isDropped"] = false;
  json["name"] = client.name;
  json["tags"] = Json::array();
  return json;
}

Json View::Full(const Program& program) const {
  Json states = Json::array();
  for (const State& state : program.states) {
    states.push_back(StateJson(state));
  }
  return {{"contentType", "Program"},
          {"id", program.id},
          {"name", program.name},
          {"states", std::move(states)},
          {"statesCount", program.states.size()},
          {"isBpm", false}};
}

Json View::Full(const Currency& currency) const {
  return {{"contentType", "Currency"},
          {"id", currency.id},
          {"name", currency.name},
          {"abbreviation", currency.code},
          {"rate", Number(currency.rate)},
          {"isBase", currency.rate == 1}};
}

Json View::ClientOrNull(const std::string& id) const {
  const Client* client = account_.FindClient(id);
  return client == nullptr ? Json(nullptr) : Full(*client);
}

Json View::Manager(const Deal& deal) const {
  if (deal.manager == "group") {
    return {{"contentType", "Group"}, {"id", "44"}, {"name", "Первая линия"}};
  }
  const Employee* employee = account_.FindEmployee(deal.manager);
  return employee == nullptr ? Json(nullptr) : Full(*employee);
}

Json View::Positions(const Deal& deal) const {
  Json rows = Json::array();
  for (const Position& position : deal.positions) {
    rows.push_back(
        {{"contentType", "OfferRow"},
         {"id", position.id},
         {"discount", {{"contentType", "Discount"}, {"type", "absolute"}, {"valueInMain", 0}}},
         {"name", position.name},
         {"price", Money(position.price, deal)},
         {"sum", Money(position.Sum(), deal)},
         {"tax", nullptr},
         {"quantity", Number(position.quantity)},
         {"unit", {{"contentType", "Unit"}, {"id", "1"}, {"name", "шт."}}},
         {"offer",
          {{"contentType", "Offer"},
           {"id", position.offer_id},
           {"name", position.name},
           {"article", ""},
           {"type", position.type}}},
         {"deal", Link("Deal", deal.id)}});
  }
  return rows;
}

Json View::Full(const Deal& deal) const {
  const Program& program = account_.programs_[deal.program];
  const State& state = program.states[deal.state];
  const bool has_sum = deal.place != SumPlace::kNowhere;
  Json json = {{"contentType", "Deal"},
               {"id", deal.id},
               {"number", deal.number},
               {"name", deal.name},
               {"description", "<p></p>"},
               {"shortDescription", ""},
               {"contractor", ClientOrNull(deal.contractor)},
               {"manager", Manager(deal)},
               {"payer", nullptr},
               {"auditors", Json::array()},
               {"payForm", nullptr}};
  // A field that isn't in the scheme is absent.
  if (has_sum) {
    json["price"] = Money(deal.place == SumPlace::kCost ? 0 : deal.Total(), deal);
  }
  json["state"] = StateJson(state);
  json["stateTimeUpdated"] = DateTime(deal.state_updated);
  json["result"] = state.type;
  json["timeCreated"] = DateTime(deal.created);
  json["timeUpdated"] = DateTime(deal.updated);
  if (has_sum) {
    json["positions"] = Positions(deal);
    json["positionsCount"] = deal.positions.size();
    json["debt"] = Money(deal.Total() - deal.paid, deal);
    json["paymentProgress"] = deal.Total() == 0 ? 0 : deal.paid * 100 / deal.Total();
  }
  json["invoices"] = Json::array();
  json["contractorEmail"] = "";
  json["contractorPhone"] = nullptr;
  if (has_sum) {
    json["cost"] = deal.place == SumPlace::kCost ? Money(deal.sum, deal) : Json(nullptr);
  }
  json["contact"] = ClientOrNull(deal.contact);
  json["program"] = {{"contentType", "Program"},
                     {"id", program.id},
                     {"name", program.name},
                     {"possibleActions", {"can_create"}}};
  Json transitions = Json::array();
  for (const State& to : program.states) {
    transitions.push_back({{"contentType", "ProgramTransition"},
                           {"id", "9" + to.id},
                           {"name", ""},
                           {"to", StateJson(to)},
                           {"reasons", Json::array()},
                           {"enabled", true}});
  }
  json["possibleTransitions"] = std::move(transitions);
  json["possibleActions"] = {"act_read", "act_edit"};
  if (!account_.employees_.empty()) {
    json["userCreated"] = Full(account_.employees_.front());
  }
  json["currency"] = Link("Currency", account_.currencies_[deal.currency].id);
  json["tags"] = Json::array();
  json["isFavorite"] = false;
  for (const auto& [key, value] : deal.custom_fields.items()) {
    json[key] = value;
  }
  return json;
}

Json View::Row(const Deal& deal, const std::set<std::string>& fields, bool only_fields) const {
  const Json full = Full(deal);
  Json row = Link("Deal", deal.id);
  for (const auto& [key, value] : full.items()) {
    const bool always = !only_fields && (key == "name" || key == "isFavorite");
    if (always || fields.contains(key)) {
      row[key] = value;
    }
  }
  return row;
}

Json View::ForEvent(const Deal& deal) const {
  Json json = Link("Deal", deal.id);
  json["name"] = deal.name;
  if (deal.place != SumPlace::kNowhere) {
    json["price"] = {{"value", Number(deal.Total())},
                     {"currency", account_.currencies_[deal.currency].code},
                     {"contentType", "Money"}};
  }
  json["manager"] = Manager(deal);
  json["timeUpdated"] = DateTime(deal.updated);
  return json;
}

}  // namespace dealstream::crm::megaplan::sim
