#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "libs/base/status.h"
#include "libs/crm/sim/account.h"
#include "libs/crm/sim/settings.h"
#include "libs/crm/sim/simulator.h"
#include "libs/crm/sim/webhooks.h"
#include "libs/http/server.h"

namespace dealstream::crm::simkit {

// A simulated CRM: its API and the accounts that it makes. A simulator is a class derived from this
// one, a class derived from Account, and a MakeSimulator that hands the former to Start.
class Crm {
 public:
  Crm() = default;
  virtual ~Crm() = default;
  Crm(const Crm&) = delete;
  Crm& operator=(const Crm&) = delete;

  // The adapter's id.
  virtual std::string name() const = 0;

  // Makes account `number` (from 1), filled with the deals it begins with (initial_deals()).
  // Called for each account before the first request, when the settings are set. `origin` is where
  // the simulator listens: "http://127.0.0.1:8085". The kit keeps the account; this object may
  // index it by its key or login in members that don't change any more when requests come.
  virtual std::unique_ptr<Account> MakeAccount(int number,
                                               uint64_t seed,
                                               const std::string& origin) = 0;

  // A request of the CRM's API, by any path but /_sim/…; from several threads at once. Finds the
  // account by the request's credentials, then Account::Pass; answers by itself where there is
  // none (401).
  virtual http::ServerResponse Serve(const http::ServerRequest& request) = 0;

  virtual WebhookPolicy webhook_policy() const { return {}; }

  // Requests that are served at once; a fault that hangs or delays holds as many.
  virtual int server_threads() const { return 64; }

  Settings& settings() { return settings_; }

 protected:
  // How many deals each account begins with: setting "deals".
  int initial_deals() const { return initial_deals_.Int(); }

 private:
  Settings settings_;
  const Setting& initial_deals_ = settings_.Add("deals", 20, 0, 100'000);
};

// Serves until the result goes.
Result<std::unique_ptr<Simulator>> Start(std::unique_ptr<Crm> crm, const SimOptions& options);

}  // namespace dealstream::crm::simkit
