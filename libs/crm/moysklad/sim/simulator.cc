#include "libs/crm/moysklad/sim/simulator.h"

#include <map>
#include <string>
#include <utility>

#include "libs/crm/moysklad/sim/api.h"
#include "libs/crm/moysklad/sim/customer.h"
#include "libs/crm/moysklad/sim/settings.h"
#include "libs/crm/sim/crm.h"

namespace dealstream::crm::moysklad {
namespace sim {
namespace {

class MoySklad final : public simkit::Crm {
 public:
  std::string name() const override { return "moysklad"; }

  std::unique_ptr<simkit::Account> MakeAccount(int number,
                                               uint64_t seed,
                                               const std::string& origin) override {
    auto customer = std::make_unique<Customer>(
        number, seed, initial_deals(), origin + "/api/remap/1.2", settings_);
    customers_[customer->login()] = customer.get();
    return customer;
  }

  http::ServerResponse Serve(const http::ServerRequest& request) override {
    return ServeApi(customers_, request);
  }

  // 1500 ms for an answer of 200 or 204, three more attempts at once, then never again. Nothing is
  // said about their order.
  simkit::WebhookPolicy webhook_policy() const override {
    simkit::WebhookPolicy policy;
    policy.patience = absl::Milliseconds(1500);
    policy.attempts = 4;
    policy.accepted = {200, 204};
    policy.ordered = false;
    policy.threads = 32;
    return policy;
  }

 private:
  const SimSettings settings_{settings()};
  Customers customers_;
};

}  // namespace
}  // namespace sim

Result<std::unique_ptr<Simulator>> MakeSimulator(const SimOptions& options) {
  return simkit::Start(std::make_unique<sim::MoySklad>(), options);
}

}  // namespace dealstream::crm::moysklad
