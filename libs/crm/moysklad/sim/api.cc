#include "libs/crm/moysklad/sim/api.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/moysklad/sim/query.h"
#include "libs/crm/moysklad/sim/view.h"

namespace dealstream::crm::moysklad::sim {

using simkit::ParseQuery;
using simkit::SplitPath;
using simkit::UrlEncode;

namespace {

constexpr std::string_view kPrefix = "/api/remap/1.2/";
constexpr size_t kExpandLimit = 100;
constexpr size_t kMaxRows = 1000;
constexpr size_t kMaxUrl = 8 << 10;
constexpr size_t kMaxWebhookUrl = 255;
constexpr int kMaxWebhooksOfOneKind = 5;

Answer NotFound(std::string_view type, std::string_view id) {
  return RefuseCall(
      404, 1021, fmt::format("Объект с типом '{}' и идентификатором '{}' не найден", type, id));
}

Answer UnknownPath() { return RefuseCall(404, 1002, "Неизвестный путь"); }

Answer WrongMethod() { return RefuseCall(405, 1039, "Метод не поддерживается"); }

// A field of the body has another type than it must have.
Answer WrongType() { return RefuseCall(400, 2016, "Неправильный тип значения"); }

bool IsUuid(std::string_view text) {
  if (text.size() != 36) {
    return false;
  }
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !absl::ascii_isxdigit(static_cast<unsigned char>(text[i]))) {
      return false;
    }
  }
  return true;
}

bool AcceptsGzip(const http::ServerRequest& request) {
  return ContainsIgnoringCase(http::FindHeader(request.headers, "accept-encoding"), "gzip");
}

bool AcceptsJson(const http::ServerRequest& request) {
  const std::string accept =
      absl::AsciiStrToLower(ToAbsl(http::FindHeader(request.headers, "accept")));
  return accept.empty() || absl::StrContains(accept, "*/*") ||
         absl::StrContains(accept, "application/json");
}

// The last segment of the reference's address; empty when there is no reference.
std::string IdOfReference(const Json& value) {
  if (!value.is_object() || !value.contains("meta") || !value["meta"].contains("href") ||
      !value["meta"]["href"].is_string()) {
    return {};
  }
  const auto href = value["meta"]["href"].get<std::string>();
  const size_t slash = href.rfind('/');
  return slash == std::string::npos ? std::string() : href.substr(slash + 1);
}

// One request of a user whose account is locked.
class Call {
 public:
  Call(Customer& customer, const http::ServerRequest& request)
      : customer_(customer),
        account_(customer.data()),
        request_(request),
        view_(account_, customer.base_url(), customer.settings().NestedLimit()),
        parameters_(ParseQuery(request.query)),
        expand_(Expand::Parse(FindParameter(parameters_, "expand"))) {}

  Answer Run();

 private:
  Answer RunOrders(const std::vector<std::string>& parts);
  Answer RunOneOrder(Order& order, const std::vector<std::string>& parts);
  Answer RunOrderMetadata(const std::vector<std::string>& parts);
  Answer RunCounterparties(const std::vector<std::string>& parts);
  Answer RunItems(const std::vector<std::string>& parts);
  Answer RunWebhooks(const std::vector<std::string>& parts);

  Answer CreateWebhook();
  Answer ChangeWebhook(Subscription& subscription);
  std::optional<Answer> CheckWebhook(const Subscription& wanted) const;
  Answer CreateOrders();
  // The order that a row of a POST means: by its meta, or by a syncId known before.
  Order* FindSaved(const Json& row);
  Answer SaveRow(const Json& row, std::vector<Change>& changes);
  Answer ChangeOrder(Order& order);
  // Takes over the fields that a client may write.
  std::optional<Answer> Write(Order& order, const Json& body, std::vector<std::string>& fields);
  std::optional<Answer> WriteReferences(Order& order,
                                        const Json& body,
                                        std::vector<std::string>& fields);
  void WritePositions(Order& order, const Json& lines);
  Answer RemoveOrder(const std::string& id);

