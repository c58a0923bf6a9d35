#include "services/webhook-ingest/service.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <prometheus/gauge.h>
#include <sys/resource.h>

#include "dealstream/integration/v1/integration.pb.h"
#include "libs/kafka/kafka.h"
#include "libs/kafka/topics_watch.h"
#include "libs/obs/log.h"
#include "services/webhook-ingest/crms.h"
#include "services/webhook-ingest/door.h"
#include "services/webhook-ingest/key_order.h"
#include "services/webhook-ingest/server.h"
#include "services/webhook-ingest/token_table.h"

namespace dealstream::ingest {
namespace {

constexpr std::string_view kIntegrationsTopic = "integrations.v1";
constexpr std::string_view kTableCondition = "integrations";
constexpr std::string_view kBrokerCondition = "kafka";
// One tick of the server in so many looks at the brokers.
constexpr int kTicksPerLook = 10;

size_t ThreadsOf(const Config& config) {
  if (config.threads > 0) {
    return static_cast<size_t>(config.threads);
  }
  return std::clamp<size_t>(std::thread::hardware_concurrency(), 1, 16);
}

// As many descriptors as the system lets us have.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

class IngestImpl final : public Ingest {
 public:
  IngestImpl(const Config& config, const crm::Registry& registry, service::Context& context)
      : config_(config),
        context_(context),
        threads_(ThreadsOf(config)),
        crms_(registry, config.answer_margin, context.metrics),
        tokens_(threads_),
        order_(config.retry_hold),
        metrics_(context.metrics),
        in_flight_(context.metrics.GetGauge("http_requests_in_flight")),
        connections_(context.metrics.GetGauge("http_connections")),
        shared_{.clock = context.clock,
                .crms = crms_,
                .tokens = tokens_,
                .tokens_complete = tokens_complete_,
                .order = order_,
                .metrics = metrics_,
                .retry_after = config.retry_after} {}

  int port() const override { return server_->port(); }

  Status Run() {
    RaiseDescriptorLimit();
    context_.health.SetReady(kTableCondition, false, "integrations.v1 is being read");
    context_.health.SetReady(kBrokerCondition, false, "no broker answers");
    DEALSTREAM_ASSIGN_OR_RETURN(
        server_, Server::Create(MakeServerOptions(), shared_, context_.health, context_.metrics));
    obs::Info(
        "listening", "webhooks are taken", {{"port", server_->port()}, {"threads", threads_}});
    DEALSTREAM_ASSIGN_OR_RETURN(
        table_,
        kafka::TableReader::Create({.client = config_.kafka,
                                    .topic = std::string(kIntegrationsTopic),
                                    .on_record = [this](const auto& record) { OnRecord(record); },
                                    .on_caught_up = [this] { OnCaughtUp(); }},
                                   context_.metrics));
    topics_.emplace(config_.kafka, Topics(), context_.metrics);
    return absl::OkStatus();
  }

  void StartDraining() override { server_->StartDraining(); }

  Status Stop(absl::Time deadline) override {
    const Status status = server_->Stop(deadline);
    table_.reset();
    topics_.reset();
    return status;
  }

 private:
  std::vector<std::string> Topics() const {
    std::vector<std::string> topics = {std::string(kIntegrationsTopic)};
    for (uint32_t i = 0; crms_.IsKnown(i); ++i) {
      topics.push_back(crms_.at(i).topic);
    }
    return topics;
  }

  ServerOptions MakeServerOptions() {
    ServerOptions options;
    options.address = config_.address;
    options.threads = threads_;
    options.limits = {.max_head_bytes = static_cast<size_t>(config_.max_head.value),
                      .max_headers = static_cast<size_t>(config_.max_headers),
                      .max_body_bytes = static_cast<size_t>(config_.max_body.value)};
    options.max_connections = static_cast<size_t>(config_.max_connections);
    options.max_body_memory = static_cast<size_t>(config_.max_body_memory.value);
    options.max_in_flight = static_cast<size_t>(config_.max_in_flight);
    options.idle_timeout = config_.idle_timeout;
    options.head_timeout = config_.head_timeout;
    options.body_timeout = config_.body_timeout;
    options.write_timeout = config_.write_timeout;
    options.make_producer = [this](int notify_fd) { return MakeProducer(notify_fd); };
    options.on_tick = [this](const Server& server) { OnTick(server); };
    return options;
  }

