#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

#include "libs/base/status.h"

// What a simulator of a CRM offers to tests and to the demo. Simulators are no part of the product.
namespace dealstream::crm {

struct SimOptions {
  // "127.0.0.1:0".
  std::string address = "127.0.0.1:0";
  // How many accounts of the CRM it plays; their logins and passwords are printed by Describe.
  int accounts = 1;
  // Of the accounts' life of their own; the same seed plays the same life.
  uint64_t seed = 1;
  // Changes per second over all accounts; 0: none but those ordered through the control interface.
  double changes_per_second = 0;
  // The CRM's own, by name, see its README: {"unit_price", "4"}.
  std::map<std::string, std::string> settings;
};

// A simulator listens on one address: the CRM's API under its own paths, and the control interface
// under
// /_sim/ (JSON; see the adapter's sim/README.md): accounts, webhook targets, scenario steps
// (create, move, pay, delete, duplicate, reorder), faults (delay, status, html, drop), statistics
// and violations of the CRM's limits.
class Simulator {
 public:
  virtual ~Simulator() = default;
  virtual int port() const = 0;
  // JSON: address, accounts with the credential fields to be given to the vault.
  virtual std::string Describe() const = 0;
};

using SimulatorFactory = std::function<Result<std::unique_ptr<Simulator>>(const SimOptions&)>;

}  // namespace dealstream::crm