  Answer ListOrders();
  Answer ListItems(const std::string& type);
  // Sorts, cuts a page out and shows it.
  template <typename Row, typename Reader, typename Show>
  Answer List(const std::string& type,
              const std::string& path,
              std::vector<const Row*> rows,
              const Page& page,
              Reader reader,
              Show show);
  std::optional<std::string> FieldOf(const Order& order, std::string_view field) const;
  std::optional<std::string> FieldOf(const Item& item, std::string_view field) const;
  bool Get() const { return request_.method == "GET"; }
  bool Post() const { return request_.method == "POST"; }
  void Notify(const std::vector<Change>& changes);
  // Null when the body is no JSON.
  Json Body() const { return Json::parse(request_.body, nullptr, /*allow_exceptions=*/false); }

  Customer& customer_;
  AccountData& account_;
  const http::ServerRequest& request_;
  const View view_;
  const Parameters parameters_;
  const Expand expand_;
};

void Call::Notify(const std::vector<Change>& changes) {
  std::vector<std::string> muted;
  for (const auto& [name, value] : request_.headers) {
    if (name == "x-lognex-webhook-disablebyprefix") {
      muted.push_back(value);
    }
  }
  if (http::FindHeader(request_.headers, "x-lognex-webhook-disable") != "true") {
    customer_.Notify(changes, muted);
  }
}

Answer Call::Run() {
  const auto parts = SplitPath(std::string_view(request_.path).substr(kPrefix.size()));
  if (parts.size() == 2 && parts[0] == "context" && parts[1] == "employee" && Get()) {
    return {200, view_.FullItem(*account_.ItemsOf("employee").front(), expand_)};
  }
  if (parts.size() == 2 && parts[0] == "security" && parts[1] == "token" && Post()) {
    return {200, {{"access_token", customer_.MintToken()}}};
  }
  if (parts.size() < 2 || parts[0] != "entity") {
    return UnknownPath();
  }
  if (parts[1] == "customerorder") {
    return RunOrders(parts);
  }
  if (parts[1] == "counterparty") {
    return RunCounterparties(parts);
  }
  if (parts[1] == "webhook") {
    return RunWebhooks(parts);
  }
  return RunItems(parts);
}

Answer Call::RunOrders(const std::vector<std::string>& parts) {
  if (parts.size() == 2) {
    return Get() ? ListOrders() : Post() ? CreateOrders() : WrongMethod();
  }
  if (parts[2] == "metadata") {
    return Get() ? RunOrderMetadata(parts) : WrongMethod();
  }
  if (!IsUuid(parts[2])) {
    return RefuseCall(400, 1052, fmt::format("Неверный UUID '{}'", parts[2]), "id");
  }
  Order* order = account_.FindOrder(parts[2]);
  if (order == nullptr) {
    // DELETE of what is not there has no body.
    return request_.method == "DELETE" ? Answer{404, {}} : NotFound("customerorder", parts[2]);
  }
  return RunOneOrder(*order, parts);
}

Answer Call::RunOneOrder(Order& order, const std::vector<std::string>& parts) {
  if (parts.size() == 3) {
    if (Get()) {
      return {200, view_.FullOrder(customer_.AsRead(order), expand_)};
    }
    if (request_.method == "PUT") {
      return ChangeOrder(order);
    }
    return request_.method == "DELETE" ? RemoveOrder(order.id) : WrongMethod();
  }
  if (parts[3] == "trash" && Post()) {
    Notify({account_.Trash(order, absl::Now())});
    return {200, {}};
  }
  if (parts[3] == "notes" && Get()) {
    return List<Item>(
        "eventnote",
        request_.path,
        {},
        Page(),
        [](const Item&, auto) { return std::nullopt; },
        [](const Item&, const Expand&) { return Json(); });
  }
  if (parts[3] != "positions" || !Get()) {
    return UnknownPath();
  }
  if (parts.size() == 4) {
    auto page = Page::Parse(parameters_);
    if (!page.ok()) {
      return RefuseCall(400, 1034, ToStd(page.status().message()).data());
    }
    std::vector<const Position*> rows;
    for (const Position& position : order.positions) {
      rows.push_back(&position);
    }
    page->order.clear();
    return List<Position>(
        "customerorderposition",
        request_.path,
        std::move(rows),
        *page,
        [](const Position&, auto) { return std::nullopt; },
        [&](const Position& position, const Expand& expand) {
          return view_.FullPosition(order, position, expand);
        });
  }
  for (const Position& position : order.positions) {
    if (position.id == parts[4]) {
      return {200, view_.FullPosition(order, position, expand_)};
    }
  }
  return NotFound("customerorderposition", parts[4]);
}

