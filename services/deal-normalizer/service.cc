#include "services/deal-normalizer/service.h"

#include <array>
#include <utility>

#include "fmt/format.h"
#include <unistd.h>

#include "libs/kv/key_value.h"

namespace dealstream::normalizer {
namespace {

std::string HostName() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "0";
}

std::string ServiceName(const Config& config) {
  return fmt::format("deal-normalizer-{}", config.crm);
}

std::string TransactionalId(const Config& config) {
  return fmt::format(
      "{}-{}", ServiceName(config), config.instance.empty() ? HostName() : config.instance);
}

class NormalizerService final : public service::Service {
 public:
  NormalizerService(const Config& config,
                    const crm::Adapter& adapter,
                    std::unique_ptr<kv::Store> store,
                    service::Context& context)
      : state_(std::move(store)),
        pipeline_(adapter,
                  {.batch_records = static_cast<size_t>(config.batch_records),
                   .batch_time = config.batch_time},
                  MakeClients(config, context.metrics),
                  state_,
                  context.clock,
                  context.metrics,
                  context.health,
                  context.fail) {
    pipeline_.Start();
  }

  Status Stop(absl::Time deadline) override { return pipeline_.Stop(deadline); }

 private:
  StateStore state_;
  // Has threads: last.
  Pipeline pipeline_;
};

}  // namespace

void Config::AddTo(config::Schema& schema) {
  schema.Add("crm", &crm, "Id of the CRM whose records are read.", /*required=*/true);
  schema.Add("instance",
             &instance,
             "A name that this replica keeps over restarts (the pod's): after a crash it gets its "
             "partitions back at once, and ends the transaction that was left open. Empty: no "
             "static membership; the host's name in the transactional id.");
  schema.Add("state.path", &state_path, "Folder of the local state.", /*required=*/true);
  schema.Add("state.cache",
             &state_cache,
             config::Bytes{1 << 20},
             config::Bytes{int64_t{64} << 30},
             "Memory for what is read of the local state.");
  schema.Add("batch.records", &batch_records, 1, 100'000, "Most records in one transaction.");
  schema.Add("batch.time",
             &batch_time,
             absl::Milliseconds(1),
             absl::Seconds(10),
             "Most time that records are gathered for one transaction.");
  schema.Add("transaction.timeout",
             &transaction_timeout,
             absl::Seconds(1),
             absl::Minutes(15),
             "After that the brokers abort a transaction nobody ends; until then it holds back "
             "everyone who reads committed records.");
  kafka::AddConfig(schema, &kafka);
}

Status Config::Check(const crm::Registry& registry) const {
  if (registry.Find(crm) == nullptr) {
    std::string known;
    for (const auto& adapter : registry.adapters()) {
      known += fmt::format("{}{}", known.empty() ? "" : ", ", adapter->id());
    }
    return absl::InvalidArgumentError(fmt::format("crm: got \"{}\", want one of: {}", crm, known));
  }
  return absl::OkStatus();
}

Clients MakeClients(const Config& config, obs::Metrics& metrics) {
  kafka::ClientConfig client = config.kafka;
  if (client.client_id.empty()) {
    client.client_id = TransactionalId(config);
  }
  Clients clients;
  clients.make_consumer = [config, client, &metrics](Clients::OnAssigned on_assigned,
                                                     Clients::OnRevoked on_revoked) {
    return kafka::Consumer::Create({.client = client,
                                    .group = fmt::format("deal-normalizer.{}", config.crm),
                                    .topics = {Topics(config.crm).records},
                                    .instance_id = config.instance,
                                    .on_assigned = std::move(on_assigned),
                                    .on_revoked = std::move(on_revoked)},
                                   metrics);
  };
  clients.make_producer = [config, client, &metrics] {
    return kafka::TransactionalProducer::Create({.client = client,
                                                 .transactional_id = TransactionalId(config),
                                                 .transaction_timeout = config.transaction_timeout},
                                                metrics);
  };
  clients.read_range = [client](kafka::ReadRangeOptions options) {
    options.client = client;
    return kafka::ReadRange(options);
  };
  clients.partition_counts = [client](const std::vector<std::string>& topics) {
    return kafka::PartitionCounts(client, topics);
  };
  return clients;
}

Result<std::unique_ptr<service::Service>> StartService(const Config& config,
                                                       const crm::Registry& registry,
                                                       service::Context& context) {
  DEALSTREAM_RETURN_IF_ERROR(config.Check(registry));
  DEALSTREAM_ASSIGN_OR_RETURN(
      std::unique_ptr<kv::Store> store,
      kv::OpenRocks({.path = fmt::format("{}/{}", config.state_path, config.crm),
                     .cache_bytes = config.state_cache.value}));
  return std::make_unique<NormalizerService>(
      config, *registry.Find(config.crm), std::move(store), context);
}

}  // namespace dealstream::normalizer
