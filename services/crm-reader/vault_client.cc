#include "services/crm-reader/vault_client.h"

#include <chrono>
#include <utility>

#include <grpcpp/grpcpp.h>

#include "dealstream/vault/v1/vault.grpc.pb.h"
#include "services/crm-reader/proto_time.h"

namespace dealstream::reader {
namespace {

constexpr std::chrono::seconds kDeadline(3);

using Fields = google::protobuf::RepeatedPtrField<vault::v1::CredentialField>;

// Takes the values out of the message and wipes them there.
void MoveFields(Fields& from, std::vector<std::pair<std::string, Secret>>& to) {
  for (vault::v1::CredentialField& field : from) {
    to.emplace_back(field.name(), Secret(field.value()));
    WipeString(*field.mutable_value());
  }
}

class GrpcVault final : public Vault {
 public:
  explicit GrpcVault(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(vault::v1::VaultService::NewStub(channel)) {}

  Result<IssuedAccess> IssueAccess(const std::string& credential_id,
                                   int64_t refused_version) override {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kDeadline);
    vault::v1::IssueAccessRequest request;
    request.set_credential_id(credential_id);
    request.set_refused_version(refused_version);
    vault::v1::IssueAccessResponse response;
    DEALSTREAM_RETURN_IF_ERROR(rpc::FromGrpc(stub_->IssueAccess(&context, request, &response)));
    vault::v1::Access& access = *response.mutable_access();
    IssuedAccess issued;
    issued.version = access.version();
    issued.access.base_url = access.base_url();
    MoveFields(*access.mutable_headers(), issued.access.headers);
    MoveFields(*access.mutable_query(), issued.access.query);
    MoveFields(*access.mutable_path(), issued.access.path);
    if (access.has_expires_at()) {
      issued.access.expires_at = FromProto(access.expires_at());
    }
    return issued;
  }

 private:
  std::unique_ptr<vault::v1::VaultService::Stub> stub_;
};

}  // namespace

std::unique_ptr<Vault> MakeVaultClient(const std::string& address,
                                       const rpc::TlsFiles& tls,
                                       const std::string& name) {
  return std::make_unique<GrpcVault>(rpc::MakeChannel(address, tls, name));
}

}  // namespace dealstream::reader