Answer Call::RunOrderMetadata(const std::vector<std::string>& parts) {
  if (parts.size() == 3) {
    return {200, view_.OrderMetadata(expand_)};
  }
  if (parts[3] == "attributes" && parts.size() == 4) {
    std::vector<const AttributeType*> rows;
    for (const AttributeType& type : account_.attribute_types) {
      rows.push_back(&type);
    }
    return List<AttributeType>(
        "attributemetadata",
        request_.path,
        std::move(rows),
        Page(),
        [](const AttributeType&, auto) { return std::nullopt; },
        [&](const AttributeType& type, const Expand&) { return view_.AttributeDefinition(type); });
  }
  if (parts.size() == 5 && parts[3] == "attributes") {
    for (const AttributeType& type : account_.attribute_types) {
      if (type.id == parts[4]) {
        return {200, view_.AttributeDefinition(type)};
      }
    }
    return NotFound("attributemetadata", parts[4]);
  }
  if (parts.size() == 5 && parts[3] == "states") {
    const State* state = account_.FindState(parts[4]);
    return state == nullptr ? NotFound("state", parts[4]) : Answer{200, view_.FullState(*state)};
  }
  return UnknownPath();
}

Answer Call::RunCounterparties(const std::vector<std::string>& parts) {
  if (parts.size() < 4 || parts[3] != "contactpersons" || !Get()) {
    return RunItems(parts);
  }
  if (account_.FindItem(parts[2]) == nullptr) {
    return NotFound("counterparty", parts[2]);
  }
  const auto& contacts = account_.ContactsOf(parts[2]);
  if (parts.size() == 5) {
    for (const ContactPerson& contact : contacts) {
      if (contact.id == parts[4]) {
        return {200, view_.FullContact(parts[2], contact)};
      }
    }
    return NotFound("contactperson", parts[4]);
  }
  const auto page = Page::Parse(parameters_);
  if (!page.ok()) {
    return RefuseCall(400, 1034, std::string(page.status().message()));
  }
  std::vector<const ContactPerson*> rows;
  for (const ContactPerson& contact : contacts) {
    rows.push_back(&contact);
  }
  return List<ContactPerson>(
      "contactperson",
      request_.path,
      std::move(rows),
      *page,
      [](const ContactPerson&, auto) { return std::nullopt; },
      [&](const ContactPerson& contact, const Expand&) {
        return view_.FullContact(parts[2], contact);
      });
}

Answer Call::RunItems(const std::vector<std::string>& parts) {
  constexpr std::string_view kTypes[] = {"counterparty",
                                         "employee",
                                         "store",
                                         "saleschannel",
                                         "organization",
                                         "currency",
                                         "product",
                                         "service",
                                         "project",
                                         "contract",
                                         "customentity"};
  const std::string& type = parts[1];
  if (std::find(std::begin(kTypes), std::end(kTypes), type) == std::end(kTypes)) {
    return RefuseCall(412, 1005, fmt::format("Неизвестный тип: '{}'", type));
  }
  if (!Get()) {
    return WrongMethod();
  }
  if (parts.size() == 2) {
    return ListItems(type);
  }
  if (parts[2] == "metadata") {
    return {200, {{"meta", {{"href", customer_.base_url() + "/entity/" + type + "/metadata"}}}}};
  }
  const Item* item = account_.FindItem(parts[2]);
  if (item == nullptr || item->type != type) {
    return NotFound(type, parts[2]);
  }
  return {200, view_.FullItem(*item, expand_)};
}

// ---- Webhooks
// ------------------------------------------------------------------------------------

