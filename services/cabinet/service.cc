#include "services/cabinet/service.h"

#include <optional>
#include <utility>

#include <fmt/format.h>
#include <grpcpp/impl/codegen/service_type.h>

#include "libs/base/strings.h"
#include "libs/kafka/topics_watch.h"
#include "libs/obs/log.h"
#include "services/cabinet/cabinet.h"
#include "services/cabinet/credentials.h"
#include "services/cabinet/grpc_service.h"
#include "services/cabinet/housekeeper.h"
#include "services/cabinet/outbox.h"
#include "services/cabinet/progress.h"
#include "services/cabinet/schedule.h"
#include "services/cabinet/store.h"

namespace dealstream::cabinet {
namespace {

std::vector<std::string> CrmsOf(const Config& config, const crm::Registry& registry) {
  if (!config.crms.empty()) {
    return config.crms;
  }
  std::vector<std::string> crms;
  for (const auto& adapter : registry.adapters()) {
    crms.emplace_back(adapter->id());
  }
  return crms;
}

// The parts in the order of building; destroyed in reverse.
class CabinetProcess final : public service::Service {
 public:
  CabinetProcess(const Config& config, const crm::Registry& registry, service::Context& context)
      : config_(config), registry_(registry), context_(context) {}

  Status Start();

  void StartDraining() override { server_->SetServing(false); }

  Status Stop(absl::Time deadline) override {
    // First those who write to the outbox, then the one that empties it. Kafka being away is no
    // reason to call the stop unclean: what is left is in the store.
    server_->Shutdown(deadline);
    loop_.reset();
    const Status published = publisher_->Stop(deadline - absl::Seconds(1));
    if (!published.ok()) {
      obs::Warn("outbox_left", ToStd(published.message()));
    }
    topics_.reset();
    return absl::OkStatus();
  }

 private:
  Status FollowTopics();

  Config config_;
  const crm::Registry& registry_;
  service::Context& context_;

  std::unique_ptr<Store> store_;
  ProgressTables progress_;
  PublishedVersions published_;
  std::unique_ptr<kafka::Producer> producer_;
  std::unique_ptr<Credentials> credentials_;
  std::unique_ptr<OutboxPublisher> publisher_;
  std::unique_ptr<Cabinet> cabinet_;
  std::unique_ptr<Housekeeper> housekeeper_;
  std::unique_ptr<grpc::Service> grpc_service_;

