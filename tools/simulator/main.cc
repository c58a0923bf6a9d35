// Plays a CRM on an address of this machine until SIGINT or SIGTERM.
#include <csignal>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "libs/crm/simulators.h"

namespace dealstream {
namespace {

struct Options {
  std::string crm;
  crm::SimOptions sim;
  double unit_price = 0;
  // "name=value".
  std::vector<std::string> settings;
};

int Run(Options options) {
  const auto simulators = crm::AllSimulators();
  const auto found = simulators.find(options.crm);
  if (found == simulators.end()) {
    std::string known;
    for (const auto& [name, factory] : simulators) {
      known += " " + name;
    }
    fmt::print(stderr, "crm-simulator: no simulator of '{}'; there are:{}\n", options.crm, known);
    return 2;
  }
  if (options.unit_price > 0) {
    options.sim.settings["unit_price"] = fmt::format("{}", options.unit_price);
  }
  for (const std::string& setting : options.settings) {
    const size_t equals = setting.find('=');
    if (equals == std::string::npos) {
      fmt::print(stderr, "crm-simulator: --set {}: want name=value\n", setting);
      return 2;
    }
    options.sim.settings[setting.substr(0, equals)] = setting.substr(equals + 1);
  }
  // Blocked before any thread starts, so that all of them leave these signals to sigwait.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const auto simulator = found->second(options.sim);
  if (!simulator.ok()) {
    fmt::print(stderr, "crm-simulator: {}\n", simulator.status().ToString());
    return 1;
  }
  fmt::print("{}\n", (*simulator)->Describe());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  return 0;
}

}  // namespace
}  // namespace dealstream

int main(int argc, char** argv) {
  dealstream::Options options;
  options.sim.address = "127.0.0.1:8090";
  CLI::App app("Plays a CRM with simulated accounts. Prints what it plays as JSON, then serves.");
  app.add_option("--crm", options.crm, "Which CRM: the id of an adapter")->required();
  app.add_option("--address", options.sim.address, "Where to listen; port 0 takes a free one")
      ->capture_default_str();
  app.add_option("--accounts", options.sim.accounts, "How many accounts it plays")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_option("--changes-per-second",
                 options.sim.changes_per_second,
                 "Changes that happen by themselves, over all accounts")
      ->check(CLI::Range(0.0, 100'000.0))
      ->capture_default_str();
  app.add_option("--seed", options.sim.seed, "The same seed plays the same life")
      ->capture_default_str();
  app.add_option("--unit-price", options.unit_price, "Units of the rate limit that a call costs")
      ->check(CLI::PositiveNumber);
  app.add_option("--set", options.settings, "A setting of the simulator: name=value (repeatable)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return dealstream::Run(std::move(options));
}