std::optional<Answer> Call::CheckWebhook(const Subscription& wanted) const {
  constexpr std::string_view kActions[] = {"CREATE", "UPDATE", "DELETE", "PROCESSED"};
  if (wanted.url.empty() || wanted.url.size() > kMaxWebhookUrl ||
      !(wanted.url.starts_with("http://") || wanted.url.starts_with("https://"))) {
    return RefuseCall(412, 30000, "Ошибка сохранения webhook: неверный url", "url");
  }
  if (std::find(std::begin(kActions), std::end(kActions), wanted.action) == std::end(kActions)) {
    return RefuseCall(412, 30001, "Ошибка сохранения webhook: неверное действие", "action");
  }
  if (wanted.entity_type.empty()) {
    return RefuseCall(412,
                      3000,
                      "Ошибка сохранения объекта: поле 'entityType' не может быть пустым",
                      "entityType");
  }
  if (wanted.diff_type != "NONE" && (wanted.diff_type != "FIELDS" || wanted.action != "UPDATE")) {
    return RefuseCall(412, 30008, "Ошибка сохранения webhook: неверный diffType", "diffType");
  }
  int same = 0;
  for (const Subscription& other : account_.subscriptions) {
    if (other.id == wanted.id || other.entity_type != wanted.entity_type ||
        other.action != wanted.action) {
      continue;
    }
    ++same;
    if (other.url == wanted.url) {
      return RefuseCall(412,
                        30003,
                        "Ошибка сохранения webhook: webhook с данным набором параметров уже "
                        "существует");
    }
  }
  if (same >= kMaxWebhooksOfOneKind) {
    return RefuseCall(412, 30007, "Ошибка сохранения webhook: превышено количество");
  }
  return std::nullopt;
}

Answer Call::RunWebhooks(const std::vector<std::string>& parts) {
  auto& all = account_.subscriptions;
  if (parts.size() == 2) {
    if (Post()) {
      return CreateWebhook();
    }
    std::vector<const Subscription*> rows;
    for (const Subscription& subscription : all) {
      rows.push_back(&subscription);
    }
    const auto page = Page::Parse(parameters_);
    if (!Get() || !page.ok()) {
      return Get() ? RefuseCall(400, 1034, std::string(page.status().message())) : WrongMethod();
    }
    return List<Subscription>(
        "webhook",
        request_.path,
        std::move(rows),
        *page,
        [](const Subscription&, auto) { return std::nullopt; },
        [&](const Subscription& subscription, const Expand&) {
          return view_.FullWebhook(subscription);
        });
  }
  const auto found = std::find_if(
      all.begin(), all.end(), [&](const Subscription& item) { return item.id == parts[2]; });
  if (found == all.end()) {
    return NotFound("webhook", parts[2]);
  }
  if (Get()) {
    return {200, view_.FullWebhook(*found)};
  }
  if (request_.method == "PUT") {
    return ChangeWebhook(*found);
  }
  if (request_.method == "DELETE") {
    all.erase(found);
    return {200, {}};
  }
  return WrongMethod();
}

Answer Call::CreateWebhook() {
  const Json body = Body();
  if (!body.is_object()) {
    return RefuseCall(400, 2001, "Ошибка формата: это не JSON");
  }
  Subscription wanted;
  wanted.id = MakeId(customer_.side_random());
  wanted.url = body.value("url", "");
  wanted.action = body.value("action", "");
  wanted.entity_type = body.value("entityType", "");
  wanted.diff_type = body.value("diffType", "NONE");
  if (auto refused = CheckWebhook(wanted)) {
    return *refused;
  }
  account_.subscriptions.push_back(wanted);
  return {200, view_.FullWebhook(wanted)};
}

Answer Call::ChangeWebhook(Subscription& subscription) {
  const Json body = Body();
  if (!body.is_object()) {
    return RefuseCall(400, 2001, "Ошибка формата: это не JSON");
  }
  Subscription wanted = subscription;
  wanted.url = body.value("url", wanted.url);
  wanted.action = body.value("action", wanted.action);
  wanted.entity_type = body.value("entityType", wanted.entity_type);
  wanted.diff_type = body.value("diffType", wanted.diff_type);
  wanted.enabled = body.value("enabled", wanted.enabled);
  if (auto refused = CheckWebhook(wanted)) {
    return *refused;
  }
  subscription = wanted;
  return {200, view_.FullWebhook(subscription)};
}

// ---- Writing orders
// ------------------------------------------------------------------------------

