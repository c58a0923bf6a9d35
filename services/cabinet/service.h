#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "libs/base/status.h"
#include "libs/config/config.h"
#include "libs/crm/api/registry.h"
#include "libs/kafka/kafka.h"
#include "libs/rpc/rpc.h"
#include "libs/service/service.h"

namespace dealstream::cabinet {

// Keys of the configuration; see README.md.
struct Config {
  std::string grpc_address = "0.0.0.0:8090";
  bool grpc_reflection = false;
  std::string store_url = "sqlite3:///var/lib/dealstream/cabinet.db";
  std::string vault_address;
  std::string vault_server_name = "credential-vault";
  absl::Duration vault_timeout = absl::Seconds(5);
  std::string public_base_url;
  std::vector<std::string> callers = {"dealctl", "cabinet"};
  // Empty: every adapter of the build.
  std::vector<std::string> crms;
  absl::Duration poll_interval = absl::ZeroDuration();
  kafka::ClientConfig kafka;
  rpc::TlsFiles tls;

  void AddTo(config::Schema& schema);
  // What a single key can't show.
  Status Check(const crm::Registry& registry) const;
};

// Builds and starts the cabinet. `registry` outlives it.
Result<std::unique_ptr<service::Service>> Start(const Config& config,
                                                const crm::Registry& registry,
                                                service::Context& context);

}  // namespace dealstream::cabinet
