#include "libs/rpc/rpc.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include <fmt/format.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/impl/codegen/client_unary_call.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/server_context.h>

#include "dealstream/vault/v1/vault.grpc.pb.h"
#include "libs/obs/metrics.h"

namespace dealstream::rpc {
namespace {

using vault::v1::GetCredentialRequest;
using vault::v1::GetCredentialResponse;
using vault::v1::VaultService;

// Answers with the caller's name, or with the failure that the id names.
class EchoVault final : public VaultService::CallbackService {
  grpc::ServerUnaryReactor* GetCredential(grpc::CallbackServerContext* context,
                                          const GetCredentialRequest* request,
                                          GetCredentialResponse* response) override {
    response->mutable_credential()->set_name(PeerName(*context));
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    Status status;
    if (request->id() == "limited") {
      status =
          WithRetryAfter(WithReason(absl::ResourceExhaustedError("slower, please"), "rate_limited"),
                         absl::Milliseconds(1500));
    }
    reactor->Finish(ToGrpc(status));
    return reactor;
  }
};

void Certs(const std::string& folder, const std::string& names = "") {
  const std::string command =
      fmt::format("{}/tools/certs {} {} > /dev/null", DEALSTREAM_SOURCE_DIR, folder, names);
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
}

TlsFiles FilesOf(const std::string& folder, const std::string& name) {
  return {fmt::format("{}/ca.pem", folder),
          fmt::format("{}/{}.pem", folder, name),
          fmt::format("{}/{}-key.pem", folder, name)};
}

class RpcTest : public testing::Test {
 protected:
  RpcTest() : metrics_("test", "0", "0") {
    std::string folder = testing::TempDir() + "dealstream_rpc_XXXXXX";
    folder_ = mkdtemp(folder.data());
    Certs(Folder("a"), "credential-vault crm-reader cabinet");
  }
  ~RpcTest() override {
    server_.reset();
    std::filesystem::remove_all(folder_);
  }

  std::string Folder(const std::string& name) const { return fmt::format("{}/{}", folder_, name); }

