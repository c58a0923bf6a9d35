#include "libs/crm/api/registry.h"

#include <algorithm>
#include <utility>

namespace dealstream::crm {

Registry::Registry(std::vector<std::unique_ptr<Adapter>> adapters)
    : adapters_(std::move(adapters)) {
  std::sort(adapters_.begin(), adapters_.end(), [](const auto& a, const auto& b) {
    return a->id() < b->id();
  });
}

const Adapter* Registry::Find(std::string_view id) const {
  for (const auto& adapter : adapters_) {
    if (adapter->id() == id) {
      return adapter.get();
    }
  }
  return nullptr;
}

}  // namespace dealstream::crm
