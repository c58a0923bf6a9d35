#pragma once

#include <memory>
#include <string>

#include "libs/base/status.h"
#include "libs/config/config.h"
#include "libs/crm/api/registry.h"
#include "libs/rpc/rpc.h"
#include "libs/service/service.h"

namespace dealstream::vault {

// Keys of the configuration; see README.md.
struct Config {
  std::string grpc_address = "0.0.0.0:8090";
  bool grpc_reflection = false;
  std::string store_url = "sqlite3:///var/lib/dealstream/vault.db";
  std::string root_key_file;
  // Empty: Policy::Default.
  std::string policy_file;
  int64_t workers = 8;
  int64_t logins_per_crm = 4;
  absl::Duration cache_ttl = absl::Minutes(1);
  bool allow_loopback = false;
  rpc::TlsFiles tls;

  void AddTo(config::Schema& schema);
  Status Check() const;
};

// Builds and starts the vault. `registry` outlives it.
Result<std::unique_ptr<service::Service>> Start(const Config& config,
                                                const crm::Registry& registry,
                                                service::Context& context);

}  // namespace dealstream::vault
