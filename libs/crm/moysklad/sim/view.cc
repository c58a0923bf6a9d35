#include "libs/crm/moysklad/sim/view.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace dealstream::crm::moysklad::sim {
namespace {

constexpr int kMaxDepth = 3;
constexpr size_t kCollectionLimit = 1000;

// The page of the web interface that shows an entity of this type; empty: it has none.
std::string_view WebPage(std::string_view type) {
  constexpr std::pair<std::string_view, std::string_view> kPages[] = {
      {"customerorder", "customerorder"},
      {"counterparty", "company"},
      {"employee", "employee"},
      {"store", "warehouse"},
      {"organization", "mycompany"},
      {"saleschannel", "saleschannel"},
      {"currency", "currency"},
      {"product", "good"},
      {"service", "good"},
      {"project", "project"},
      {"contract", "contract"}};
  for (const auto& [name, page] : kPages) {
    if (name == type) {
      return page;
    }
  }
  return {};
}

void Put(Json& json, const char* key, const std::string& value) {
  if (!value.empty()) {
    json[key] = value;
  }
}

}  // namespace

Expand Expand::Parse(std::string_view text) {
  Expand root;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    std::string_view path = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    Expand* at = &root;
    for (int depth = 0; depth < kMaxDepth && !path.empty(); ++depth) {
      const size_t dot = path.find('.');
      at = &at->children[std::string(path.substr(0, dot))];
      path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
    }
  }
  return root;
}

const Expand* Expand::Of(std::string_view name) const {
  const auto it = children.find(name);
  return it == children.end() ? nullptr : &it->second;
}

Json View::Meta(const EntityRef& ref) const {
  if (ref.type == "state") {
    return {{"href", fmt::format("{}/entity/customerorder/metadata/states/{}", base_, ref.id)},
            {"metadataHref", base_ + "/entity/customerorder/metadata"},
            {"type", "state"},
            {"mediaType", "application/json"}};
  }
  Json meta = {{"href", fmt::format("{}/entity/{}/{}", base_, ref.type, ref.id)},
               {"metadataHref", fmt::format("{}/entity/{}/metadata", base_, ref.type)},
               {"type", ref.type},
               {"mediaType", "application/json"}};
  const std::string_view page = WebPage(ref.type);
  if (!page.empty()) {
    meta["uuidHref"] = fmt::format("https://online.moysklad.ru/app/#{}/edit?id={}", page, ref.id);
  }
  return meta;
}

Json View::Reference(const EntityRef& ref, const Expand* expand) const {
  if (expand != nullptr && ref.type == "state") {
    if (const State* state = account_.FindState(ref.id)) {
      return FullState(*state);
    }
  }
  if (expand != nullptr) {
    if (const Item* item = account_.FindItem(ref.id)) {
      return FullItem(*item, *expand);
    }
  }
  return {{"meta", Meta(ref)}};
}

Json View::Collection(const std::string& path, std::string_view type, size_t size) const {
  return {{"meta",
           {{"href", base_ + path},
            {"type", type},
            {"mediaType", "application/json"},
            {"size", size},
            {"limit", kCollectionLimit},
            {"offset", 0}}}};
}

Json View::Resolve(const Json& value, const Expand& expand) const {
  if (!value.is_object()) {
    return value;
  }
  Json out = Json::object();
  for (const auto& [key, field] : value.items()) {
    const auto ref = field.is_object() ? field.find("$ref") : field.end();
    if (field.is_object() && ref != field.end()) {
      out[key] = Reference({(*ref)[0], (*ref)[1]}, expand.Of(key));
    } else {
      out[key] = field;
    }
  }
  return out;
}

Json View::FullItem(const Item& item, const Expand& expand) const {
  Json json = {{"meta", Meta({item.type, item.id})}, {"id", item.id}};
  if (item.type != "currency") {
    json["accountId"] = account_.id;
    json["shared"] = item.type != "counterparty";
    json["group"] = {{"meta", Meta({"group", account_.group})}};
    json["updated"] = MoscowTime(item.updated);
  }
  json.update(Resolve(item.fields, expand));
  if (item.type == "counterparty") {
    const std::string path = "/entity/counterparty/" + item.id;
    const auto& contacts = account_.ContactsOf(item.id);
    json["accounts"] = Collection(path + "/accounts", "account", 0);
    json["contactpersons"] = Collection(path + "/contactpersons", "contactperson", contacts.size());
    if (expand.Of("contactpersons") != nullptr) {
      Json rows = Json::array();
      for (const ContactPerson& contact : contacts) {
        rows.push_back(FullContact(item.id, contact));
      }
      json["contactpersons"]["rows"] = std::move(rows);
    }
    json["notes"] = Collection(path + "/notes", "note", 0);
    json["salesAmount"] = 0.0;
    json["files"] = Collection(path + "/files", "files", 0);
  }
  return json;
}

