#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/time/time.h"

#include "libs/crm/sim/random.h"
#include "libs/crm/sim/web.h"

// What the simulated accounts hold. Plain data and the changes it can undergo; no HTTP here.
namespace dealstream::crm::moysklad::sim {

using simkit::Json;
using simkit::Random;

// An id as MoySklad's are: "5b120ed1-1aa0-11f1-0a82-49e000849b3d".
std::string MakeId(Random& random);
// 22 characters, as a generated externalCode.
std::string MakeCode(Random& random);

// 1/10000 of a kopeck, so that fractions of a kopeck stay exact.
using Amount = int64_t;
constexpr Amount kKopeck = 10000;

// Moscow wall clock with milliseconds, "2026-03-02 15:31:47.915".
std::string MoscowTime(absl::Time time);
// Also without milliseconds, without seconds, or a date alone. Nothing when it is no time.
std::optional<absl::Time> ParseMoscowTime(std::string_view text);
// In kopecks, as a number of JSON.
Json KopecksToJson(Amount amount);
// In currency units, as exact text: at least two decimals, more only where they aren't zero.
std::string AmountToText(Amount amount);

struct EntityRef {
  std::string type;
  std::string id;
};

// An entity other than an order. A value of `fields` that refers to another entity is
// {"$ref":["employee","<id>"]}.
struct Item {
  std::string type;
  std::string id;
  absl::Time updated;
  bool archived = false;
  Json fields;
};

Json RefTo(const EntityRef& ref);

struct State {
  std::string id;
  std::string name;
  std::string type;
  int color = 0;
};

struct AttributeType {
  std::string id;
  std::string name;
  std::string type;
  std::string description;
  bool required = false;
};

struct AttributeValue {
  // Index into AccountData::attribute_types.
  size_t type = 0;
  // As Item::fields; a reference keeps its name beside ("$ref" and "name").
  Json value;
};

struct Position {
  std::string id;
  // Index into AccountData::assortment.
  size_t assortment = 0;
  // 1/1000.
  int64_t quantity = 1000;
  Amount price = 0;
  // 1/100 of a percent; negative is a markup.
  int64_t discount = 0;
  int vat = 20;
  bool vat_enabled = true;
};

Amount LineTotal(const Position& position);

// References are ids; empty is absent.
struct Order {
  std::string id;
  std::string name;
  std::string external_code;
  std::string sync_id;
  std::string description;
  absl::Time moment;
  absl::Time created;
  absl::Time updated;
  std::optional<absl::Time> deleted;
  std::optional<absl::Time> delivery;
  bool applicable = true;
  Amount sum = 0;
  Amount payed = 0;
  Amount shipped = 0;
  std::string currency;
  // Price of one unit of the currency; 1 is left out of answers.
  double rate = 1;
  EntityRef agent;
  std::string organization;
  std::string store;
  std::string state;
  std::string owner;
  std::string project;
  std::string contract;
  std::string sales_channel;
  std::string shipment_address;
  std::vector<AttributeValue> attributes;
  std::vector<Position> positions;
};

struct ContactPerson {
  std::string id;
  std::string name;
  std::string phone;
  std::string email;
  std::string position;
  std::string external_code;
  absl::Time updated;
};

// What happened to an entity; feeds the webhooks.
struct Change {
  EntityRef entity;
  // CREATE, UPDATE, DELETE.
  std::string action;
  std::vector<std::string> fields;
};

struct Subscription {
  std::string id;
  std::string entity_type;
  std::string action;
  std::string url;
  std::string diff_type = "NONE";
  bool enabled = true;
};

// What a customer's account holds. Guarded by the customer's mutex.
class AccountData {
 public:
  // Filled with dictionaries and `orders` orders of the last days. Everything is drawn from
  // `random_of_life`, which outlives this object.
  AccountData(std::string company_name,
              std::string account_id,
              Random& random_of_life,
              int orders,
              absl::Time now);

  // NOLINTBEGIN(misc-non-private-member-variables-in-classes): the plain part of it. What has
  // indexes to be kept is private.
  // "company1".
  const std::string company;
  const std::string id;
  std::string group;

  Random& random;
  std::vector<State> states;
  std::vector<AttributeType> attribute_types;
  // Products and services, in the order of Position::assortment.
  std::vector<EntityRef> assortment;
  std::vector<Subscription> subscriptions;
  // NOLINTEND(misc-non-private-member-variables-in-classes)

  // By type, in the order of making.
  const std::vector<std::unique_ptr<Item>>& ItemsOf(std::string_view type) const;
  const Item* FindItem(std::string_view id) const;
  Item* FindItem(std::string_view id);
  // By id, or else by name. Null when there is none.
  const Item* FindItem(std::string_view type, std::string_view id_or_name) const;
  const State* FindState(std::string_view id_or_name) const;
  const std::vector<ContactPerson>& ContactsOf(const std::string& counterparty) const;

  Order* FindOrder(const std::string& order_id);
  const Order* FindOrder(const std::string& order_id) const;
  // In the order of making, those in the bin included.
  const std::vector<std::unique_ptr<Order>>& orders() const { return orders_; }
  // When each order deleted for good was.
  const std::map<std::string, absl::Time>& gone() const { return gone_; }
  // Those not in the bin.
  size_t live_orders() const;

  Item& AddItem(std::string type, Json fields, absl::Time now);
  Item& AddCounterparty(absl::Time now);
  // With defaults as MoySklad fills them; `agent` may be empty: then a new one is made or one of
  // the old ones comes again.
  Order& AddOrder(absl::Time now);
  // An order as life makes them: positions, attributes, contacts.
  Order& AddLifelikeOrder(absl::Time now);
  Position MakePosition();
  void MakePositions(Order& order, size_t count);
  AttributeValue MakeAttribute(size_t type);

  // Gives the order a new update time, later than its last one.
  void Touch(Order& order, absl::Time now) const;
  // Into the bin and back.
  Change Trash(Order& order, absl::Time now);
  Change Restore(Order& order, absl::Time now);
  // For good. The order is gone after that.
  Change Delete(const std::string& order_id, absl::Time now);
  // As if it had never been made. Nobody was told of it.
  void Discard(const std::string& order_id);
  Change Updated(Order& order, std::vector<std::string> fields, absl::Time now);
  static Change Created(const Order& order);
  // The sum is made of the lines.
  static void Recount(Order& order);

 private:
  void MakeDictionaries(absl::Time now);
  void MakeMetadata();
  std::string NewOrderName() { return NumberText(next_order_++); }
  static std::string NumberText(int number);

  std::map<std::string, std::vector<std::unique_ptr<Item>>, std::less<>> items_;
  std::map<std::string, Item*, std::less<>> items_by_id_;
  std::unordered_map<std::string, std::vector<ContactPerson>> contacts_;
  std::vector<std::unique_ptr<Order>> orders_;
  std::unordered_map<std::string, Order*> orders_by_id_;
  std::map<std::string, absl::Time> gone_;
  int next_order_ = 1;
};

// What life does on its own. Changes one random thing of the account, which is locked by the
// caller.
std::vector<Change> LiveOneStep(AccountData& account, absl::Time now);

}  // namespace dealstream::crm::moysklad::sim