std::optional<Answer> Call::WriteReferences(Order& order,
                                            const Json& body,
                                            std::vector<std::string>& fields) {
  struct Field {
    const char* key;
    const char* type;
    std::string Order::*member;
  };
  constexpr Field kFields[] = {{"store", "store", &Order::store},
                               {"owner", "employee", &Order::owner},
                               {"organization", "organization", &Order::organization},
                               {"project", "project", &Order::project},
                               {"contract", "contract", &Order::contract},
                               {"salesChannel", "saleschannel", &Order::sales_channel}};
  for (const Field& field : kFields) {
    if (!body.contains(field.key)) {
      continue;
    }
    const std::string id = IdOfReference(body[field.key]);
    const Item* item = account_.FindItem(id);
    if (!body[field.key].is_null() && (item == nullptr || item->type != field.type)) {
      return RefuseCall(412, 2013, "Неверная ссылка в meta", field.key);
    }
    order.*field.member = id;
    fields.emplace_back(field.key);
  }
  if (body.contains("agent")) {
    const Item* item = account_.FindItem(IdOfReference(body["agent"]));
    if (item == nullptr || (item->type != "counterparty" && item->type != "organization")) {
      return RefuseCall(412, 2013, "Неверная ссылка в meta", "agent");
    }
    order.agent = {item->type, item->id};
    fields.emplace_back("agent");
  }
  if (body.contains("state")) {
    const std::string id = IdOfReference(body["state"]);
    if (!body["state"].is_null() && account_.FindState(id) == nullptr) {
      return RefuseCall(412, 2013, "Неверная ссылка в meta", "state");
    }
    order.state = id;
    fields.emplace_back("state");
  }
  return std::nullopt;
}

void Call::WritePositions(Order& order, const Json& lines) {
  // What is given replaces all there was.
  order.positions.clear();
  for (const Json& line : lines) {
    Position position = account_.MakePosition();
    position.quantity = std::llround(line.value("quantity", 1.0) * 1000);
    position.price = std::llround(line.value("price", 0.0) * kKopeck);
    position.discount = std::llround(line.value("discount", 0.0) * 100);
    order.positions.push_back(std::move(position));
  }
  AccountData::Recount(order);
}

std::optional<Answer> Call::Write(Order& order,
                                  const Json& body,
                                  std::vector<std::string>& fields) {
  // Of a body that is refused nothing is taken over.
  Order draft = order;
  try {
    if (auto refused = WriteReferences(draft, body, fields)) {
      return refused;
    }
    for (const auto& [key, member] : {std::pair{"name", &Order::name},
                                      std::pair{"description", &Order::description},
                                      std::pair{"externalCode", &Order::external_code}}) {
      if (body.contains(key)) {
        draft.*member = body[key].is_null() ? "" : body[key].get<std::string>();
        fields.emplace_back(key);
      }
    }
    if (body.contains("applicable")) {
      draft.applicable = body["applicable"].get<bool>();
      fields.emplace_back("applicable");
    }
    if (body.contains("positions")) {
      WritePositions(draft, body["positions"]);
      fields.emplace_back("positions");
    }
  } catch (const Json::exception&) {
    return WrongType();
  }
  order = std::move(draft);
  return std::nullopt;
}

Answer Call::ChangeOrder(Order& order) {
  const Json body = Body();
  if (!body.is_object()) {
    return RefuseCall(400, 2001, "Ошибка формата: это не JSON");
  }
  std::vector<std::string> fields;
  if (auto refused = Write(order, body, fields)) {
    return *std::move(refused);
  }
  Notify({account_.Updated(order, std::move(fields), absl::Now())});
  return {200, view_.FullOrder(order, expand_)};
}

Order* Call::FindSaved(const Json& row) {
  if (Order* named = account_.FindOrder(IdOfReference(row))) {
    return named;
  }
  const std::string sync_id = row.value("syncId", "");
  for (const auto& order : account_.orders()) {
    if (!sync_id.empty() && order->sync_id == sync_id) {
      return order.get();
    }
  }
  return nullptr;
}

Answer Call::SaveRow(const Json& row, std::vector<Change>& changes) {
  Order* order = FindSaved(row);
  if (order != nullptr && IdOfReference(row).empty()) {
    // Known by its syncId: not made twice.
    return {200, view_.FullOrder(*order, expand_)};
  }
  const bool created = order == nullptr;
  if (created) {
    for (const char* required : {"organization", "agent"}) {
      if (!row.contains(required)) {
        return RefuseCall(
            412,
            3000,
            fmt::format(
                "Ошибка сохранения объекта: поле '{}' не может быть пустым или отсутствовать",
                required),
            required);
      }
    }
    order = &account_.AddOrder(absl::Now());
    order->sync_id = row.value("syncId", "");
  }
  std::vector<std::string> fields;
  if (auto refused = Write(*order, row, fields)) {
    if (created) {
      account_.Discard(order->id);
    }
    return *std::move(refused);
  }
  changes.push_back(created ? AccountData::Created(*order)
                            : account_.Updated(*order, std::move(fields), absl::Now()));
  return {200, view_.FullOrder(*order, expand_)};
}

