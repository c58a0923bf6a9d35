#include "libs/service/service.h"

#include <cstdio>
#include <optional>
#include <utility>

#include "CLI/App.hpp"
#include "CLI/Config.hpp"
#include "CLI/Formatter.hpp"
#include "absl/time/clock.h"
#include <fmt/format.h>
#include <prometheus/gauge.h>
#include <sys/resource.h>

#include "libs/base/strings.h"
#include "libs/http/server.h"
#include "libs/obs/catalog.h"
#include "libs/obs/log.h"
#include "libs/service/stopper.h"
#include "libs/service/version.h"

namespace dealstream::service {
namespace {

constexpr int kClean = 0;
constexpr int kFailed = 1;
constexpr int kBadConfiguration = 2;

// Over drain.timeout, for Stop's own deadline and the teardown after it.
constexpr absl::Duration kGrace = absl::Seconds(2);

// The keys that every service has.
struct ShellConfig {
  std::string admin_address = "0.0.0.0:8081";
  std::string log_level = "info";
  absl::Duration drain_delay = absl::Seconds(5);
  absl::Duration drain_timeout = absl::Seconds(20);

  void AddTo(config::Schema& schema) {
    schema.Add("admin.address",
               &admin_address,
               "Where /livez, /readyz and /metrics are answered; plain HTTP, never public.",
               true);
    schema.Add("log.level", &log_level, "Least level written: debug, info, warn or error.");
    schema.Add("drain.delay",
               &drain_delay,
               absl::ZeroDuration(),
               absl::Minutes(10),
               "After the stop signal, how long to keep serving while callers turn away.");
    schema.Add("drain.timeout",
               &drain_timeout,
               absl::Milliseconds(1),
               absl::Minutes(10),
               "After that, how long work under way may take to finish.");
  }

