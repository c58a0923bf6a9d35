#include "services/credential-vault/service.h"

#include <map>
#include <utility>

#include <grpcpp/impl/codegen/service_type.h>
#include <soci/soci.h>

#include "libs/base/strings.h"
#include "libs/http/curl_transport.h"
#include "libs/obs/log.h"
#include "services/credential-vault/audit.h"
#include "services/credential-vault/grpc_service.h"
#include "services/credential-vault/issuer.h"
#include "services/credential-vault/keeper.h"
#include "services/credential-vault/metrics.h"
#include "services/credential-vault/policy.h"
#include "services/credential-vault/root_keys.h"
#include "services/credential-vault/store.h"
#include "services/credential-vault/vault.h"
#include "services/credential-vault/worker_pool.h"

namespace dealstream::vault {
namespace {

constexpr size_t kMostWaiting = 10'000;

Result<Policy> MakePolicy(const Config& config) {
  return config.policy_file.empty() ? Policy::Default() : Policy::Load(config.policy_file);
}

// The parts in the order of building; destroyed in reverse.
class VaultProcess final : public service::Service {
 public:
  VaultProcess(const Config& config, const crm::Registry& registry, service::Context& context)
      : config_(config), registry_(registry), context_(context) {}

  Status Start();

  void StartDraining() override { server_->SetServing(false); }

  Status Stop(absl::Time deadline) override {
    // Calls that wait for a CRM which hangs would outlast the deadline one by one.
    issuer_->StopLogins();
    server_->Shutdown(deadline);
    keeper_.reset();
    // Calls under way end before the audit's last rows are written.
    workers_.reset();
    logins_.clear();
    audit_.reset();
    return LogAuditHead("audit_head_at_stop");
  }

 private:
  Status MakeTransports();
  Status LogAuditHead(std::string_view event);

  const Config config_;
  const crm::Registry& registry_;
  service::Context& context_;

  std::unique_ptr<storage::Database> database_;
  std::unique_ptr<RootKeyFile> root_keys_;
  std::unique_ptr<Policy> policy_;
  std::unique_ptr<VaultMetrics> metrics_;
  std::map<std::string, std::unique_ptr<http::Transport>, std::less<>> transports_;
  std::unique_ptr<AccessIssuer> issuer_;
  std::unique_ptr<Vault> vault_;
  std::unique_ptr<grpc::Service> grpc_service_;

