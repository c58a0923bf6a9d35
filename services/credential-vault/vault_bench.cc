// Access over mutual TLS on loopback, client and server in one process: an answer of the kept
// access one at a time, and with many calls under way (CPU is that of both sides together). Beside
// it the bound: the same calls of a service that answers them with the same bytes and does nothing.
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <thread>

#include "absl/time/clock.h"
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include "dealstream/vault/v1/vault.grpc.pb.h"
#include "libs/obs/metrics.h"
#include "libs/rpc/rpc.h"
#include "services/credential-vault/acme.h"
#include "services/credential-vault/grpc_service.h"
#include "services/credential-vault/store.h"
#include "services/credential-vault/vault.h"

namespace dealstream::vault {
namespace {

namespace fs = std::filesystem;
constexpr int kCredentials = 1000;

template <typename T>
T ValueOf(Result<T> result) {
  if (!result.ok()) {
    fmt::print(stderr, "{}\n", result.status().ToString());
    std::abort();
  }
  return *std::move(result);
}

crm::Registry MakeRegistry(const AcmeCredential& credential) {
  std::vector<std::unique_ptr<crm::Adapter>> adapters;
  adapters.push_back(std::make_unique<AcmeAdapter>(credential));
  return crm::Registry(std::move(adapters));
}

// Answers every call with the same bytes.
class BareService final
    : public v1::VaultService::WithRawCallbackMethod_IssueAccess<v1::VaultService::Service> {
 public:
  void SetAnswer(const v1::IssueAccessResponse& answer) {
    const grpc::Slice slice(answer.SerializeAsString());
    answer_ = grpc::ByteBuffer(&slice, 1);
  }

  grpc::ServerUnaryReactor* IssueAccess(grpc::CallbackServerContext* context,
                                        const grpc::ByteBuffer*,
                                        grpc::ByteBuffer* response) override {
    *response = answer_;
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  grpc::ByteBuffer answer_;
};

v1::IssueAccessResponse AskOne(v1::VaultService::Stub& stub, const std::string& id) {
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  v1::IssueAccessRequest request;
  request.set_credential_id(id);
  v1::IssueAccessResponse response;
  const grpc::Status status = stub.IssueAccess(&context, request, &response);
  if (!status.ok() || response.access().headers_size() != 1) {
    fmt::print(stderr, "IssueAccess: {}\n", status.error_message());
    std::abort();
  }
  return response;
}

enum class Answerer { kVault, kBare };

// A whole vault with credentials, in a folder of its own, and the bare service beside it.
class Bed {
 public:
  Bed() {
    const std::string certs =
        fmt::format("{}/tools/certs {}/certs credential-vault crm-reader > /dev/null",
                    DEALSTREAM_SOURCE_DIR,
                    folder_);
    if (std::system(certs.c_str()) != 0) {  // NOLINT(concurrency-mt-unsafe): no other thread yet.
      std::abort();
    }
    if (!database_->Migrate(Migrations()).ok()) {
      std::abort();
    }
    server_ = Serve(*service_);
    bare_server_ = Serve(bare_service_);
    for (int i = 0; i < kCredentials; ++i) {
      v1::PutCredentialRequest request;
      request.set_account_id("tenant");
      request.set_crm("acme");
      request.set_name("bench");
      for (const auto& [name, value] :
           {std::pair{"login", "anna@romashka"}, std::pair{"password", "correct horse battery"}}) {
        v1::CredentialField* field = request.add_fields();
        field->set_name(name);
        field->set_value(value);
      }
      ids_.push_back(ValueOf(vault_.PutCredential("dealctl", request)).id());
    }
    bare_service_.SetAnswer(AskOne(*Connect(Answerer::kVault), ids_.front()));
  }
  ~Bed() {
    for (auto* server : {&server_, &bare_server_}) {
      (*server)->Shutdown(absl::Now() + absl::Seconds(5));
      server->reset();
    }
    fs::remove_all(folder_);
  }
  Bed(const Bed&) = delete;
  Bed& operator=(const Bed&) = delete;

  std::unique_ptr<v1::VaultService::Stub> Connect(Answerer answerer) const {
    const rpc::Server& server = answerer == Answerer::kVault ? *server_ : *bare_server_;
    return v1::VaultService::NewStub(rpc::MakeChannel(
        fmt::format("127.0.0.1:{}", server.port()), Tls("crm-reader"), "credential-vault"));
  }
  const std::string& Id(size_t i) const { return ids_[i % ids_.size()]; }

 private:
  rpc::TlsFiles Tls(const std::string& name) const {
    return {.ca_file = folder_ + "/certs/ca.pem",
            .certificate_file = fmt::format("{}/certs/{}.pem", folder_, name),
            .key_file = fmt::format("{}/certs/{}-key.pem", folder_, name)};
  }
  std::unique_ptr<rpc::Server> Serve(grpc::Service& service) {
    return ValueOf(rpc::Server::Create({.address = "127.0.0.1:0",
                                        .tls = Tls("credential-vault"),
                                        .reflection = false,
                                        .services = {&service},
                                        .service_names = {GrpcServiceName()}},
                                       metrics_));
  }
  static std::string MakeFolder() {
    std::string pattern = (fs::temp_directory_path() / "vault-bench-XXXXXX").string();
    return mkdtemp(pattern.data());
  }
  std::unique_ptr<RootKeyFile> MakeKeys() const {
    const std::string path = folder_ + "/root-keys";
    ValueOf(AddRootKey(path));
    return ValueOf(RootKeyFile::Open(path));
  }

  const std::string folder_ = MakeFolder();
  AcmeCredential credential_;
  crm::Registry registry_ = MakeRegistry(credential_);
  Clock& clock_ = Clock::System();
  obs::Metrics metrics_{"bench", "1", "r"};
  VaultMetrics vault_metrics_{metrics_, registry_};
  const Policy policy_ = Policy::Default();
  NoTransport transport_;
  std::unique_ptr<RootKeyFile> root_keys_ = MakeKeys();
  std::unique_ptr<storage::Database> database_ =
      ValueOf(storage::Database::Open(fmt::format("sqlite3://{}/vault.db", folder_)));
  AuditWriter audit_{*database_, clock_, [](const Status&) {}};
  WorkerPool workers_{4, 10'000};
  AccessIssuer issuer_{AccessIssuer::Options{},
                       clock_,
                       registry_,
                       *database_,
                       *root_keys_,
                       [this](std::string_view) -> http::Transport& { return transport_; },
                       workers_,
                       [this](std::string_view) -> WorkerPool& { return workers_; },
                       vault_metrics_};
  Vault vault_{{.clock = clock_,
                .registry = registry_,
                .database = *database_,
                .root_keys = *root_keys_,
                .policy = policy_,
                .audit = audit_,
                .issuer = issuer_,
                .metrics = vault_metrics_,
                .allow_loopback = false}};
  std::unique_ptr<grpc::Service> service_ = MakeGrpcService(vault_, workers_);
  BareService bare_service_;
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<rpc::Server> bare_server_;
  std::vector<std::string> ids_;
};

// Keeps a number of calls under way until `total` are answered.
class Crowd {
 public:
  Crowd(const Bed& bed, std::vector<std::unique_ptr<v1::VaultService::Stub>>& stubs, int total)
      : bed_(bed), stubs_(stubs), left_(total), unanswered_(total) {}

  void Run(int at_once) {
    for (int i = 0; i < at_once; ++i) {
      Next(static_cast<size_t>(i));
    }
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return unanswered_ == 0; });
  }

 private:
  struct Call {
    grpc::ClientContext context;
    v1::IssueAccessRequest request;
    v1::IssueAccessResponse response;
  };
  void Next(size_t lane) {
    const int number = left_.fetch_sub(1);
    if (number <= 0) {
      return;
    }
    auto call = std::make_shared<Call>();
    call->request.set_credential_id(bed_.Id(static_cast<size_t>(number)));
    stubs_[lane % stubs_.size()]->async()->IssueAccess(
        &call->context, &call->request, &call->response, [this, call, lane](grpc::Status status) {
          if (!status.ok()) {
            fmt::print(stderr, "IssueAccess: {}\n", status.error_message());
            std::abort();
          }
          Next(lane);
          const std::lock_guard lock(mutex_);
          if (--unanswered_ == 0) {
            done_.notify_one();
          }
        });
  }

  const Bed& bed_;
  std::vector<std::unique_ptr<v1::VaultService::Stub>>& stubs_;
  std::atomic<int> left_;
  std::mutex mutex_;
  std::condition_variable done_;
  int unanswered_;
};

void OneAtATime(benchmark::State& state, Answerer answerer) {
  const Bed bed;
  const auto stub = bed.Connect(answerer);
  for (size_t i = 0; i < kCredentials; ++i) {
    AskOne(*stub, bed.Id(i));
  }
  size_t i = 0;
  for (auto iteration : state) {
    AskOne(*stub, bed.Id(i++));
  }
  state.SetItemsProcessed(state.iterations());
}
void IssueAccessOneAtATime(benchmark::State& state) { OneAtATime(state, Answerer::kVault); }
void BareCallOneAtATime(benchmark::State& state) { OneAtATime(state, Answerer::kBare); }
BENCHMARK(IssueAccessOneAtATime)
    ->MeasureProcessCPUTime()
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(BareCallOneAtATime)
    ->MeasureProcessCPUTime()
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

// Arguments: calls at once, connections.
void AtOnce(benchmark::State& state, Answerer answerer) {
  constexpr int kBatch = 20'000;
  const Bed bed;
  std::vector<std::unique_ptr<v1::VaultService::Stub>> stubs;
  for (int i = 0; i < state.range(1); ++i) {
    stubs.push_back(bed.Connect(answerer));
    for (size_t id = 0; id < kCredentials; ++id) {
      AskOne(*stubs.back(), bed.Id(id));
    }
  }
  for (auto iteration : state) {
    Crowd(bed, stubs, kBatch).Run(static_cast<int>(state.range(0)));
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
}
void IssueAccessAtOnce(benchmark::State& state) { AtOnce(state, Answerer::kVault); }
void BareCallAtOnce(benchmark::State& state) { AtOnce(state, Answerer::kBare); }
BENCHMARK(IssueAccessAtOnce)
    ->Args({128, 1})
    ->Args({128, 4})
    ->MeasureProcessCPUTime()
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BareCallAtOnce)
    ->Args({128, 4})
    ->MeasureProcessCPUTime()
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace dealstream::vault