  std::optional<obs::Level> Level() const {
    for (const auto& [name, level] : {std::pair{"debug", obs::Level::kDebug},
                                      std::pair{"info", obs::Level::kInfo},
                                      std::pair{"warn", obs::Level::kWarn},
                                      std::pair{"error", obs::Level::kError}}) {
      if (log_level == name) {
        return level;
      }
    }
    return std::nullopt;
  }
};

struct Flags {
  std::string config;
  bool check_config = false;
  bool describe_config = false;
  bool describe_metrics = false;
};

// Empty: go on; else the exit code.
std::optional<int> ParseFlags(int argc, char** argv, std::string_view name, Flags* flags) {
  CLI::App app{
      fmt::format(
          "Dealstream's {}. Configuration: one YAML file; each key can be overridden by the "
          "environment (see --describe-config). Exit codes: 0 clean, 1 failed, 2 bad "
          "configuration.",
          name),
      std::string(name)};
  app.add_option("--config", flags->config, "YAML file");
  app.add_flag("--check-config", flags->check_config, "Check the configuration and exit");
  app.add_flag("--describe-config", flags->describe_config, "List all keys and exit");
  app.add_flag("--describe-metrics", flags->describe_metrics, "List all metrics and exit");
  app.set_version_flag("--version", fmt::format("{} {} ({})", name, Version(), Revision()));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kClean : kBadConfiguration;
  }
  return std::nullopt;
}

Status LoadConfig(const Flags& flags,
                  const Definition& definition,
                  config::Schema& schema,
                  const ShellConfig& shell) {
  DEALSTREAM_RETURN_IF_ERROR(schema.Load(flags.config, config::Environment()));
  if (!shell.Level()) {
    return absl::InvalidArgumentError(fmt::format(
        "\"log.level\": found \"{}\", expected debug, info, warn or error", shell.log_level));
  }
  return definition.check_config ? definition.check_config() : absl::OkStatus();
}

http::ServerResponse Text(int status, std::string body) {
  return {.status = status,
          .headers = {{"content-type", "text/plain; charset=utf-8"}},
          .body = std::move(body)};
}

http::ServerResponse Answer(const http::ServerRequest& request,
                            const obs::Health& health,
                            obs::Metrics& metrics) {
  if (request.method != "GET" && request.method != "HEAD") {
    return Text(405, "GET or HEAD only\n");
  }
  if (request.path == "/livez" || request.path == "/readyz") {
    const obs::Health::Report report = request.path == "/livez" ? health.Live() : health.Ready();
    return Text(report.ok ? 200 : 503, report.text);
  }
  if (request.path == "/metrics") {
    return {.status = 200,
            .headers = {{"content-type", "text/plain; version=0.0.4; charset=utf-8"}},
            .body = metrics.Render()};
  }
  return Text(404, "there are /livez, /readyz and /metrics\n");
}

void LogConfig(const config::Schema& schema) {
  const auto effective = schema.Effective();
  std::vector<obs::Field> fields;
  fields.reserve(effective.size() + 2);
  fields.emplace_back("version", Version());
  fields.emplace_back("revision", Revision());
  for (const auto& [key, value] : effective) {
    fields.emplace_back(key, value);
  }
  obs::LogFields(obs::Level::kInfo, "starting", "effective configuration", fields);
}

// From a checked configuration to the exit code. Things are destroyed in reverse: the service, the
// admin listener, the watcher of signals.
int Live(const Definition& definition, const ShellConfig& config, const config::Schema& schema) {
  Stopper stopper;
  LogConfig(schema);
  Clock& clock = Clock::System();
  obs::Metrics metrics(definition.name, Version(), Revision());
  obs::Health health(clock);
  metrics.OnScrape([&metrics, &health] {
    for (const auto& [condition, holds] : health.Conditions()) {
      metrics.GetGauge("ready", {{"condition", condition}}).Set(holds ? 1 : 0);
    }
  });
  // Until the service has said its own conditions, it isn't ready.
  health.SetReady("started", false, "starting");

  auto admin = http::Server::Create({.address = config.admin_address, .threads = 4},
                                    [&health, &metrics](const http::ServerRequest& request) {
                                      return Answer(request, health, metrics);
                                    });
  if (!admin.ok()) {
    obs::Error("start_failed", ToStd(Annotate(admin.status(), "admin.address").message()));
    return kFailed;
  }
  obs::Info("admin_listening", "the admin listener is up", {{"port", (*admin)->port()}});

  Context context{
      .clock = clock, .metrics = metrics, .health = health, .fail = [&stopper](const Status& why) {
        stopper.Fail(why);
      }};
  Result<std::unique_ptr<Service>> service = definition.start(context);
  if (!service.ok()) {
    obs::Error("start_failed", ToStd(service.status().message()));
    obs::FlushLog(true);
    return kFailed;
  }
  health.SetReady("started", true);
  obs::Info("started", "the service runs");

  const Status reason = stopper.Wait([] { obs::FlushLog(false); });
  health.StartDraining();
  (*service)->StartDraining();
  if (reason.ok()) {
    obs::Info("stopping", "stop signal");
    stopper.SetDeadline(clock.Now() + config.drain_delay + config.drain_timeout + kGrace);
    clock.Sleep(config.drain_delay);
  } else {
    obs::Error("failed", ToStd(reason.message()));
    stopper.SetDeadline(clock.Now() + config.drain_timeout + kGrace);
  }
  const Status stopped = (*service)->Stop(clock.Now() + config.drain_timeout);
  service->reset();
  if (!stopped.ok()) {
    obs::Error("stop_failed", ToStd(stopped.message()));
  }
  const bool clean = reason.ok() && stopped.ok();
  obs::FlushLog(true);
  obs::Info("stopped", clean ? "clean" : "not clean");
  return clean ? kClean : kFailed;
}

}  // namespace

int Run(int argc, char** argv, const Definition& definition) {
  Flags flags;
  if (const auto code = ParseFlags(argc, argv, definition.name, &flags)) {
    return *code;
  }
  if (flags.describe_metrics) {
    fmt::print("{}", obs::DescribeCatalog());
    return kClean;
  }
  ShellConfig shell;
  config::Schema schema;
  shell.AddTo(schema);
  if (definition.add_config) {
    definition.add_config(schema);
  }
  if (flags.describe_config) {
    fmt::print("{}", schema.Describe());
    return kClean;
  }
  if (const Status loaded = LoadConfig(flags, definition, schema, shell); !loaded.ok()) {
    fmt::print(stderr, "{}: {}\n", definition.name, ToStd(loaded.message()));
    return kBadConfiguration;
  }
  if (flags.check_config) {
    fmt::print("{}: the configuration is good\n", definition.name);
    return kClean;
  }
  obs::InitLog(definition.name, *shell.Level());
  if (definition.holds_secrets) {
    const rlimit none{0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
  }
  return Live(definition, shell, schema);
}

}  // namespace dealstream::service
