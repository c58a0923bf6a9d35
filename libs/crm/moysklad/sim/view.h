#pragma once

#include <map>
#include <string>
#include <string_view>

#include "libs/crm/moysklad/sim/account.h"

namespace dealstream::crm::moysklad::sim {

// The value of `expand`: "agent,positions.assortment" as a tree, cut at three levels.
struct Expand {
  std::map<std::string, Expand, std::less<>> children;

  static Expand Parse(std::string_view text);
  // Null where the reference is not to be expanded.
  const Expand* Of(std::string_view name) const;
};

// Entities as MoySklad writes them. The account is locked by the caller. Absent fields are left
// out; money is in kopecks with a fraction (".0").
class View {
 public:
  // `base_url` ends in "/api/remap/1.2"; `nested_limit` is how many rows an expanded collection
  // inside an entity shows.
  View(const AccountData& account, std::string base_url, size_t nested_limit)
      : account_(account), base_(std::move(base_url)), nested_limit_(nested_limit) {}

  Json Meta(const EntityRef& ref) const;
  // {"meta":…}, or the whole entity where `expand` is not null.
  Json Reference(const EntityRef& ref, const Expand* expand) const;
  Json FullOrder(const Order& order, const Expand& expand) const;
  Json FullItem(const Item& item, const Expand& expand) const;
  Json FullState(const State& state) const;
  Json FullPosition(const Order& order, const Position& position, const Expand& expand) const;
  Json FullContact(const std::string& counterparty, const ContactPerson& contact) const;
  Json FullWebhook(const Subscription& subscription) const;
  Json AttributeDefinition(const AttributeType& type) const;
  // /entity/customerorder/metadata.
  Json OrderMetadata(const Expand& expand) const;

  const std::string& base() const { return base_; }

 private:
  Json Collection(const std::string& path, std::string_view type, size_t size) const;
  Json Attributes(const Order& order) const;
  // Replaces {"$ref":…} anywhere below.
  Json Resolve(const Json& value, const Expand& expand) const;

  const AccountData& account_;
  const std::string base_;
  const size_t nested_limit_;
};

}  // namespace dealstream::crm::moysklad::sim