  void Serve(const std::string& address = "127.0.0.1:0") {
    ServerOptions options;
    options.address = address;
    options.tls = FilesOf(Folder("a"), "credential-vault");
    options.services = {&service_};
    options.service_names = {VaultService::service_full_name()};
    auto server = Server::Create(options, metrics_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  std::shared_ptr<grpc::Channel> Connect(const TlsFiles& files,
                                         const std::string& server_name = "credential-vault") {
    return MakeChannel(fmt::format("127.0.0.1:{}", server_->port()), files, server_name);
  }

  struct Answer {
    Status status;
    std::string peer;
  };
  static Answer Call(const std::shared_ptr<grpc::Channel>& channel,
                     const std::string& id = "",
                     bool wait_for_ready = false) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    context.set_wait_for_ready(wait_for_ready);
    GetCredentialRequest request;
    request.set_id(id);
    GetCredentialResponse response;
    const grpc::Status status =
        VaultService::NewStub(channel)->GetCredential(&context, request, &response);
    return {FromGrpc(status), response.credential().name()};
  }

  std::string folder_;
  obs::Metrics metrics_;
  EchoVault service_;
  std::unique_ptr<Server> server_;
};

TEST_F(RpcTest, TheCallerIsTheCommonNameOfItsCertificate) {
  Serve();
  const Answer answer = Call(Connect(FilesOf(Folder("a"), "crm-reader")));
  EXPECT_TRUE(answer.status.ok()) << answer.status;
  EXPECT_EQ(answer.peer, "crm-reader");
}

TEST_F(RpcTest, ACallerOfAnotherAuthorityIsRefused) {
  Serve();
  Certs(Folder("b"), "crm-reader");
  TlsFiles files = FilesOf(Folder("b"), "crm-reader");
  files.ca_file = FilesOf(Folder("a"), "").ca_file;
  EXPECT_EQ(Call(Connect(files)).status.code(), absl::StatusCode::kUnavailable);
}

TEST_F(RpcTest, ACallerWithoutACertificateIsRefused) {
  Serve();
  grpc::SslCredentialsOptions options;
  std::string ca(100'000, '\0');
  std::FILE* file = std::fopen(FilesOf(Folder("a"), "").ca_file.c_str(), "r");
  ca.resize(std::fread(ca.data(), 1, ca.size(), file));
  std::fclose(file);
  options.pem_root_certs = ca;
  const auto channel = grpc::CreateChannel(fmt::format("localhost:{}", server_->port()),
                                           grpc::SslCredentials(options));
  EXPECT_EQ(Call(channel).status.code(), absl::StatusCode::kUnavailable);
}

TEST_F(RpcTest, AServerOfAnotherNameIsNotCalled) {
  Serve();
  EXPECT_EQ(Call(Connect(FilesOf(Folder("a"), "crm-reader"), "cabinet")).status.code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(RpcTest, ReasonAndDelayCrossTheWire) {
  Serve();
  const Status status = Call(Connect(FilesOf(Folder("a"), "crm-reader")), "limited").status;
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "slower, please");
  EXPECT_EQ(ReasonOf(status), "rate_limited");
  EXPECT_EQ(RetryAfter(status), absl::Milliseconds(1500));
}

TEST_F(RpcTest, CallsAreCountedByMethodAndCode) {
  Serve();
  const auto channel = Connect(FilesOf(Folder("a"), "crm-reader"));
  Call(channel);
  Call(channel, "limited");
  server_->Shutdown(absl::Now() + absl::Seconds(5));
  const std::string text = metrics_.Render();
  for (const char* line :
       {R"(total{code="OK",method="dealstream.vault.v1.VaultService/GetCredential"} 1)",
        R"({code="RESOURCE_EXHAUSTED",method="dealstream.vault.v1.VaultService/GetCredential"} 1)",
        R"({code="OK",method="dealstream.vault.v1.VaultService/PutCredential"} 0)",
        R"(seconds_count{method="dealstream.vault.v1.VaultService/GetCredential"} 2)"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  }
}

TEST_F(RpcTest, AKeptChannelFindsARestartedServer) {
  Serve();
  const auto channel = Connect(FilesOf(Folder("a"), "crm-reader"));
  EXPECT_TRUE(Call(channel).status.ok());
  const std::string address = fmt::format("127.0.0.1:{}", server_->port());
  server_.reset();
  EXPECT_EQ(Call(channel).status.code(), absl::StatusCode::kUnavailable);
  Serve(address);
  EXPECT_TRUE(Call(channel, "", true).status.ok());
}

TEST_F(RpcTest, RenewedCertificatesAreTaken) {
  Serve();
  // All is made anew, authority included: only who has taken the new files can talk.
  std::filesystem::remove_all(Folder("a"));
  Certs(Folder("a"), "credential-vault crm-reader cabinet");
  Status status = absl::UnknownError("not called yet");
  const absl::Time deadline = absl::Now() + absl::Seconds(15);
  while (!status.ok() && absl::Now() < deadline) {
    status = Call(Connect(FilesOf(Folder("a"), "crm-reader"))).status;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(RpcTest, HealthFollowsSetServing) {
  Serve();
  const auto channel = Connect(FilesOf(Folder("a"), "crm-reader"));
  // grpc.health.v1: the request's field 1 is the service, the answer's field 1 the status.
  const auto check = [&](const std::string& service) {
    grpc::ClientContext context;
    const std::string bytes =
        service.empty() ? "" : fmt::format("\x0a{}{}", static_cast<char>(service.size()), service);
    const grpc::Slice slice(bytes);
    const grpc::ByteBuffer request(&slice, 1);
    grpc::ByteBuffer response;
    grpc::internal::RpcMethod method("/grpc.health.v1.Health/Check",
                                     grpc::internal::RpcMethod::NORMAL_RPC);
    EXPECT_TRUE(
        grpc::internal::BlockingUnaryCall(channel.get(), method, &context, request, &response)
            .ok());
    std::vector<grpc::Slice> slices;
    (void)response.Dump(&slices);
    std::string answer;
    for (const grpc::Slice& part : slices) {
      answer.append(reinterpret_cast<const char*>(part.begin()), part.size());
    }
    return answer;
  };
  const std::string serving = "\x08\x01";
  const std::string not_serving = "\x08\x02";
  EXPECT_EQ(check(""), not_serving);
  server_->SetServing(true);
  EXPECT_EQ(check(""), serving);
  EXPECT_EQ(check(VaultService::service_full_name()), serving);
  server_->SetServing(false);
  EXPECT_EQ(check(VaultService::service_full_name()), not_serving);
}

TEST_F(RpcTest, CreateSaysWhichFileIsWrong) {
  ServerOptions options;
  options.address = "127.0.0.1:0";
  options.tls = FilesOf(Folder("a"), "credential-vault");
  options.tls.key_file = FilesOf(Folder("a"), "cabinet").key_file;
  Status status = Server::Create(options, metrics_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("another key"), std::string::npos) << status;

  options.tls.certificate_file = "/nowhere.pem";
  status = Server::Create(options, metrics_).status();
  EXPECT_NE(status.message().find("tls.certificate_file: can't read /nowhere.pem"),
            std::string::npos)
      << status;
}

TEST_F(RpcTest, ATakenAddressIsAnError) {
  Serve();
  ServerOptions options;
  options.address = fmt::format("127.0.0.1:{}", server_->port());
  options.tls = FilesOf(Folder("a"), "credential-vault");
  EXPECT_EQ(Server::Create(options, metrics_).status().code(), absl::StatusCode::kUnavailable);
}

TEST(GrpcStatusTest, AStatusWithoutReasonStaysPlain) {
  const Status status = FromGrpc(ToGrpc(absl::NotFoundError("no such credential")));
  EXPECT_EQ(status, absl::NotFoundError("no such credential"));
  EXPECT_TRUE(FromGrpc(ToGrpc(absl::OkStatus())).ok());
}

}  // namespace
}  // namespace dealstream::rpc