  // Threads last: they use all above.
  std::unique_ptr<AuditWriter> audit_;
  std::map<std::string, std::unique_ptr<WorkerPool>, std::less<>> logins_;
  // Hand over to the logins: they go first.
  std::unique_ptr<WorkerPool> workers_;
  std::unique_ptr<Keeper> keeper_;
  std::unique_ptr<rpc::Server> server_;
};

Status VaultProcess::Start() {
  DEALSTREAM_ASSIGN_OR_RETURN(Policy policy, MakePolicy(config_));
  policy_ = std::make_unique<Policy>(std::move(policy));
  DEALSTREAM_ASSIGN_OR_RETURN(root_keys_, RootKeyFile::Open(config_.root_key_file));
  DEALSTREAM_ASSIGN_OR_RETURN(database_, storage::Database::Open(config_.store_url));
  DEALSTREAM_RETURN_IF_ERROR(database_->Migrate(Migrations()));
  DEALSTREAM_RETURN_IF_ERROR(LogAuditHead("audit_head_at_start"));
  DEALSTREAM_RETURN_IF_ERROR(MakeTransports());

  metrics_ = std::make_unique<VaultMetrics>(context_.metrics, registry_);
  audit_ = std::make_unique<AuditWriter>(*database_, context_.clock, [this](const Status& status) {
    context_.health.SetReady("audit", status.ok(), ToStd(status.message()));
    if (!status.ok()) {
      obs::Error("audit_not_written", ToStd(status.message()));
    }
  });
  context_.health.SetReady("audit", true);
  workers_ = std::make_unique<WorkerPool>(static_cast<int>(config_.workers), kMostWaiting);
  for (const auto& adapter : registry_.adapters()) {
    logins_[std::string(adapter->id())] =
        std::make_unique<WorkerPool>(static_cast<int>(config_.logins_per_crm), kMostWaiting);
  }
  issuer_ = std::make_unique<AccessIssuer>(
      AccessIssuer::Options{.cache_ttl = config_.cache_ttl,
                            .allow_loopback = config_.allow_loopback},
      context_.clock,
      registry_,
      *database_,
      *root_keys_,
      [this](std::string_view crm) -> http::Transport& { return *transports_.find(crm)->second; },
      *workers_,
      [this](std::string_view crm) -> WorkerPool& { return *logins_.find(crm)->second; },
      *metrics_);
  vault_ = std::make_unique<Vault>(Vault::Parts{.clock = context_.clock,
                                                .registry = registry_,
                                                .database = *database_,
                                                .root_keys = *root_keys_,
                                                .policy = *policy_,
                                                .audit = *audit_,
                                                .issuer = *issuer_,
                                                .metrics = *metrics_,
                                                .allow_loopback = config_.allow_loopback});
  keeper_ = std::make_unique<Keeper>(Keeper::Parts{.clock = context_.clock,
                                                   .database = *database_,
                                                   .root_keys = *root_keys_,
                                                   .issuer = *issuer_,
                                                   .workers = *workers_,
                                                   .metrics = *metrics_,
                                                   .health = context_.health});
  grpc_service_ = MakeGrpcService(*vault_, *workers_);
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

// One for each CRM: each may reach its own hosts only.
Status VaultProcess::MakeTransports() {
  for (const auto& adapter : registry_.adapters()) {
    http::CurlOptions options;
    options.allowed_host_suffixes = adapter->AllowedHostSuffixes();
    options.allow_loopback = config_.allow_loopback;
    DEALSTREAM_ASSIGN_OR_RETURN(transports_[std::string(adapter->id())],
                                http::CurlTransport::Create(options));
  }
  return absl::OkStatus();
}

Status VaultProcess::LogAuditHead(std::string_view event) {
  AuditHead head;
  DEALSTREAM_RETURN_IF_ERROR(database_->Read([&](soci::session& session) -> Status {
    head = ReadAuditHead(session);
    return absl::OkStatus();
  }));
  obs::Info(event,
            "`vault-tool verify-audit` can be told to expect this head.",
            {{"seq", head.seq}, {"hash", head.hash}});
  return absl::OkStatus();
}

}  // namespace

void Config::AddTo(config::Schema& schema) {
  schema.Add("grpc.address", &grpc_address, "Where VaultService is served, mTLS.", true);
  schema.Add("development.grpc_reflection",
             &grpc_reflection,
             "Development only: serve gRPC reflection, which tells callers all there is to call.");
  schema.Add("store.url", &store_url, "The database: sqlite3:///path/to/file.", true);
  schema.Add(
      "root_key.file",
      &root_key_file,
      "File of root keys, mode 0600; `vault-tool new-root-key` makes it and adds to it. Watched.",
      true);
  schema.Add(
      "policy.file", &policy_file, "YAML file of who may call what; empty: the built-in policy.");
  schema.Add("workers", &workers, 1, 256, "Threads for what waits for the store.");
  schema.Add("logins_per_crm",
             &logins_per_crm,
             1,
             64,
             "Threads for the logins of each CRM; a CRM that hangs holds up its own only.");
  schema.Add("cache.ttl",
             &cache_ttl,
             absl::Seconds(1),
             absl::Minutes(5),
             "How long access that was made is given again without reading the store.");
  schema.Add("development.allow_loopback",
             &allow_loopback,
             "Development only: a credential's base_url may be loopback, by http too.");
  rpc::AddTlsConfig(schema, &tls);
}

Status Config::Check() const { return MakePolicy(*this).status(); }

Result<std::unique_ptr<service::Service>> Start(const Config& config,
                                                const crm::Registry& registry,
                                                service::Context& context) {
  auto process = std::make_unique<VaultProcess>(config, registry, context);
  DEALSTREAM_RETURN_IF_ERROR(process->Start());
  return process;
}

}  // namespace dealstream::vault