Answer Call::CreateOrders() {
  const Json body = Body();
  if (!body.is_object() && !body.is_array()) {
    return RefuseCall(400, 2001, "Ошибка формата: это не JSON");
  }
  if (body.is_array() && body.size() > kMaxRows) {
    return RefuseCall(413, 2007, "Слишком много элементов");
  }
  std::vector<Change> changes;
  if (body.is_object()) {
    Answer answer = SaveRow(body, changes);
    Notify(changes);
    return answer;
  }
  Answer all = {200, Json::array()};
  for (const Json& row : body) {
    Answer one = SaveRow(row, changes);
    all.status = std::max(all.status, one.status);
    all.body.push_back(std::move(one.body));
  }
  Notify(changes);
  return all;
}

Answer Call::RemoveOrder(const std::string& id) {
  Notify({account_.Delete(std::string(id), absl::Now())});
  return {200, {}};
}

// ---- Lists
// ---------------------------------------------------------------------------------------

std::optional<std::string> Call::FieldOf(const Order& order, std::string_view field) const {
  using Text = std::optional<std::string>;
  struct Field {
    std::string_view name;
    Text (*read)(const Order&);
  };
  static constexpr auto kText = [](const std::string& value) {
    return value.empty() ? std::nullopt : Text(value);
  };
  static constexpr Field kFields[] = {
      {"updated", [](const Order& o) -> Text { return MoscowTime(o.updated); }},
      {"isDeleted", [](const Order& o) -> Text { return o.deleted ? "true" : "false"; }},
      {"id", [](const Order& o) -> Text { return o.id; }},
      {"syncId", [](const Order& o) -> Text { return kText(o.sync_id); }},
      {"name", [](const Order& o) -> Text { return o.name; }},
      {"description", [](const Order& o) -> Text { return kText(o.description); }},
      {"externalCode", [](const Order& o) -> Text { return o.external_code; }},
      {"created", [](const Order& o) -> Text { return MoscowTime(o.created); }},
      {"moment", [](const Order& o) -> Text { return MoscowTime(o.moment); }},
      {"deliveryPlannedMoment",
       [](const Order& o) { return o.delivery ? Text(MoscowTime(*o.delivery)) : std::nullopt; }},
      {"applicable", [](const Order& o) -> Text { return o.applicable ? "true" : "false"; }},
      {"sum", [](const Order& o) -> Text { return KopecksToJson(o.sum).dump(); }},
      {"state", [](const Order& o) -> Text { return kText(o.state); }},
      {"agent", [](const Order& o) -> Text { return kText(o.agent.id); }},
      {"store", [](const Order& o) -> Text { return kText(o.store); }},
      {"owner", [](const Order& o) -> Text { return kText(o.owner); }},
      {"organization", [](const Order& o) -> Text { return kText(o.organization); }},
      {"salesChannel", [](const Order& o) -> Text { return kText(o.sales_channel); }},
      {"project", [](const Order& o) -> Text { return kText(o.project); }}};
  for (const Field& known : kFields) {
    if (known.name == field) {
      return known.read(order);
    }
  }
  if (field == "state.name") {
    const State* state = account_.FindState(order.state);
    return state == nullptr ? std::nullopt : Text(state->name);
  }
  // The address of an additional field.
  const size_t slash = field.rfind('/');
  for (const AttributeValue& value : order.attributes) {
    if (slash != std::string_view::npos &&
        account_.attribute_types[value.type].id == field.substr(slash + 1)) {
      return value.value.is_string() ? value.value.get<std::string>() : value.value.dump();
    }
  }
  return std::nullopt;
}

std::optional<std::string> Call::FieldOf(const Item& item, std::string_view field) const {
  if (field == "id") {
    return item.id;
  }
  if (field == "updated") {
    return MoscowTime(item.updated);
  }
  const auto found = item.fields.find(std::string(field));
  if (found == item.fields.end()) {
    return std::nullopt;
  }
  if (found->is_object() && found->contains("$ref")) {
    return (*found)["$ref"][1].get<std::string>();
  }
  return found->is_string() ? found->get<std::string>() : found->dump();
}

