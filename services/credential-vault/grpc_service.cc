#include "services/credential-vault/grpc_service.h"

#include <utility>

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include "dealstream/vault/v1/vault.grpc.pb.h"
#include "libs/base/secret.h"
#include "libs/rpc/rpc.h"

namespace dealstream::vault {
namespace {

using grpc::ByteBuffer;
using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

using Base = v1::VaultService::WithRawCallbackMethod_IssueAccess<
    v1::VaultService::WithCallbackMethod_PutCredential<
        v1::VaultService::WithCallbackMethod_ListCredentials<
            v1::VaultService::WithCallbackMethod_GetCredential<
                v1::VaultService::WithCallbackMethod_RotateCredential<
                    v1::VaultService::WithCallbackMethod_DeleteCredential<
                        v1::VaultService::Service>>>>>>;

// The issued bytes themselves, kept by the slice until gRPC has sent them.
ByteBuffer ToBuffer(const AccessIssuer::Access& access) {
  const std::string_view bytes = access->response.Reveal(RevealToken());
  auto* holder =
      new AccessIssuer::Access(access);  // NOLINT(cppcoreguidelines-owning-memory): freed below.
  const grpc::Slice slice(
      const_cast<char*>(bytes.data()),  // NOLINT(cppcoreguidelines-pro-type-const-cast): only read.
      bytes.size(),
      [](void* data) { delete static_cast<AccessIssuer::Access*>(data); },
      holder);
  return ByteBuffer(&slice, 1);
}

// The request is gRPC's own object and we are its last reader.
template <typename Request>
void WipeFields(const Request& request) {
  auto& writable = const_cast<Request&>(request);  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  for (v1::CredentialField& field : *writable.mutable_fields()) {
    WipeString(*field.mutable_value());
  }
}

class GrpcService final : public Base {
 public:
  GrpcService(Vault& vault, WorkerPool& workers) : vault_(vault), workers_(workers) {}

  ServerUnaryReactor* PutCredential(CallbackServerContext* context,
                                    const v1::PutCredentialRequest* request,
                                    v1::PutCredentialResponse* response) override {
    return OnWorker(context, [this, request, response](const std::string& caller) -> Status {
      auto credential = vault_.PutCredential(caller, *request);
      WipeFields(*request);
      DEALSTREAM_ASSIGN_OR_RETURN(*response->mutable_credential(), std::move(credential));
      return absl::OkStatus();
    });
  }

  ServerUnaryReactor* ListCredentials(CallbackServerContext* context,
                                      const v1::ListCredentialsRequest* request,
                                      v1::ListCredentialsResponse* response) override {
    return OnWorker(context, [this, request, response](const std::string& caller) -> Status {
      DEALSTREAM_ASSIGN_OR_RETURN(*response, vault_.ListCredentials(caller, *request));
      return absl::OkStatus();
    });
  }

  ServerUnaryReactor* GetCredential(CallbackServerContext* context,
                                    const v1::GetCredentialRequest* request,
                                    v1::GetCredentialResponse* response) override {
    return OnWorker(context, [this, request, response](const std::string& caller) -> Status {
      DEALSTREAM_ASSIGN_OR_RETURN(*response->mutable_credential(),
                                  vault_.GetCredential(caller, request->id()));
      return absl::OkStatus();
    });
  }

  ServerUnaryReactor* RotateCredential(CallbackServerContext* context,
                                       const v1::RotateCredentialRequest* request,
                                       v1::RotateCredentialResponse* response) override {
    return OnWorker(context, [this, request, response](const std::string& caller) -> Status {
      auto credential = vault_.RotateCredential(caller, *request);
      WipeFields(*request);
      DEALSTREAM_ASSIGN_OR_RETURN(*response->mutable_credential(), std::move(credential));
      return absl::OkStatus();
    });
  }

  ServerUnaryReactor* DeleteCredential(CallbackServerContext* context,
                                       const v1::DeleteCredentialRequest* request,
                                       v1::DeleteCredentialResponse* /*response*/) override {
    return OnWorker(context, [this, request](const std::string& caller) -> Status {
      return vault_.DeleteCredential(caller, request->id());
    });
  }

  ServerUnaryReactor* IssueAccess(CallbackServerContext* context,
                                  const ByteBuffer* request_bytes,
                                  ByteBuffer* response) override {
    ServerUnaryReactor* reactor = context->DefaultReactor();
    v1::IssueAccessRequest request;
    grpc::ProtoBufferReader reader(
        const_cast<ByteBuffer*>(request_bytes));  // NOLINT: it only reads.
    if (!reader.status().ok() || !request.ParseFromZeroCopyStream(&reader)) {
      reactor->Finish(
          rpc::ToGrpc(absl::InvalidArgumentError("IssueAccess: no IssueAccessRequest")));
      return reactor;
    }
    vault_.IssueAccess(rpc::PeerName(*context),
                       request.credential_id(),
                       request.refused_version(),
                       [reactor, response](const Result<AccessIssuer::Access>& access) {
                         if (access.ok()) {
                           *response = ToBuffer(*access);
                         }
                         reactor->Finish(rpc::ToGrpc(access.status()));
                       });
    return reactor;
  }

 private:
  // Request and response live until Finish.
  template <typename Work>
  ServerUnaryReactor* OnWorker(CallbackServerContext* context, Work work) {
    ServerUnaryReactor* reactor = context->DefaultReactor();
    const bool taken =
        workers_.Submit([reactor, caller = rpc::PeerName(*context), work = std::move(work)] {
          reactor->Finish(rpc::ToGrpc(work(caller)));
        });
    if (!taken) {
      reactor->Finish(rpc::ToGrpc(absl::UnavailableError("vault: too many calls wait; try again")));
    }
    return reactor;
  }

  Vault& vault_;
  WorkerPool& workers_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeGrpcService(Vault& vault, WorkerPool& workers) {
  return std::make_unique<GrpcService>(vault, workers);
}

std::string GrpcServiceName() { return v1::VaultService::service_full_name(); }

}  // namespace dealstream::vault
