#pragma once

#include <memory>
#include <string>

#include "libs/base/status.h"
#include "libs/config/config.h"
#include "libs/kafka/kafka.h"
#include "libs/obs/metrics.h"
#include "libs/rpc/rpc.h"

namespace CLI {
class App;
}

namespace dealstream::cli {

// What every command needs: where the parts of a running Dealstream are. Filled from the
// configuration file, then from flags.
struct Environment {
  kafka::ClientConfig kafka;
  rpc::TlsFiles tls;
  std::string vault_address;
  std::string vault_name = "credential-vault";
  std::string cabinet_address;
  std::string cabinet_name = "cabinet";
  std::string topics_file = "deploy/topics.yaml";
  // One JSON document instead of a table.
  bool json = false;

  void AddTo(config::Schema& schema);
  // For commands that talk to the brokers.
  Status CheckKafka() const;
  // Kafka clients count; nobody looks.
  obs::Metrics& metrics();

 private:
  std::unique_ptr<obs::Metrics> metrics_;
};

// The groups of commands. Each adds its subcommands, whose callbacks leave their outcome in
// `outcome`.
void AddRpcCommands(CLI::App& app, Environment& environment, Status& outcome);
void AddTailCommand(CLI::App& app, Environment& environment, Status& outcome);
void AddExplainCommand(CLI::App& app, Environment& environment, Status& outcome);
void AddDeadLetterCommands(CLI::App& app, Environment& environment, Status& outcome);
void AddSimulateCommand(CLI::App& app, Environment& environment, Status& outcome);
void AddTopicCommands(CLI::App& app, Environment& environment, Status& outcome);

}  // namespace dealstream::cli