// Sorts by the keys, each read once of a row; rows with equal keys stay as they stand.
template <typename Row, typename Reader>
void SortRows(std::vector<const Row*>& rows, const std::vector<Page::Key>& keys, Reader reader) {
  if (keys.empty()) {
    return;
  }
  std::vector<std::pair<std::vector<std::string>, const Row*>> sorted;
  for (const Row* row : rows) {
    std::vector<std::string> values;
    for (const Page::Key& key : keys) {
      const std::optional<std::string> value = reader(*row, key.field);
      values.push_back(value.value_or(""));
    }
    sorted.emplace_back(std::move(values), row);
  }
  std::stable_sort(sorted.begin(), sorted.end(), [&keys](const auto& a, const auto& b) {
    for (size_t i = 0; i < keys.size(); ++i) {
      const int order = CompareValues(a.first[i], b.first[i]);
      if (order != 0) {
        return keys[i].descending ? order > 0 : order < 0;
      }
    }
    return false;
  });
  std::transform(
      sorted.begin(), sorted.end(), rows.begin(), [](const auto& pair) { return pair.second; });
}

template <typename Row, typename Reader, typename Show>
Answer Call::List(const std::string& type,
                  const std::string& path,
                  std::vector<const Row*> rows,
                  const Page& page,
                  Reader reader,
                  Show show) {
  SortRows(rows, page.order, reader);
  std::string query;
  for (const auto& [name, value] : parameters_) {
    if (name != "limit" && name != "offset") {
      query += fmt::format("{}={}&", UrlEncode(name), UrlEncode(value));
    }
  }
  const std::string base =
      customer_.base_url().substr(0, customer_.base_url().size() - kPrefix.size() + 1);
  const auto href = [&](size_t offset) {
    return fmt::format("{}{}?{}limit={}&offset={}", base, path, query, page.limit, offset);
  };
  Json meta = {{"href", href(page.offset)},
               {"type", type},
               {"mediaType", "application/json"},
               {"size", rows.size()},
               {"limit", page.limit},
               {"offset", page.offset}};
  if (page.offset + page.limit < rows.size()) {
    meta["nextHref"] = href(page.offset + page.limit);
  }
  if (page.offset > 0) {
    meta["previousHref"] = href(page.offset < page.limit ? 0 : page.offset - page.limit);
  }
  // Above that many rows `expand` is ignored without a word.
  const Expand none;
  const Expand& expand = page.limit <= kExpandLimit ? expand_ : none;
  Json shown = Json::array();
  for (size_t i = page.offset; i < rows.size() && i < page.offset + page.limit; ++i) {
    shown.push_back(show(*rows[i], expand));
  }
  return {200,
          {{"context",
            {{"employee",
              {{"meta",
                {{"href", customer_.base_url() + "/context/employee"},
                 {"metadataHref", customer_.base_url() + "/entity/employee/metadata"},
                 {"type", "employee"},
                 {"mediaType", "application/json"}}}}}}},
           {"meta", std::move(meta)},
           {"rows", std::move(shown)}}};
}

Answer Call::ListOrders() {
  const auto page = Page::Parse(parameters_);
  const auto filter = Filter::Parse(FindParameter(parameters_, "filter"));
  if (!page.ok() || !filter.ok()) {
    const Status& status = page.ok() ? filter.status() : page.status();
    return RefuseCall(400, 1034, "Ошибка фильтрации: " + std::string(status.message()), "filter");
  }
  std::vector<const Order*> rows;
  for (const auto& order : account_.orders()) {
    if (order->deleted && !filter->Names("isDeleted")) {
      continue;
    }
    if (filter->Matches([&](std::string_view field) { return FieldOf(*order, field); })) {
      rows.push_back(order.get());
    }
  }
  return List<Order>(
      "customerorder",
      request_.path,
      std::move(rows),
      *page,
      [this](const Order& order, std::string_view field) { return FieldOf(order, field); },
      [this](const Order& order, const Expand& expand) { return view_.FullOrder(order, expand); });
}

