#include "libs/crm/moysklad/sim/edit.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

namespace dealstream::crm::moysklad::sim {
namespace {

Status Wrong(std::string_view key, const Json& found, std::string_view want) {
  return absl::InvalidArgumentError(fmt::format("{}: got {}, want {}", key, found.dump(), want));
}

// So many of `whole`, as a number or its exact text.
Result<Amount> ParseAmount(std::string_view key,
                           const Json& value,
                           Amount whole,
                           std::string_view want) {
  const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  Amount amount = 0;
  Amount unit = whole;
  bool fraction = false;
  bool digits = false;
  for (size_t i = text.starts_with('-') ? 1 : 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '.' && !fraction) {
      fraction = true;
    } else if (c >= '0' && c <= '9' && amount < (int64_t{1} << 58) && (!fraction || unit > 1)) {
      digits = true;
      unit = fraction ? unit / 10 : unit;
      amount = fraction ? amount + (c - '0') * unit : amount * 10 + (c - '0') * whole;
    } else {
      return Wrong(key, value, want);
    }
  }
  if (!digits) {
    return Wrong(key, value, want);
  }
  return text.starts_with('-') ? -amount : amount;
}

// A number of kopecks, or its text where it must stay exact: "12345.6789".
Result<Amount> ParseKopecks(std::string_view key, const Json& value) {
  return ParseAmount(key, value, kKopeck, "kopecks with at most four decimals");
}

// The id of an entity given by id or name; empty for null.
Result<std::string> FindId(const AccountData& account,
                           const char* type,
                           std::string_view key,
                           const Json& value) {
  if (value.is_null()) {
    return std::string();
  }
  if (value.is_string()) {
    if (const Item* item = account.FindItem(type, value.get<std::string>())) {
      return item->id;
    }
  }
  return Wrong(key, value, fmt::format("the id or name of a {}, or null", type));
}

Result<EntityRef> FindAgent(AccountData& account, const Json& value, absl::Time now) {
  if (value.is_object()) {
    Item& made = account.AddCounterparty(now);
    for (const auto& [key, field] : value.items()) {
      if (field.is_null()) {
        made.fields.erase(key);
      } else {
        made.fields[key] = field;
      }
    }
    return EntityRef{"counterparty", made.id};
  }
  if (value.is_null()) {
    return EntityRef{};
  }
  for (const char* type : {"counterparty", "organization"}) {
    auto id = FindId(account, type, "agent", value);
    if (id.ok()) {
      return EntityRef{type, *std::move(id)};
    }
  }
  return Wrong("agent", value, "an id or name, or an object with name, phone and email");
}

Status EditPositions(AccountData& account, Order& order, const Json& value) {
  if (value.is_number_unsigned()) {
    account.MakePositions(order, value.get<size_t>());
    return absl::OkStatus();
  }
  if (!value.is_array()) {
    return Wrong("positions", value, "a count, or an array of objects");
  }
  order.positions.clear();
  for (const Json& line : value) {
    Position position = account.MakePosition();
    position.quantity = std::llround(line.value("quantity", 1.0) * 1000);
    position.discount = std::llround(line.value("discount", 0.0) * 100);
    DEALSTREAM_ASSIGN_OR_RETURN(position.price,
                                ParseKopecks("price", line.value("price", Json(100))));
    order.positions.push_back(std::move(position));
  }
  AccountData::Recount(order);
  return absl::OkStatus();
}

void EditSum(AccountData& account, Order& order, Amount sum) {
  order.sum = sum;
  if (order.positions.empty()) {
    Position position = account.MakePosition();
    position.quantity = 1000;
    position.discount = 0;
    position.price = order.sum;
    order.positions.push_back(std::move(position));
  }
}

Status EditAttributes(AccountData& account, Order& order, const Json& values) {
  for (const auto& [key, value] : values.items()) {
    const auto& types = account.attribute_types;
    const auto found = std::find_if(types.begin(), types.end(), [&k = key](const auto& type) {
      return type.id == k || type.name == k;
    });
    if (found == types.end()) {
      return absl::InvalidArgumentError(fmt::format("attributes: no field '{}'", key));
    }
    const auto index = static_cast<size_t>(found - types.begin());
    std::erase_if(order.attributes, [index](const auto& old) { return old.type == index; });
    if (!value.is_null()) {
      order.attributes.push_back({index, value});
    }
  }
  return absl::OkStatus();
}

Status EditCurrency(AccountData& account, Order& order, const Json& value) {
  DEALSTREAM_ASSIGN_OR_RETURN(order.currency, FindId(account, "currency", "currency", value));
  const Item* currency = account.FindItem(order.currency);
  if (currency == nullptr) {
    return Wrong("currency", value, "an ISO code");
  }
  order.rate = currency->fields["rate"].get<double>();
  return absl::OkStatus();
}

Status EditState(const AccountData& account, Order& order, const Json& value) {
  if (value.is_null()) {
    order.state.clear();
    return absl::OkStatus();
  }
  const State* state = value.is_string() ? account.FindState(value.get<std::string>()) : nullptr;
  if (state == nullptr) {
    return Wrong("state", value, "the name or id of a state, or null");
  }
  order.state = state->id;
  return absl::OkStatus();
}

struct ReferenceField {
  std::string_view key;
  const char* type;
  std::string Order::*field;
};

constexpr ReferenceField kReferences[] = {
    {"store", "store", &Order::store},
    {"owner", "employee", &Order::owner},
    {"organization", "organization", &Order::organization},
    {"project", "project", &Order::project},
    {"contract", "contract", &Order::contract},
    {"salesChannel", "saleschannel", &Order::sales_channel},
};

struct TextField {
  std::string_view key;
  std::string Order::*field;
};

constexpr TextField kTexts[] = {
    {"name", &Order::name},
    {"title", &Order::name},
    {"description", &Order::description},
    {"shipmentAddress", &Order::shipment_address},
};

Status EditPlain(AccountData& account, Order& order, const std::string& key, const Json& value) {
  for (const ReferenceField& reference : kReferences) {
    if (reference.key == key) {
      DEALSTREAM_ASSIGN_OR_RETURN(order.*reference.field,
                                  FindId(account, reference.type, key, value));
      return absl::OkStatus();
    }
  }
  for (const TextField& text : kTexts) {
    if (text.key == key) {
      if (!value.is_string() && !value.is_null()) {
        return Wrong(key, value, "text or null");
      }
      order.*text.field = value.is_null() ? "" : value.get<std::string>();
      return absl::OkStatus();
    }
  }
  if (key == "applicable" && value.is_boolean()) {
    order.applicable = value.get<bool>();
    return absl::OkStatus();
  }
  if (key == "rate" && value.is_number()) {
    order.rate = value.get<double>();
    return absl::OkStatus();
  }
  if (key == "payedSum") {
    DEALSTREAM_ASSIGN_OR_RETURN(order.payed, ParseKopecks(key, value));
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(fmt::format("{}: unknown field or wrong type", key));
}

Status EditField(
    AccountData& account, Order& order, const std::string& key, const Json& value, absl::Time now) {
  if (key == "state" || key == "stage") {
    return EditState(account, order, value);
  }
  if (key == "sum" || key == "amount") {
    DEALSTREAM_ASSIGN_OR_RETURN(const Amount sum,
                                key == "sum" ? ParseKopecks(key, value) : ParseUnits(key, value));
    EditSum(account, order, sum);
    return absl::OkStatus();
  }
  if (key == "positions") {
    return EditPositions(account, order, value);
  }
  if (key == "attributes") {
    return EditAttributes(account, order, value);
  }
  if (key == "currency") {
    return EditCurrency(account, order, value);
  }
  if (key == "agent") {
    DEALSTREAM_ASSIGN_OR_RETURN(order.agent, FindAgent(account, value, now));
    return absl::OkStatus();
  }
  return EditPlain(account, order, key, value);
}

// MoySklad's name of a field given by the name that all CRMs have in common.
std::string NameOf(const std::string& key) {
  return key == "stage" ? "state" : key == "title" ? "name" : key == "amount" ? "sum" : key;
}

}  // namespace

Result<Amount> ParseUnits(std::string_view key, const Json& value) {
  return ParseAmount(key, value, kKopeck * 100, "units of the currency, at most six decimals");
}

Result<std::vector<std::string>> EditOrder(AccountData& account,
                                           Order& order,
                                           const Json& patch,
                                           absl::Time now) {
  Order draft = order;
  std::vector<std::string> fields;
  try {
    for (const auto& [key, value] : patch.items()) {
      DEALSTREAM_RETURN_IF_ERROR(EditField(account, draft, key, value, now));
      fields.push_back(NameOf(key));
    }
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(error.what());
  }
  order = std::move(draft);
  return fields;
}

simkit::DealTruth TruthOf(const AccountData& account, const Order& order) {
  const auto name_of = [&account](const std::string& id) {
    const Item* item = account.FindItem(id);
    return item == nullptr ? Json() : item->fields.value("name", Json());
  };
  const State* state = account.FindState(order.state);
  const Item* currency = account.FindItem(order.currency);
  simkit::DealTruth truth;
  truth.id = order.id;
  truth.title = order.name;
  if (state != nullptr) {
    truth.stage = state->name;
    truth.stage_kind = state->type == "Successful"     ? "WON"
                       : state->type == "Unsuccessful" ? "LOST"
                                                       : "OPEN";
  }
  truth.amount = AmountToText(order.sum);
  truth.currency = currency == nullptr ? "" : currency->fields["isoCode"].get<std::string>();
  truth.updated = order.updated;
  truth.more = {{"created", MoscowTime(order.created)},
                {"updated", MoscowTime(order.updated)},
                {"deleted", order.deleted.has_value()},
                {"sum", KopecksToJson(order.sum)},
                {"payed", KopecksToJson(order.payed)},
                {"state_id", order.state},
                {"store", name_of(order.store)},
                {"owner", name_of(order.owner)},
                {"agent_id", order.agent.id},
                {"agent", name_of(order.agent.id)},
                {"positions", order.positions.size()},
                {"attributes", order.attributes.size()},
                {"applicable", order.applicable}};
  return truth;
}

simkit::DealTruth TruthOfGone(const std::string& id, absl::Time time) {
  simkit::DealTruth truth;
  truth.id = id;
  truth.updated = time;
  truth.gone = true;
  truth.more = {{"updated", MoscowTime(time)}, {"deleted", true}};
  return truth;
}

}  // namespace dealstream::crm::moysklad::sim