  Result<std::unique_ptr<kafka::Producer>> MakeProducer(int notify_fd) {
    kafka::Producer::Options options;
    options.client = config_.kafka;
    options.linger_ms = config_.kafka.embedded_broker
                            ? 0
                            : static_cast<int>(config_.linger / absl::Milliseconds(1));
    // A record whose webhook was answered 503 meanwhile may still be stored: a repeat, which the
    // reader folds. It isn't tried for longer than anybody waits.
    options.delivery_timeout = crms_.LongestAnswer();
    options.max_queued_records = config_.max_in_flight;
    options.max_queued_bytes = std::max(config_.max_queued.value / static_cast<int64_t>(threads_),
                                        4 * config_.max_body.value);
    options.manual_poll = true;
    options.notify_fd = notify_fd;
    return kafka::Producer::Create(std::move(options), context_.metrics);
  }

  // On the table reader's thread.
  void OnRecord(const kafka::InRecord& record) {
    if (!record.value) {
      tokens_.Remove(record.key);
      return;
    }
    integration::v1::Integration integration;
    if (!integration.ParseFromString(*record.value) || integration.id() != record.key) {
      obs::Error("integration_unreadable",
                 "a record of integrations.v1 can't be read; the one before it stays in force",
                 {{"integration_id", record.key}, {"offset", record.offset}});
      return;
    }
    TokenTarget target;
    if (integration.webhook_token_sha256().size() != target.digest.size()) {
      tokens_.Remove(record.key);
      return;
    }
    std::memcpy(
        target.digest.data(), integration.webhook_token_sha256().data(), target.digest.size());
    target.integration_id = integration.id();
    target.crm_account_id = integration.crm_account_id();
    target.crm = crms_.IndexOf(integration.crm());
    target.active = integration.active();
    tokens_.Put(std::move(target));
  }

  void OnCaughtUp() {
    obs::Info(
        "integrations_read", "the table of integrations is complete", {{"count", tokens_.size()}});
    tokens_complete_.store(true, std::memory_order_release);
    context_.health.SetReady(kTableCondition, true);
  }

  // On the server's first thread.
  void OnTick(const Server& server) {
    if (++ticks_ % kTicksPerLook != 0) {
      return;
    }
    context_.health.SetReady(kBrokerCondition, server.Connected(), "no broker answers");
    in_flight_.Set(static_cast<double>(server.in_flight()));
    connections_.Set(static_cast<double>(server.connections()));
  }

  const Config& config_;
  service::Context& context_;
  const size_t threads_;
  const Crms crms_;
  TokenTable tokens_;
  std::atomic<bool> tokens_complete_{false};
  KeyOrder order_;
  const HttpMetrics metrics_;
  prometheus::Gauge& in_flight_;
  prometheus::Gauge& connections_;
  const DoorShared shared_;
  int ticks_ = 0;
  std::unique_ptr<Server> server_;
  // Writes the table, so it stops first.
  std::unique_ptr<kafka::TableReader> table_;
  std::optional<kafka::TopicsWatch> topics_;
};

}  // namespace

Result<std::unique_ptr<Ingest>> Ingest::Start(const Config& config,
                                              const crm::Registry& registry,
                                              service::Context& context) {
  auto ingest = std::make_unique<IngestImpl>(config, registry, context);
  DEALSTREAM_RETURN_IF_ERROR(ingest->Run());
  return std::unique_ptr<Ingest>(std::move(ingest));
}

}  // namespace dealstream::ingest