Answer Call::ListItems(const std::string& type) {
  const auto page = Page::Parse(parameters_);
  const auto filter = Filter::Parse(FindParameter(parameters_, "filter"));
  if (!page.ok() || !filter.ok()) {
    const Status& status = page.ok() ? filter.status() : page.status();
    return RefuseCall(400, 1034, "Ошибка фильтрации: " + std::string(status.message()), "filter");
  }
  const std::string search(FindParameter(parameters_, "search"));
  std::vector<const Item*> rows;
  for (const auto& item : account_.ItemsOf(type)) {
    bool found = search.empty();
    for (const char* field : {"name", "code", "phone", "email", "legalTitle"}) {
      found = found || ContainsIgnoringCase(FieldOf(*item, field).value_or(""), search);
    }
    if (found && filter->Matches([&](std::string_view f) { return FieldOf(*item, f); })) {
      rows.push_back(item.get());
    }
  }
  return List<Item>(
      type,
      request_.path,
      std::move(rows),
      *page,
      [this](const Item& item, std::string_view field) { return FieldOf(item, field); },
      [this](const Item& item, const Expand& expand) { return view_.FullItem(item, expand); });
}

// ---- The way to a call
// ---------------------------------------------------------------------------

// "customerorder.get", "customerorder.positions": what kind of request it is, for the statistics.
std::string KindOf(const http::ServerRequest& request) {
  const auto parts = SplitPath(std::string_view(request.path).substr(kPrefix.size()));
  if (parts.size() < 2) {
    return "other";
  }
  if (parts[0] != "entity") {
    return parts[0];
  }
  const bool known = std::all_of(parts[1].begin(), parts[1].end(), [](char c) {
    return absl::ascii_isalpha(static_cast<unsigned char>(c));
  });
  if (!known) {
    return "other";
  }
  const std::string verb = absl::AsciiStrToLower(request.method);
  if (parts.size() == 2) {
    return parts[1] + (verb == "get" ? ".list" : "." + verb);
  }
  if (parts.size() == 3) {
    return parts[1] + "." + (parts[2] == "metadata" ? "metadata" : verb);
  }
  return parts[1] + "." + (parts[2] == "metadata" ? "metadata" : parts[3]);
}

// Basic or Bearer. Null: 401.
Customer* Authenticate(const Customers& customers, const http::ServerRequest& request) {
  const std::string_view header = http::FindHeader(request.headers, "authorization");
  if (header.starts_with("Bearer ")) {
    for (const auto& [login, customer] : customers) {
      std::lock_guard lock(customer->mutex());
      if (!customer->token().empty() && customer->token() == header.substr(7)) {
        return customer;
      }
    }
    return nullptr;
  }
  std::string plain;
  if (!header.starts_with("Basic ") || !absl::Base64Unescape(ToAbsl(header.substr(6)), &plain)) {
    return nullptr;
  }
  const size_t colon = plain.find(':');
  const auto found = customers.find(std::string_view(plain).substr(0, colon));
  if (colon == std::string::npos || found == customers.end()) {
    return nullptr;
  }
  return found->second->password() == plain.substr(colon + 1) ? found->second : nullptr;
}

}  // namespace

http::ServerResponse ServeApi(const Customers& customers, const http::ServerRequest& request) {
  if (request.path.size() + request.query.size() > kMaxUrl) {
    return Pack({414, {}}, {});
  }
  // A body-less 415 for whoever doesn't take gzip, before anything else is looked at.
  Customer* customer = Authenticate(customers, request);
  // A GET that says what its missing body is was seen to be refused too.
  const bool get_with_type =
      request.method == "GET" && !http::FindHeader(request.headers, "content-type").empty();
  if (!AcceptsGzip(request) || get_with_type) {
    if (customer != nullptr) {
      std::lock_guard lock(customer->mutex());
      customer->Violation(get_with_type ? "content_type_on_get" : "no_gzip");
    }
    return Pack({415, {}}, {});
  }
  if (customer == nullptr) {
    return Pack(
        RefuseCall(401, 1056, "Ошибка аутентификации: Неправильный пароль или имя пользователя"),
        {{"X-Lognex-Auth", "1056"}, {"X-Lognex-Auth-Message", "Ошибка аутентификации"}});
  }
  if (!request.path.starts_with(kPrefix)) {
    return Pack(UnknownPath(), {});
  }
  if (!AcceptsJson(request)) {
    return Pack(RefuseCall(400, 1062, "Неверное значение заголовка 'Accept'"), {});
  }
  return customer->Pass(KindOf(request), [&] {
    const http::Headers headers = customer->RateHeaders();
    return Pack(Call(*customer, request).Run(), headers);
  });
}

}  // namespace dealstream::crm::moysklad::sim
