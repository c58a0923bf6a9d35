#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "libs/crm/moysklad/sim/customer.h"
#include "libs/crm/moysklad/sim/limits.h"
#include "libs/crm/moysklad/sim/webhooks.h"

namespace dealstream::crm::moysklad::sim {

// Everything that the API, the control interface and the life share.
struct World {
  std::vector<std::unique_ptr<Customer>> customers;
  // "http://127.0.0.1:8085/api/remap/1.2".
  std::string base_url;
  std::atomic<double> changes_per_second = 0;
  std::atomic<bool> stopping = false;
  std::unique_ptr<Webhooks> webhooks;

  // Guarded by `settings_mutex`.
  std::mutex settings_mutex;
  LimitSettings limits;
  size_t nested_limit = 1000;

  // By company ("company3"), login or number ("3"). Null when there is none.
  Customer* Find(std::string_view name) {
    for (auto& customer : customers) {
      const Account& account = customer->account;
      if (account.company == name || account.login == name || account.company.substr(7) == name) {
        return customer.get();
      }
    }
    return nullptr;
  }

  LimitSettings Limits() {
    std::lock_guard lock(settings_mutex);
    return limits;
  }
  size_t NestedLimit() {
    std::lock_guard lock(settings_mutex);
    return nested_limit;
  }
};

}  // namespace dealstream::crm::moysklad::sim
