#include "libs/crm/moysklad/sim/account.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/sim/names.h"

namespace dealstream::crm::moysklad::sim {

using simkit::MakeAddress;
using simkit::MakeCompany;
using simkit::MakeEmail;
using simkit::MakePerson;
using simkit::MakePhone;
using simkit::MakeProduct;
using simkit::MakeRemark;
using simkit::PersonName;

namespace {

// Moscow has had no summer time since 2014.
absl::TimeZone Moscow() { return absl::FixedTimeZone(10800); }

absl::Time ToMs(absl::Time time) { return absl::FromUnixMillis(absl::ToUnixMillis(time)); }

absl::Time ToMinute(absl::Time time) {
  return absl::FromUnixSeconds(absl::ToUnixSeconds(time) / 60 * 60);
}

struct CurrencySpec {
  std::string_view name;
  std::string_view full_name;
  std::string_view code;
  std::string_view iso_code;
  double rate;
};

constexpr CurrencySpec kCurrencies[] = {
    {"руб", "Российский рубль", "643", "RUB", 1},
    {"USD", "Доллар США", "840", "USD", 92.35},
    {"евро", "Евро", "978", "EUR", 99.8},
};

struct StateSpec {
  std::string_view name;
  std::string_view type;
  int color;
};

constexpr StateSpec kStates[] = {
    {"Новый", "Regular", 15106326},
    {"Подтверждён", "Regular", 10774205},
    {"Собран", "Regular", 40931},
    {"Отгружен", "Regular", 8767198},
    {"Доставлен", "Successful", 8767198},
    {"Возврат", "Unsuccessful", 15280409},
    {"Отменён", "Unsuccessful", 15280409},
};

struct AttributeSpec {
  std::string_view name;
  std::string_view type;
  std::string_view description;
};

// One of each type; "Комментарий" twice, since names needn't be unique.
constexpr AttributeSpec kAttributes[] = {
    {"Источник обращения", "string", ""},
    {"ID визита", "long", "Заполняется автоматически"},
    {"Причина отказа", "customentity", ""},
    {"Вес, кг", "double", ""},
    {"Подарочная упаковка", "boolean", ""},
    {"Желаемое время доставки", "time", ""},
    {"Комментарий", "text", ""},
    {"Трек-номер", "link", "Ссылка на службу доставки"},
    {"Скан договора", "file", ""},
    {"Партнёр", "counterparty", ""},
    {"Собрал", "employee", ""},
    {"Подарок", "product", ""},
    {"Склад возврата", "store", ""},
    {"Проект клиента", "project", ""},
    {"Договор", "contract", ""},
    {"Юрлицо", "organization", ""},
    {"Комментарий", "string", "Второе поле с тем же именем"},
};

constexpr std::string_view kRefusals[] = {"Дорого", "Передумал", "Нет в наличии"};

}  // namespace

std::string MakeId(Random& random) {
  const uint64_t a = random.Next();
  const uint64_t b = random.Next();
  return fmt::format(
      "{:08x}-{:04x}-11f1-0a8{:x}-{:012x}", a >> 32, a >> 16 & 0xffff, a & 3, b & 0xffff'ffff'ffff);
}

std::string MakeCode(Random& random) {
  return random.Text(22, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
}

std::string MoscowTime(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%E3S", time, Moscow());
}

std::optional<absl::Time> ParseMoscowTime(std::string_view text) {
  absl::Time time;
  for (const char* format : {"%Y-%m-%d %H:%M:%E*S", "%Y-%m-%d %H:%M", "%Y-%m-%d"}) {
    if (absl::ParseTime(format, ToAbsl(text), Moscow(), &time, nullptr)) {
      return time;
    }
  }
  return std::nullopt;
}

Json KopecksToJson(Amount amount) {
  return static_cast<double>(amount) / static_cast<double>(kKopeck);
}

std::string AmountToText(Amount amount) {
  constexpr Amount kUnit = kKopeck * 100;
  const Amount size = amount < 0 ? -amount : amount;
  std::string text = fmt::format("{}{}.{:06}", amount < 0 ? "-" : "", size / kUnit, size % kUnit);
  for (int i = 0; i < 4 && text.back() == '0'; ++i) {
    text.pop_back();
  }
  return text;
}

Json RefTo(const EntityRef& ref) { return {{"$ref", {ref.type, ref.id}}}; }

Amount LineTotal(const Position& position) {
  const auto total = static_cast<__int128>(position.price) * position.quantity *
                     (10000 - position.discount) / 10'000'000;
  return static_cast<Amount>(total);
}

AccountData::AccountData(std::string company_name,
                         std::string account_id,
                         Random& random_of_life,
                         int orders,
                         absl::Time now)
    : company(std::move(company_name)), id(std::move(account_id)), random(random_of_life) {
  group = MakeId(random);
  MakeMetadata();
  MakeDictionaries(now);
  for (int i = 0; i < orders; ++i) {
    const auto age = absl::Minutes(random.Between(60, 20'160));
    Order& order = AddLifelikeOrder(now - age);
    // Let the past be past.
    order.state = random.Of(states).id;
    Touch(order, now - age * 0.5);
  }
}

void AccountData::MakeMetadata() {
  for (const StateSpec& spec : kStates) {
    states.push_back({MakeId(random), std::string(spec.name), std::string(spec.type), spec.color});
  }
  for (const AttributeSpec& spec : kAttributes) {
    attribute_types.push_back({MakeId(random),
                               std::string(spec.name),
                               std::string(spec.type),
                               std::string(spec.description)});
  }
}

void AccountData::MakeDictionaries(absl::Time now) {
  const absl::Time long_ago = ToMs(now - absl::Hours(24 * 200));
  std::vector<std::string> employees;
  for (int i = 0; i < 4; ++i) {
    const PersonName name = MakePerson(random);
    Item& item = AddItem(
        "employee",
        {{"name", name.Short()},
         {"archived", false},
         {"uid", fmt::format("{}@{}", i == 0 ? "admin" : fmt::format("user{}", i), company)},
         {"email", MakeEmail(random)},
         {"phone", MakePhone(random)},
         {"firstName", name.first},
         {"middleName", name.middle},
         {"lastName", name.last},
         {"fullName", fmt::format("{} {} {}", name.first, name.middle, name.last)},
         {"shortFio", name.Short()}},
        long_ago);
    item.fields["owner"] = RefTo({"employee", item.id});
  }
  for (const char* name : {"Магазин на Лесной", "Основной склад", "Пункт выдачи «Центр»"}) {
    AddItem("store", {{"name", name}, {"archived", false}, {"pathName", "Москва"}}, long_ago);
  }
  for (const auto& [name, type] : {std::pair{"Интернет-магазин", "ECOMMERCE"},
                                   std::pair{"Telegram", "MESSENGER"},
                                   std::pair{"Розница", "RETAIL_SALES"}}) {
    AddItem("saleschannel", {{"name", name}, {"archived", false}, {"type", type}}, long_ago);
  }
  const std::string title = fmt::format("ООО «Компания {}»", company.substr(7));
  AddItem("organization",
          {{"name", title},
           {"archived", false},
           {"created", MoscowTime(long_ago)},
           {"companyType", "legal"},
           {"legalTitle", title}},
          long_ago);
  AddItem("project", {{"name", "Ремонт офиса"}, {"archived", false}}, long_ago);
  AddItem("contract", {{"name", "Договор 17/2"}, {"archived", false}}, long_ago);
  for (std::string_view name : kRefusals) {
    AddItem("customentity", {{"name", name}}, long_ago);
  }
  for (const CurrencySpec& spec : kCurrencies) {
    Item& item = AddItem("currency",
                         {{"system", spec.iso_code == "RUB"},
                          {"name", spec.name},
                          {"fullName", spec.full_name},
                          {"rate", spec.rate},
                          {"multiplicity", 1},
                          {"indirect", false},
                          {"rateUpdateType", "manual"},
                          {"code", spec.code},
                          {"isoCode", spec.iso_code},
                          {"archived", false},
                          {"default", spec.iso_code == "RUB"},
                          {"margin", 0.0}},
                         long_ago);
    // A currency has none of these.
    item.fields.erase("externalCode");
  }
  for (int i = 0; i < 12; ++i) {
    const bool service = i % 6 == 5;
    const Item& item = AddItem(service ? "service" : "product",
                               {{"name", service ? "Доставка по Москве" : MakeProduct(random)},
                                {"code", fmt::format("{:05}", i + 1)},
                                {"archived", false},
                                {"pathName", ""},
                                {"paymentItemType", service ? "SERVICE" : "GOOD"}},
                               long_ago);
    assortment.push_back({item.type, item.id});
  }
}

const std::vector<std::unique_ptr<Item>>& AccountData::ItemsOf(std::string_view type) const {
  static const std::vector<std::unique_ptr<Item>> none;
  const auto it = items_.find(type);
  return it == items_.end() ? none : it->second;
}

const Item* AccountData::FindItem(std::string_view item_id) const {
  const auto it = items_by_id_.find(item_id);
  return it == items_by_id_.end() ? nullptr : it->second;
}

Item* AccountData::FindItem(std::string_view item_id) {
  return const_cast<Item*>(std::as_const(*this).FindItem(item_id));
}

const Item* AccountData::FindItem(std::string_view type, std::string_view id_or_name) const {
  for (const auto& item : ItemsOf(type)) {
    if (item->id == id_or_name || item->fields.value("name", "") == id_or_name ||
        item->fields.value("isoCode", "") == id_or_name) {
      return item.get();
    }
  }
  return nullptr;
}

const State* AccountData::FindState(std::string_view id_or_name) const {
  for (const State& state : states) {
    if (state.id == id_or_name || state.name == id_or_name) {
      return &state;
    }
  }
  return nullptr;
}

const std::vector<ContactPerson>& AccountData::ContactsOf(const std::string& counterparty) const {
  static const std::vector<ContactPerson> none;
  const auto it = contacts_.find(counterparty);
  return it == contacts_.end() ? none : it->second;
}

Order* AccountData::FindOrder(const std::string& order_id) {
  const auto it = orders_by_id_.find(order_id);
  return it == orders_by_id_.end() ? nullptr : it->second;
}

const Order* AccountData::FindOrder(const std::string& order_id) const {
  const auto it = orders_by_id_.find(order_id);
  return it == orders_by_id_.end() ? nullptr : it->second;
}

size_t AccountData::live_orders() const {
  return static_cast<size_t>(std::count_if(
      orders_.begin(), orders_.end(), [](const auto& order) { return !order->deleted; }));
}

Item& AccountData::AddItem(std::string type, Json fields, absl::Time now) {
  auto item = std::make_unique<Item>();
  item->type = std::move(type);
  item->id = MakeId(random);
  item->updated = ToMs(now);
  item->fields = std::move(fields);
  if (!item->fields.contains("externalCode")) {
    item->fields["externalCode"] = MakeCode(random);
  }
  Item& added = *item;
  items_by_id_[added.id] = &added;
  items_[added.type].push_back(std::move(item));
  return added;
}

Item& AccountData::AddCounterparty(absl::Time now) {
  const bool person = random.Chance(0.6);
  const std::string name = person ? MakePerson(random).Full() : MakeCompany(random);
  Json fields = {{"name", name},
                 {"archived", false},
                 {"created", MoscowTime(now)},
                 {"companyType", person ? "individual" : "legal"}};
  if (random.Chance(0.7)) {
    fields["owner"] = RefTo({"employee", random.Of(ItemsOf("employee"))->id});
  }
  if (random.Chance(0.85)) {
    fields["phone"] = MakePhone(random);
  }
  if (random.Chance(0.5)) {
    fields["email"] = MakeEmail(random);
  }
  if (random.Chance(0.3)) {
    fields["tags"] = {"розница", "сайт"};
  }
  if (!person) {
    fields["legalTitle"] = name;
  }
  Item& item = AddItem("counterparty", std::move(fields), now);
  const size_t contacts = person ? random.Below(2) : random.Below(4);
  for (size_t i = 0; i < contacts; ++i) {
    ContactPerson contact;
    contact.id = MakeId(random);
    contact.name = MakePerson(random).Full();
    contact.phone = random.Chance(0.8) ? MakePhone(random) : "";
    contact.email = random.Chance(0.5) ? MakeEmail(random) : "";
    contact.position = random.Chance(0.5) ? "бухгалтер" : "";
    contact.external_code = MakeCode(random);
    contact.updated = ToMs(now);
    contacts_[item.id].push_back(std::move(contact));
  }
  return item;
}

Order& AccountData::AddOrder(absl::Time now) {
  auto order = std::make_unique<Order>();
  order->id = MakeId(random);
  order->name = NewOrderName();
  order->external_code = MakeCode(random);
  order->moment = ToMinute(now);
  order->created = ToMs(now);
  order->updated = ToMs(now);
  order->currency = ItemsOf("currency").front()->id;
  order->organization = ItemsOf("organization").front()->id;
  order->owner = ItemsOf("employee").front()->id;
  order->state = states.front().id;
  Order& added = *order;
  orders_by_id_[added.id] = &added;
  orders_.push_back(std::move(order));
  return added;
}

Order& AccountData::AddLifelikeOrder(absl::Time now) {
  const auto& counterparties = ItemsOf("counterparty");
  const std::string agent = counterparties.size() > 3 && random.Chance(0.4)
                                ? random.Of(counterparties)->id
                                : AddCounterparty(now).id;
  Order& order = AddOrder(now);
  order.agent = {"counterparty", agent};
  if (random.Chance(0.03)) {
    order.agent = {"organization", order.organization};
  }
  if (random.Chance(0.05)) {
    order.state.clear();
  }
  if (random.Chance(0.8)) {
    order.store = random.Of(ItemsOf("store"))->id;
  }
  order.owner = random.Chance(0.9) ? random.Of(ItemsOf("employee"))->id : "";
  if (random.Chance(0.5)) {
    order.sales_channel = random.Of(ItemsOf("saleschannel"))->id;
  }
  if (random.Chance(0.1)) {
    order.project = ItemsOf("project").front()->id;
  }
  if (random.Chance(0.3)) {
    order.description = MakeRemark(random);
  }
  if (random.Chance(0.3)) {
    order.shipment_address = MakeAddress(random);
    order.delivery = ToMinute(now + absl::Hours(random.Between(4, 72)));
  }
  if (random.Chance(0.12)) {
    const Item& currency = *ItemsOf("currency")[1 + random.Below(2)];
    order.currency = currency.id;
    order.rate = currency.fields["rate"].get<double>();
  }
  for (size_t i = 0; i < attribute_types.size(); ++i) {
    if (random.Chance(0.25)) {
      order.attributes.push_back(MakeAttribute(i));
    }
  }
  // An order without lines is an order too; one with more lines than a page is rare.
  const size_t lines = random.Chance(0.001) ? 1005 : random.Chance(0.02) ? 120 : random.Below(5);
  MakePositions(order, lines);
  return order;
}

Position AccountData::MakePosition() {
  Position position;
  position.id = MakeId(random);
  position.assortment = random.Below(assortment.size());
  position.quantity = random.Chance(0.15) ? random.Between(1, 9999) : random.Between(1, 9) * 1000;
  position.price = random.Between(1, 9999) * 100 * kKopeck;
  if (random.Chance(0.1)) {
    // A price worked out from a markup: fractions of a kopeck.
    position.price += random.Between(1, 9999);
  }
  if (random.Chance(0.2)) {
    position.discount =
        random.Chance(0.1) ? -random.Between(1, 20) * 100 : random.Between(1, 60) * 50;
  }
  position.vat_enabled = random.Chance(0.8);
  position.vat = position.vat_enabled ? 20 : 0;
  return position;
}

void AccountData::MakePositions(Order& order, size_t count) {
  order.positions.clear();
  for (size_t i = 0; i < count; ++i) {
    order.positions.push_back(MakePosition());
  }
  Recount(order);
}

AttributeValue AccountData::MakeAttribute(size_t type) {
  AttributeValue value;
  value.type = type;
  const std::string& kind = attribute_types[type].type;
  if (kind == "string") {
    value.value = random.Chance(0.5) ? "Звонок, UIS" : "Яндекс.Директ";
  } else if (kind == "text") {
    value.value = "Первая строка\nвторая \"в кавычках\"";
  } else if (kind == "link") {
    value.value = fmt::format("https://track.example/{}", random.Below(100000));
  } else if (kind == "long") {
    // Does not fit into a double.
    value.value = random.Chance(0.1) ? 9007199254740993 : random.Between(1, 9'999'999'999);
  } else if (kind == "double") {
    value.value = static_cast<double>(random.Between(1, 9999)) / 100;
  } else if (kind == "boolean") {
    value.value = random.Chance(0.5);
  } else if (kind == "time") {
    value.value = MoscowTime(absl::FromUnixSeconds(1'767'225'600 + random.Between(0, 500000) * 60));
  } else if (kind == "file") {
    value.value = "Договор № 5.pdf";
  } else {
    const auto& items = ItemsOf(kind);
    const Item& item = *items[random.Below(items.size())];
    value.value = RefTo({item.type, item.id});
    value.value["name"] = item.fields["name"];
  }
  return value;
}

void AccountData::Touch(Order& order, absl::Time now) const {
  order.updated = std::max(ToMs(now), order.updated + absl::Milliseconds(1));
}

Change AccountData::Updated(Order& order, std::vector<std::string> fields, absl::Time now) {
  Touch(order, now);
  return {{"customerorder", order.id}, "UPDATE", std::move(fields)};
}

Change AccountData::Created(const Order& order) {
  return {{"customerorder", order.id}, "CREATE", {}};
}

// Which webhook a move into the bin or out of it gives is documented nowhere: so both come.
Change AccountData::Trash(Order& order, absl::Time now) {
  Touch(order, now);
  order.deleted = order.updated;
  return {{"customerorder", order.id}, random.Chance(0.5) ? "DELETE" : "UPDATE", {}};
}

Change AccountData::Restore(Order& order, absl::Time now) {
  Touch(order, now);
  order.deleted.reset();
  return {{"customerorder", order.id}, random.Chance(0.3) ? "CREATE" : "UPDATE", {}};
}

void AccountData::Discard(const std::string& order_id) {
  // The id may live in the order.
  const std::string id_of_order = order_id;
  orders_by_id_.erase(id_of_order);
  std::erase_if(orders_, [&id_of_order](const auto& order) { return order->id == id_of_order; });
}

Change AccountData::Delete(const std::string& order_id, absl::Time now) {
  Change change = {{"customerorder", order_id}, "DELETE", {}};
  Order* order = FindOrder(order_id);
  Touch(*order, now);
  gone_[change.entity.id] = order->updated;
  Discard(order_id);
  return change;
}

void AccountData::Recount(Order& order) {
  order.sum = 0;
  for (const Position& position : order.positions) {
    order.sum += LineTotal(position);
  }
}

std::string AccountData::NumberText(int number) { return fmt::format("{:05}", number); }

}  // namespace dealstream::crm::moysklad::sim