  // Threads and subscriptions last: they use all above.
  std::vector<std::unique_ptr<kafka::TableReader>> readers_;
  std::optional<kafka::TopicsWatch> topics_;
  std::unique_ptr<HousekeepingLoop> loop_;
  std::unique_ptr<rpc::Server> server_;
};

Status CabinetProcess::Start() {
  if (config_.kafka.client_id.empty()) {
    config_.kafka.client_id = "cabinet";
  }
  DEALSTREAM_ASSIGN_OR_RETURN(store_, Store::Open(config_.store_url, context_.clock));
  DEALSTREAM_ASSIGN_OR_RETURN(
      producer_,
      kafka::Producer::Create({.client = config_.kafka, .linger_ms = 0}, context_.metrics));
  for (const std::string& crm : CrmsOf(config_, registry_)) {
    progress_[crm] = std::make_unique<ProgressTable>(crm, context_.clock.Now(), context_.metrics);
  }
  credentials_ = MakeVaultCredentials(
      rpc::MakeChannel(config_.vault_address, config_.tls, config_.vault_server_name),
      config_.vault_timeout,
      context_.metrics);
  publisher_ = std::make_unique<OutboxPublisher>(
      OutboxPublisher::Options{}, *store_, *producer_, context_.health, context_.metrics);
  const auto wake = [this] { publisher_->Wake(); };
  cabinet_ = std::make_unique<Cabinet>(Cabinet::Options{.public_base_url = config_.public_base_url,
                                                        .poll_interval = config_.poll_interval},
                                       context_.clock,
                                       registry_,
                                       *store_,
                                       *credentials_,
                                       progress_,
                                       wake);
  obs::Health::Heartbeat& heartbeat = context_.health.AddLoop("housekeeping");
  housekeeper_ =
      std::make_unique<Housekeeper>(Housekeeper::Options{.poll_interval = config_.poll_interval},
                                    context_.clock,
                                    registry_,
                                    *store_,
                                    progress_,
                                    published_,
                                    wake,
                                    heartbeat,
                                    context_.metrics);
  context_.health.SetReady("store", true);
  DEALSTREAM_RETURN_IF_ERROR(FollowTopics());
  loop_ = std::make_unique<HousekeepingLoop>(*housekeeper_, *store_, context_.health, heartbeat);
  grpc_service_ = MakeGrpcService(*cabinet_, config_.callers);
  DEALSTREAM_ASSIGN_OR_RETURN(server_,
                              rpc::Server::Create({.address = config_.grpc_address,
                                                   .tls = config_.tls,
                                                   .reflection = config_.grpc_reflection,
                                                   .services = {grpc_service_.get()},
                                                   .service_names = {GrpcServiceName()}},
                                                  context_.metrics));
  server_->SetServing(true);
  obs::Info("grpc_listening", "the gRPC listener is up", {{"port", server_->port()}});
  return absl::OkStatus();
}

Status CabinetProcess::FollowTopics() {
  std::vector<std::string> topics = {std::string(kIntegrationsTopic)};
  for (const auto& [crm, table] : progress_) {
    const crm::Adapter* adapter = registry_.Find(crm);
    if (adapter->record_source() == nullptr || !adapter->record_source()->CanList()) {
      continue;
    }
    topics.push_back(PollTopic(crm));
    topics.push_back(CursorTopic(crm));
    DEALSTREAM_ASSIGN_OR_RETURN(
        auto reader,
        kafka::TableReader::Create(
            {.client = config_.kafka,
             .topic = CursorTopic(crm),
             .on_record =
                 [table = table.get()](const kafka::InRecord& record) { table->Apply(record); },
             .on_caught_up = [] {}},
            context_.metrics));
    readers_.push_back(std::move(reader));
  }
  DEALSTREAM_ASSIGN_OR_RETURN(
      auto reader,
      kafka::TableReader::Create(
          {.client = config_.kafka,
           .topic = std::string(kIntegrationsTopic),
           .on_record = [this](const kafka::InRecord& record) { published_.Apply(record); },
           .on_caught_up = [this] { published_.SetCaughtUp(); }},
          context_.metrics));
  readers_.push_back(std::move(reader));
  topics_.emplace(config_.kafka, std::move(topics), context_.metrics);
  return absl::OkStatus();
}

}  // namespace

void Config::AddTo(config::Schema& schema) {
  schema.Add("grpc.address", &grpc_address, "Where CabinetService is served, mTLS.", true);
  schema.Add("development.grpc_reflection",
             &grpc_reflection,
             "Development only: serve gRPC reflection, which tells callers all there is to call.");
  schema.Add("store.url",
             &store_url,
             "The database: sqlite3:///path/to/file. Holds the webhook tokens: keep its folder "
             "closed to others.",
             true);
  schema.Add("vault.address", &vault_address, "credential-vault's gRPC listener, host:port.", true);
  schema.Add(
      "vault.server_name", &vault_server_name, "Name that the vault's certificate bears.", true);
  schema.Add("vault.timeout",
             &vault_timeout,
             absl::Milliseconds(10),
             absl::Minutes(1),
             "For one call to the vault.");
  schema.Add(
      "public_base_url",
      &public_base_url,
      "Scheme, host and path prefix that CRMs reach webhook-ingest by; webhook URLs are this "
      "and /hook/<token>.",
      true);
  schema.Add("callers", &callers, "Common names of the certificates that may call.");
  schema.Add("crms", &crms, "Ids of the CRMs that are served; empty: all of the build.");
  schema.Add("poll.interval",
             &poll_interval,
             absl::ZeroDuration(),
             absl::Hours(24 * 31),
             "How often each integration is swept; 0: as its CRM's adapter says. For tests.");
  kafka::AddConfig(schema, &kafka);
  rpc::AddTlsConfig(schema, &tls);
}

Status Config::Check(const crm::Registry& registry) const {
  for (const std::string& crm : crms) {
    if (registry.Find(crm) == nullptr) {
      std::vector<std::string_view> known;
      for (const auto& adapter : registry.adapters()) {
        known.push_back(adapter->id());
      }
      return absl::InvalidArgumentError(
          fmt::format("\"crms\": found \"{}\", expected some of: {}", crm, fmt::join(known, ", ")));
    }
  }
  if (!public_base_url.starts_with("http://") && !public_base_url.starts_with("https://")) {
    return absl::InvalidArgumentError(fmt::format(
        "\"public_base_url\": found \"{}\", expected http://… or https://…", public_base_url));
  }
  if (public_base_url.ends_with("/")) {
    return absl::InvalidArgumentError(fmt::format(
        "\"public_base_url\": found \"{}\", expected no slash at the end", public_base_url));
  }
  if (poll_interval > absl::ZeroDuration() && poll_interval < absl::Seconds(1)) {
    return absl::InvalidArgumentError(
        fmt::format("\"poll.interval\": found \"{}\", expected 0 or at least 1s",
                    absl::FormatDuration(poll_interval)));
  }
  return absl::OkStatus();
}

Result<std::unique_ptr<service::Service>> Start(const Config& config,
                                                const crm::Registry& registry,
                                                service::Context& context) {
  auto process = std::make_unique<CabinetProcess>(config, registry, context);
  DEALSTREAM_RETURN_IF_ERROR(process->Start());
  return process;
}

}  // namespace dealstream::cabinet
