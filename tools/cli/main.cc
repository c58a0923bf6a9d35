// dealctl: see README.md.

#include <iostream>

#include "CLI/CLI.hpp"
#include "fmt/format.h"

#include "libs/base/strings.h"
#include "libs/obs/log.h"
#include "libs/service/version.h"
#include "tools/cli/environment.h"

namespace dealstream::cli {
namespace {

constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;

int Report(const Status& status, int code) {
  std::cerr << fmt::format(
      "dealctl: {}\n",
      status.message().empty() ? status.ToString() : std::string(ToStd(status.message())));
  return code;
}

// The configuration comes before the flags that override it, so its path is looked for beforehand,
// in the same grammar. What is wrong with the arguments, the whole command says.
std::string ConfigPath(int argc, char** argv) {
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  std::string path;
  app.add_option("--config", path)->envname("DEALSTREAM_DEALCTL_CONFIG");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError&) {
    return "";
  }
  return path;
}

int Main(int argc, char** argv) {
  obs::InitLog("dealctl", obs::Level::kError);
  Environment environment;
  config::Schema schema;
  environment.AddTo(schema);
  // Without a file everything comes from flags; what a command needs and lacks, it says.
  if (const std::string path = ConfigPath(argc, argv); !path.empty()) {
    if (const Status status = schema.Load(path, {}); !status.ok()) {
      return Report(status, kWrongUsage);
    }
  }

  CLI::App app("Operates Dealstream: credentials, integrations, backfills, topics, dead letters.",
               "dealctl");
  app.require_subcommand(1);
  app.fallthrough();
  app.set_version_flag("--version",
                       fmt::format("dealctl {} ({})", service::Version(), service::Revision()));
  app.set_help_all_flag("--help-all", "Help of every command");
  std::string config_path;
  app.add_option("--config", config_path, "YAML file; also by DEALSTREAM_DEALCTL_CONFIG");
  app.add_option("--kafka", environment.kafka.brokers, "Brokers, host:port,host:port");
  app.add_option("--vault", environment.vault_address, "credential-vault, host:port");
  app.add_option("--cabinet", environment.cabinet_address, "cabinet, host:port");
  app.add_flag("--json", environment.json, "Print JSON instead of a table");
  app.footer("Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.");

  Status outcome;
  AddRpcCommands(app, environment, outcome);
  AddTailCommand(app, environment, outcome);
  AddExplainCommand(app, environment, outcome);
  AddDeadLetterCommands(app, environment, outcome);
  AddTopicCommands(app, environment, outcome);
  AddSimulateCommand(app, environment, outcome);
  bool describe = false;
  app.add_subcommand("describe-config", "List the keys of the configuration file")->callback([&] {
    describe = true;
  });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kWrongUsage;
  }
  if (describe) {
    std::cout << schema.Describe(/*environment=*/false);
  }
  return outcome.ok() ? 0
                      : Report(outcome, absl::IsInvalidArgument(outcome) ? kWrongUsage : kFailed);
}

}  // namespace
}  // namespace dealstream::cli

int main(int argc, char** argv) {
  try {
    return dealstream::cli::Main(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "dealctl: " << error.what() << "\n";
    return 1;
  }
}
