#pragma once

#include <memory>
#include <string>

#include "libs/config/config.h"
#include "libs/crm/api/registry.h"
#include "libs/kafka/kafka.h"
#include "libs/rpc/rpc.h"
#include "libs/service/service.h"
#include "services/crm-reader/access_cache.h"
#include "services/crm-reader/reader.h"

namespace dealstream::reader {

// The service's own keys.
struct Config {
  std::string crm;
  // group.instance.id; empty: none.
  std::string instance;
  kafka::ClientConfig kafka;
  int64_t linger_ms = 5;
  std::string vault_address;
  std::string vault_name = "credential-vault";
  rpc::TlsFiles tls;
  bool allow_loopback = false;
  int64_t workers = 32;
  config::Bytes most_bytes{128 << 20};
  int64_t most_items = 20'000;
  int64_t most_items_of_lane = 1'000;
  Reader::Options reader;
  AccessCache::Options access;
  int64_t max_attempts = 12;
  int64_t breaker_failures = 5;

  void AddTo(config::Schema& schema);
  // What single keys can't show.
  Status Check(const crm::Registry& registry) const;
};

// Builds the real things around Reader and starts its threads: one that polls and commits, and
// workers. Becomes ready by itself. `registry` outlives the service.
Result<std::unique_ptr<service::Service>> StartReader(const Config& config,
                                                      const crm::Registry& registry,
                                                      service::Context& context);

}  // namespace dealstream::reader
