#include "services/cabinet/grpc_service.h"

#include <cstdlib>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "dealstream/cabinet/v1/cabinet.grpc.pb.h"
#include "dealstream/vault/v1/vault.grpc.pb.h"
#include "libs/obs/metrics.h"
#include "libs/rpc/rpc.h"
#include "services/cabinet/fakes.h"
#include "services/cabinet/test_folder.h"

namespace dealstream::cabinet {
namespace {

using testing::HasSubstr;

// A vault that knows one credential.
class FakeVault final : public vault::v1::VaultService::Service {
 public:
  grpc::Status GetCredential(grpc::ServerContext* context,
                             const vault::v1::GetCredentialRequest* request,
                             vault::v1::GetCredentialResponse* response) override {
    if (rpc::PeerName(*context) != "cabinet") {
      return {grpc::StatusCode::PERMISSION_DENIED, "who are you"};
    }
    if (request->id() != "crd_1") {
      return {grpc::StatusCode::NOT_FOUND, "no such credential"};
    }
    response->mutable_credential()->set_id("crd_1");
    response->mutable_credential()->set_account_id("acc");
    response->mutable_credential()->set_crm("acme");
    response->mutable_credential()->set_crm_account_id("acme:1");
    return grpc::Status::OK;
  }
};

// The cabinet and a vault as two servers over mTLS.
class GrpcServiceTest : public testing::Test {
 protected:
  GrpcServiceTest() {
    const std::string command =
        fmt::format("{}/tools/certs {} credential-vault cabinet dealctl crm-reader > /dev/null",
                    DEALSTREAM_SOURCE_DIR,
                    folder_.path());
    EXPECT_EQ(std::system(command.c_str()), 0);  // NOLINT(concurrency-mt-unsafe): no threads yet
    vault_server_ = Serve("credential-vault", vault_, vault::v1::VaultService::service_full_name());
    store_ = ValueOf(Store::Open(folder_.StoreUrl(), Clock::System()));
    progress_["acme"] = std::make_unique<ProgressTable>("acme", absl::Now(), metrics_);
    credentials_ = MakeVaultCredentials(
        rpc::MakeChannel(
            fmt::format("localhost:{}", vault_server_->port()), Tls("cabinet"), "credential-vault"),
        absl::Seconds(20),
        metrics_);
    cabinet_ = std::make_unique<Cabinet>(
        Cabinet::Options{.public_base_url = "https://x", .poll_interval = {}},
        Clock::System(),
        registry_,
        *store_,
        *credentials_,
        progress_,
        [] {});
    service_ = MakeGrpcService(*cabinet_, {"dealctl"});
    server_ = Serve("cabinet", *service_, GrpcServiceName());
  }
  ~GrpcServiceTest() override {
    server_->Shutdown(absl::Now() + absl::Seconds(5));
    vault_server_->Shutdown(absl::Now() + absl::Seconds(5));
  }

  rpc::TlsFiles Tls(const std::string& name) const {
    return {.ca_file = folder_.path() + "/ca.pem",
            .certificate_file = fmt::format("{}/{}.pem", folder_.path(), name),
            .key_file = fmt::format("{}/{}-key.pem", folder_.path(), name)};
  }
  std::unique_ptr<rpc::Server> Serve(const std::string& name,
                                     grpc::Service& service,
                                     const std::string& full_name) {
    return ValueOf(rpc::Server::Create({.address = "127.0.0.1:0",
                                        .tls = Tls(name),
                                        .reflection = false,
                                        .services = {&service},
                                        .service_names = {full_name}},
                                       metrics_));
  }
  std::unique_ptr<v1::CabinetService::Stub> StubOf(const std::string& caller) {
    return v1::CabinetService::NewStub(
        rpc::MakeChannel(fmt::format("localhost:{}", server_->port()), Tls(caller), "cabinet"));
  }
  static void Patience(grpc::ClientContext& context) {
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(20)));
    context.set_wait_for_ready(true);
  }
  grpc::Status Create(const std::string& credential,
                      const std::string& setting,
                      v1::CreateIntegrationResponse* response) {
    v1::CreateIntegrationRequest request;
    request.set_account_id("acc");
    request.set_crm("acme");
    request.set_purpose(integration::v1::PURPOSE_DEALS);
    request.set_credential_id(credential);
    v1::Setting& one = *request.add_settings();
    one.set_key(setting);
    one.set_value("1");
    grpc::ClientContext context;
    Patience(context);
    return StubOf("dealctl")->CreateIntegration(&context, request, response);
  }

  TestFolder folder_;
  obs::Metrics metrics_{"test", "1", "r"};
  crm::Registry registry_ = FakeRegistry();
  FakeVault vault_;
  std::unique_ptr<rpc::Server> vault_server_;
  std::unique_ptr<Store> store_;
  ProgressTables progress_;
  std::unique_ptr<Credentials> credentials_;
  std::unique_ptr<Cabinet> cabinet_;
  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<rpc::Server> server_;
};

TEST_F(GrpcServiceTest, CreatesWithTheVaultsWordAndShowsIt) {
  v1::CreateIntegrationResponse made;
  const grpc::Status status = Create("crd_1", "units", &made);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(made.view().integration().crm_account_id(), "acme:1");

  v1::GetIntegrationRequest request;
  request.set_id(made.view().integration().id());
  v1::GetIntegrationResponse got;
  grpc::ClientContext context;
  Patience(context);
  ASSERT_TRUE(StubOf("dealctl")->GetIntegration(&context, request, &got).ok());
  EXPECT_EQ(got.view().webhook_url(), made.view().webhook_url());
  EXPECT_THAT(
      metrics_.Render(),
      HasSubstr("dealstream_grpc_client_handled_total{code=\"OK\",method=\"GetCredential\"} 1"));
}

TEST_F(GrpcServiceTest, ErrorsKeepCodeAndWords) {
  v1::CreateIntegrationResponse made;
  grpc::Status status = Create("crd_1", "unitz", &made);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("unitz"));
  status = Create("crd_2", "units", &made);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("there is no credential crd_2"));
}

TEST_F(GrpcServiceTest, OnlyListedCallersMayCall) {
  grpc::ClientContext context;
  Patience(context);
  v1::ListIntegrationsResponse response;
  const grpc::Status status = StubOf("crm-reader")->ListIntegrations(&context, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(status.error_message(), HasSubstr("crm-reader"));
}

}  // namespace
}  // namespace dealstream::cabinet