Json View::FullState(const State& state) const {
  return {{"meta", Meta({"state", state.id})},
          {"id", state.id},
          {"accountId", account_.id},
          {"name", state.name},
          {"color", state.color},
          {"stateType", state.type},
          {"entityType", "customerorder"}};
}

Json View::FullPosition(const Order& order, const Position& position, const Expand& expand) const {
  const std::string href =
      fmt::format("{}/entity/customerorder/{}/positions/{}", base_, order.id, position.id);
  return {
      {"meta",
       {{"href", href},
        {"metadataHref", base_ + "/entity/customerorder/metadata"},
        {"type", "customerorderposition"},
        {"mediaType", "application/json"}}},
      {"id", position.id},
      {"accountId", account_.id},
      {"quantity", static_cast<double>(position.quantity) / 1000},
      {"price", KopecksToJson(position.price)},
      {"discount", static_cast<double>(position.discount) / 100},
      {"vat", position.vat},
      {"vatEnabled", position.vat_enabled},
      {"assortment", Reference(account_.assortment[position.assortment], expand.Of("assortment"))},
      {"shipped", 0.0},
      {"reserve", 0.0}};
}

Json View::FullContact(const std::string& counterparty, const ContactPerson& contact) const {
  Json json = {
      {"meta",
       {{"href",
         fmt::format(
             "{}/entity/counterparty/{}/contactpersons/{}", base_, counterparty, contact.id)},
        {"type", "contactperson"},
        {"mediaType", "application/json"}}},
      {"id", contact.id},
      {"accountId", account_.id},
      {"updated", MoscowTime(contact.updated)},
      {"name", contact.name},
      {"externalCode", contact.external_code}};
  Put(json, "email", contact.email);
  Put(json, "phone", contact.phone);
  Put(json, "position", contact.position);
  json["agent"] = Reference({"counterparty", counterparty}, nullptr);
  return json;
}

Json View::FullWebhook(const Subscription& subscription) const {
  Json json = {{"meta", Meta({"webhook", subscription.id})},
               {"id", subscription.id},
               {"accountId", account_.id},
               {"entityType", subscription.entity_type},
               {"url", subscription.url},
               {"method", "POST"},
               {"enabled", subscription.enabled},
               {"action", subscription.action}};
  if (subscription.action == "UPDATE") {
    json["diffType"] = subscription.diff_type;
  }
  return json;
}

Json View::AttributeDefinition(const AttributeType& type) const {
  Json json = {
      {"meta",
       {{"href", fmt::format("{}/entity/customerorder/metadata/attributes/{}", base_, type.id)},
        {"type", "attributemetadata"},
        {"mediaType", "application/json"}}}};
  if (type.type == "customentity") {
    json["customEntityMeta"] = {
        {"href",
         fmt::format("{}/entity/companysettings/metadata/customEntities/{}", base_, type.id)},
        {"type", "customentitymetadata"},
        {"mediaType", "application/json"}};
  }
  json["id"] = type.id;
  json["name"] = type.name;
  json["type"] = type.type;
  json["required"] = type.required;
  json["show"] = true;
  Put(json, "description", type.description);
  return json;
}

Json View::Attributes(const Order& order) const {
  Json attributes = Json::array();
  for (const AttributeValue& value : order.attributes) {
    const AttributeType& type = account_.attribute_types[value.type];
    Json json = {
        {"meta",
         {{"href", fmt::format("{}/entity/customerorder/metadata/attributes/{}", base_, type.id)},
          {"type", "attributemetadata"},
          {"mediaType", "application/json"}}},
        {"id", type.id},
        {"name", type.name},
        {"type", type.type}};
    const auto ref = value.value.is_object() ? value.value.find("$ref") : value.value.end();
    if (value.value.is_object() && ref != value.value.end()) {
      json["value"] = {{"meta", Meta({(*ref)[0], (*ref)[1]})}, {"name", value.value["name"]}};
    } else {
      json["value"] = value.value;
    }
    if (type.type == "file") {
      json["download"] = {{"href", fmt::format("{}/download/{}", base_, type.id)},
                          {"mediaType", "application/octet-stream"}};
    }
    attributes.push_back(std::move(json));
  }
  return attributes;
}

