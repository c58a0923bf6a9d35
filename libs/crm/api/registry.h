#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "libs/crm/api/adapter.h"

namespace dealstream::crm {

// Every adapter of the tree, ordered by id. Built by main (see libs/crm/registry.h) and handed
// down.
class Registry {
 public:
  explicit Registry(std::vector<std::unique_ptr<Adapter>> adapters);
  // Null when there is none of that id.
  const Adapter* Find(std::string_view id) const;
  const std::vector<std::unique_ptr<Adapter>>& adapters() const { return adapters_; }

 private:
  std::vector<std::unique_ptr<Adapter>> adapters_;
};

}  // namespace dealstream::crm
