#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/time/time.h"

#include "libs/base/clock.h"
#include "libs/base/status.h"
#include "libs/config/config.h"
#include "libs/obs/health.h"
#include "libs/obs/metrics.h"

// The shell that every service's main has in common: flags (--config, --check-config, --version,
// --help, --describe-config, --describe-metrics), configuration, logs, metrics, the admin listener
// (/livez, /readyz, /metrics; first up, last down), signals, the order of stopping, exit codes (0
// clean, 1 runtime failure, 2 bad configuration).
namespace dealstream::service {

// What the shell lends to a service; outlives it.
struct Context {
  Clock& clock;
  obs::Metrics& metrics;
  obs::Health& health;
  // Called by the service when it can't go on (from any thread): stops the process with exit
  // code 1.
  std::function<void(const Status&)> fail;
};

// A running service. Destroyed after Stop, on the main thread.
class Service {
 public:
  virtual ~Service() = default;
  // At the stop signal, before drain.delay: say to those who ask (gRPC health) that no new work is
  // wanted, and keep serving.
  virtual void StartDraining() {}
  // After /readyz has turned unhealthy and drain.delay is over: take no new work, finish what is
  // under way, commit or abort, leave the group, flush; until `deadline`. Cancelled or
  // DeadlineExceeded: cut off.
  virtual Status Stop(absl::Time deadline) = 0;
};

// A service as main describes it.
struct Definition {
  std::string_view name;
  // Secrets pass through its memory: no core file is ever written.
  bool holds_secrets = false;
  // Adds the service's own keys; the shell has added admin.*, log.level and drain.*.
  std::function<void(config::Schema&)> add_config;
  // Checks what a single key can't show; for --check-config. May be empty.
  std::function<Status()> check_config;
  // Builds and starts; the service must be able to reach ready by itself from here (it doesn't wait
  // for Kafka or a peer).
  std::function<Result<std::unique_ptr<Service>>(Context&)> start;
};

// The whole life of the process; returns its exit code.
int Run(int argc, char** argv, const Definition& definition);

}  // namespace dealstream::service
