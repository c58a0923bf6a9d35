#include "services/cabinet/credentials.h"

#include <string_view>
#include <utility>

#include "absl/time/clock.h"
#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <prometheus/counter.h>
#include <prometheus/histogram.h>

#include "dealstream/vault/v1/vault.grpc.pb.h"
#include "libs/base/strings.h"
#include "libs/obs/metrics.h"
#include "libs/rpc/rpc.h"

namespace dealstream::cabinet {
namespace {

constexpr std::string_view kMethod = "GetCredential";

class VaultCredentials final : public Credentials {
 public:
  VaultCredentials(std::shared_ptr<grpc::Channel> channel,
                   absl::Duration timeout,
                   obs::Metrics& metrics)
      : stub_(vault::v1::VaultService::NewStub(std::move(channel))),
        timeout_(timeout),
        metrics_(metrics),
        seconds_(metrics.GetHistogram("grpc_client_handling_seconds", {{"method", kMethod}})) {
    Count(absl::StatusCode::kOk, 0);
  }

  Result<vault::v1::Credential> Get(const std::string& id) override {
    vault::v1::GetCredentialRequest request;
    request.set_id(id);
    vault::v1::GetCredentialResponse response;
    grpc::ClientContext context;
    const absl::Time start = absl::Now();
    context.set_deadline(absl::ToChronoTime(start + timeout_));
    const Status status = rpc::FromGrpc(stub_->GetCredential(&context, request, &response));
    seconds_.Observe(absl::ToDoubleSeconds(absl::Now() - start));
    Count(status.code(), 1);
    if (!status.ok()) {
      return Annotate(status, fmt::format("vault: credential {}", id));
    }
    return std::move(*response.mutable_credential());
  }

 private:
  // A call to the vault is made by people who change integrations: a lookup here is nothing.
  void Count(absl::StatusCode code, double n) {
    const std::string name = absl::StatusCodeToString(code);
    metrics_.GetCounter("grpc_client_handled_total", {{"method", kMethod}, {"code", name}})
        .Increment(n);
  }

  std::unique_ptr<vault::v1::VaultService::Stub> stub_;
  const absl::Duration timeout_;
  obs::Metrics& metrics_;
  prometheus::Histogram& seconds_;
};

}  // namespace

std::unique_ptr<Credentials> MakeVaultCredentials(std::shared_ptr<grpc::Channel> channel,
                                                  absl::Duration timeout,
                                                  obs::Metrics& metrics) {
  return std::make_unique<VaultCredentials>(std::move(channel), timeout, metrics);
}

}  // namespace dealstream::cabinet
