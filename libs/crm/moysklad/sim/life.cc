#include <algorithm>
#include <utility>

#include "libs/crm/moysklad/sim/account.h"
#include "libs/crm/sim/names.h"

namespace dealstream::crm::moysklad::sim {

using simkit::MakePhone;
using simkit::MakeRemark;

namespace {

// So many orders an account keeps; then for each new one an old one goes.
constexpr size_t kMaxOrders = 1500;

using Changes = std::vector<Change>;

Changes Create(AccountData& account, absl::Time now) {
  Changes changes;
  const Order& order = account.AddLifelikeOrder(now);
  changes.push_back(AccountData::Created(order));
  if (account.orders().size() > kMaxOrders) {
    changes.push_back(account.Delete(account.orders().front()->id, now));
  }
  return changes;
}

Order* PickOrder(AccountData& account, bool in_bin) {
  const auto& orders = account.orders();
  // Newer ones change more often: one of the last forty mostly.
  const size_t span = std::min<size_t>(orders.size(), account.random.Chance(0.8) ? 40 : 100000);
  for (int attempt = 0; attempt < 20 && span > 0; ++attempt) {
    Order* order = orders[orders.size() - 1 - account.random.Below(span)].get();
    if (order->deleted.has_value() == in_bin) {
      return order;
    }
  }
  return nullptr;
}

Changes ChangePositions(AccountData& account, Order& order, absl::Time now) {
  Random& random = account.random;
  if (order.positions.empty() || random.Chance(0.6)) {
    order.positions.push_back(account.MakePosition());
  } else if (random.Chance(0.5)) {
    random.Of(order.positions).quantity = random.Between(1, 20) * 1000;
  } else {
    order.positions.erase(order.positions.begin() +
                          static_cast<std::ptrdiff_t>(random.Below(order.positions.size())));
  }
  AccountData::Recount(order);
  return {account.Updated(order, {"positions", "sum"}, now)};
}

Changes MoveOn(AccountData& account, Order& order, absl::Time now) {
  const auto& states = account.states;
  const auto at = std::find_if(
      states.begin(), states.end(), [&order](const State& s) { return s.id == order.state; });
  // Nobody comes back from the last states; an order without state gets the first.
  const auto next = at == states.end() ? states.begin() : std::min(at + 1, states.begin() + 4);
  order.state = next->id;
  return {account.Updated(order, {"state"}, now)};
}

Changes Pay(AccountData& account, Order& order, absl::Time now) {
  order.payed = account.random.Chance(0.7) ? order.sum : order.sum / 2;
  return {account.Updated(order, {"payedSum"}, now)};
}

Changes Lose(AccountData& account, Order& order, absl::Time now) {
  order.state = account.states[5 + account.random.Below(2)].id;
  std::vector<std::string> fields = {"state"};
  for (size_t i = 0; i < account.attribute_types.size(); ++i) {
    if (account.attribute_types[i].type != "customentity") {
      continue;
    }
    std::erase_if(order.attributes, [i](const AttributeValue& value) { return value.type == i; });
    order.attributes.push_back(account.MakeAttribute(i));
    fields.emplace_back("attributes");
  }
  return {account.Updated(order, std::move(fields), now)};
}

Changes ChangeAttribute(AccountData& account, Order& order, absl::Time now) {
  const size_t type = account.random.Below(account.attribute_types.size());
  std::erase_if(order.attributes, [type](const AttributeValue& v) { return v.type == type; });
  if (account.random.Chance(0.8)) {
    order.attributes.push_back(account.MakeAttribute(type));
  }
  return {account.Updated(order, {"attributes"}, now)};
}

Changes ChangeReference(AccountData& account, Order& order, absl::Time now) {
  switch (account.random.Below(3)) {
    case 0:
      order.store =
          account.random.Chance(0.2) ? "" : account.random.Of(account.ItemsOf("store"))->id;
      return {account.Updated(order, {"store"}, now)};
    case 1:
      order.owner = account.random.Of(account.ItemsOf("employee"))->id;
      return {account.Updated(order, {"owner"}, now)};
    default:
      order.description = MakeRemark(account.random);
      return {account.Updated(order, {"description"}, now)};
  }
}

// Orders that point to the counterparty keep their update time: only its own changes.
Changes ChangeAgent(AccountData& account, const Order& order, absl::Time now) {
  Item* agent = account.FindItem(order.agent.id);
  if (agent == nullptr || agent->type != "counterparty") {
    return {};
  }
  agent->fields["phone"] = MakePhone(account.random);
  agent->updated = std::max(now, agent->updated + absl::Milliseconds(1));
  return {{{"counterparty", agent->id}, "UPDATE", {"phone"}}};
}

// One action of somebody who ticked several orders in the list.
Changes MoveSeveral(AccountData& account, absl::Time now) {
  Changes changes;
  const size_t count = 2 + account.random.Below(6);
  for (size_t i = 0; i < count; ++i) {
    Order* order = PickOrder(account, /*in_bin=*/false);
    const bool again = order == nullptr ||
                       std::any_of(changes.begin(), changes.end(), [order](const Change& change) {
                         return change.entity.id == order->id;
                       });
    if (!again) {
      changes.push_back(MoveOn(account, *order, now).front());
    }
  }
  return changes;
}

}  // namespace

std::vector<Change> LiveOneStep(AccountData& account, absl::Time now) {
  const size_t dice = account.random.Below(100);
  if (dice < 25) {
    return Create(account, now);
  }
  if (dice < 27) {
    Order* binned = PickOrder(account, /*in_bin=*/true);
    return binned == nullptr ? Create(account, now) : Changes{account.Restore(*binned, now)};
  }
  Order* order = PickOrder(account, /*in_bin=*/false);
  if (order == nullptr) {
    return Create(account, now);
  }
  if (dice < 47) {
    return ChangePositions(account, *order, now);
  }
  if (dice < 67) {
    return MoveOn(account, *order, now);
  }
  if (dice < 77) {
    return Pay(account, *order, now);
  }
  if (dice < 82) {
    return Lose(account, *order, now);
  }
  if (dice < 87) {
    return ChangeAttribute(account, *order, now);
  }
  if (dice < 91) {
    return ChangeReference(account, *order, now);
  }
  if (dice < 93) {
    return ChangeAgent(account, *order, now);
  }
  if (dice < 95) {
    return MoveSeveral(account, now);
  }
  if (dice < 96) {
    order->applicable = !order->applicable;
    return {account.Updated(*order, {"applicable"}, now)};
  }
  if (dice < 98) {
    return {account.Trash(*order, now)};
  }
  return {account.Delete(order->id, now)};
}

}  // namespace dealstream::crm::moysklad::sim
