#pragma once

#include <memory>
#include <string>

#include "libs/config/config.h"
#include "libs/crm/api/registry.h"
#include "libs/kafka/kafka.h"
#include "libs/service/service.h"
#include "services/deal-normalizer/pipeline.h"

namespace dealstream::normalizer {

struct Config {
  void AddTo(config::Schema& schema);
  Status Check(const crm::Registry& registry) const;

  std::string crm;
  // Of this process among those of the CRM, kept over restarts: group.instance.id and the end of
  // transactional.id. Empty: no static membership, and the host's name for the latter.
  std::string instance;
  std::string state_path = "state";
  config::Bytes state_cache{64 << 20};
  int64_t batch_records = 1'000;
  absl::Duration batch_time = absl::Milliseconds(100);
  absl::Duration transaction_timeout = absl::Seconds(15);
  kafka::ClientConfig kafka;
};

// The Kafka of production.
Clients MakeClients(const Config& config, obs::Metrics& metrics);

// The registry outlives it.
Result<std::unique_ptr<service::Service>> StartService(const Config& config,
                                                       const crm::Registry& registry,
                                                       service::Context& context);

}  // namespace dealstream::normalizer
