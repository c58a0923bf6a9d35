#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

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
  // Numbers by name, the CRM's own (see its sim/README.md) and "deals": {"deals", "5"}.
  std::map<std::string, std::string> settings;
};

// A simulator listens on one address: the CRM's API under its own paths, and under /_sim/ the
// control interface, which is the same for all CRMs (README.md).
class Simulator {
 public:
  virtual ~Simulator() = default;
  virtual int port() const = 0;
  // JSON: crm, address, accounts with the credential fields to be given to the vault.
  virtual std::string Describe() const = 0;
};

using SimulatorFactory = std::function<Result<std::unique_ptr<Simulator>>(const SimOptions&)>;

}  // namespace dealstream::crm