Json View::FullOrder(const Order& order, const Expand& expand) const {
  const std::string path = "/entity/customerorder/" + order.id;
  const auto put_ref = [&](Json& json, const char* key, const char* type, const std::string& id) {
    if (!id.empty()) {
      json[key] = Reference({type, id}, expand.Of(key));
    }
  };
  Json json = {
      {"meta", Meta({"customerorder", order.id})}, {"id", order.id}, {"accountId", account_.id}};
  Put(json, "syncId", order.sync_id);
  put_ref(json, "owner", "employee", order.owner);
  json["shared"] = false;
  json["group"] = {{"meta", Meta({"group", account_.group})}};
  json["updated"] = MoscowTime(order.updated);
  if (order.deleted) {
    json["deleted"] = MoscowTime(*order.deleted);
  }
  json["name"] = order.name;
  Put(json, "description", order.description);
  json["externalCode"] = order.external_code;
  json["moment"] = MoscowTime(order.moment);
  json["applicable"] = order.applicable;
  const Expand* rate = expand.Of("rate");
  json["rate"]["currency"] =
      Reference({"currency", order.currency}, rate == nullptr ? nullptr : rate->Of("currency"));
  if (order.rate != 1) {
    json["rate"]["value"] = order.rate;
  }
  json["sum"] = KopecksToJson(order.sum);
  put_ref(json, "store", "store", order.store);
  put_ref(json, "project", "project", order.project);
  put_ref(json, "contract", "contract", order.contract);
  if (!order.agent.id.empty()) {
    json["agent"] = Reference(order.agent, expand.Of("agent"));
  }
  put_ref(json, "organization", "organization", order.organization);
  put_ref(json, "state", "state", order.state);
  if (!order.attributes.empty()) {
    json["attributes"] = Attributes(order);
  }
  json["created"] = MoscowTime(order.created);
  json["printed"] = false;
  json["published"] = false;
  json["files"] = Collection(path + "/files", "files", 0);
  json["positions"] =
      Collection(path + "/positions", "customerorderposition", order.positions.size());
  if (const Expand* positions = expand.Of("positions")) {
    json["positions"]["meta"]["limit"] = nested_limit_;
    Json rows = Json::array();
    const size_t count = std::min(nested_limit_, order.positions.size());
    for (size_t i = 0; i < count; ++i) {
      rows.push_back(FullPosition(order, order.positions[i], *positions));
    }
    json["positions"]["rows"] = std::move(rows);
  }
  json["vatEnabled"] = true;
  json["vatIncluded"] = true;
  json["vatSum"] = KopecksToJson(order.sum / 6 / 100 * 100);
  json["payedSum"] = KopecksToJson(order.payed);
  json["shippedSum"] = KopecksToJson(order.shipped);
  json["invoicedSum"] = 0.0;
  json["reservedSum"] = 0.0;
  put_ref(json, "salesChannel", "saleschannel", order.sales_channel);
  if (order.delivery) {
    json["deliveryPlannedMoment"] = MoscowTime(*order.delivery);
  }
  Put(json, "shipmentAddress", order.shipment_address);
  return json;
}

Json View::OrderMetadata(const Expand& expand) const {
  Json attributes = Collection("/entity/customerorder/metadata/attributes",
                               "attributemetadata",
                               account_.attribute_types.size());
  if (expand.Of("attributes") != nullptr) {
    Json rows = Json::array();
    for (const AttributeType& type : account_.attribute_types) {
      rows.push_back(AttributeDefinition(type));
    }
    attributes["rows"] = std::move(rows);
  }
  Json states = Json::array();
  for (const State& state : account_.states) {
    states.push_back(FullState(state));
  }
  return {{"meta",
           {{"href", base_ + "/entity/customerorder/metadata"}, {"mediaType", "application/json"}}},
          {"attributes", std::move(attributes)},
          {"states", std::move(states)},
          {"createShared", false}};
}

}  // namespace dealstream::crm::moysklad::sim
