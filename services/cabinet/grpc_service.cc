#include "services/cabinet/grpc_service.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include "dealstream/cabinet/v1/cabinet.grpc.pb.h"
#include "libs/base/strings.h"
#include "libs/obs/log.h"
#include "libs/rpc/rpc.h"

namespace dealstream::cabinet {
namespace {

using grpc::ServerContext;

// Synchronous: each call waits for the database's disk (and the vault), and calls are few.
class GrpcService final : public v1::CabinetService::Service {
 public:
  GrpcService(Cabinet& cabinet, std::vector<std::string> callers)
      : cabinet_(cabinet), callers_(std::move(callers)) {}

  grpc::Status CreateIntegration(ServerContext* context,
                                 const v1::CreateIntegrationRequest* request,
                                 v1::CreateIntegrationResponse* response) override {
    return Call(context, request, response, &Cabinet::Create);
  }
  grpc::Status UpdateIntegration(ServerContext* context,
                                 const v1::UpdateIntegrationRequest* request,
                                 v1::UpdateIntegrationResponse* response) override {
    return Call(context, request, response, &Cabinet::Update);
  }
  grpc::Status SetIntegrationActive(ServerContext* context,
                                    const v1::SetIntegrationActiveRequest* request,
                                    v1::SetIntegrationActiveResponse* response) override {
    return Call(context, request, response, &Cabinet::SetActive);
  }
  grpc::Status GetIntegration(ServerContext* context,
                              const v1::GetIntegrationRequest* request,
                              v1::GetIntegrationResponse* response) override {
    return Call(context, request, response, &Cabinet::Get);
  }
  grpc::Status ListIntegrations(ServerContext* context,
                                const v1::ListIntegrationsRequest* request,
                                v1::ListIntegrationsResponse* response) override {
    return Call(context, request, response, &Cabinet::List);
  }
  grpc::Status StartBackfill(ServerContext* context,
                             const v1::StartBackfillRequest* request,
                             v1::StartBackfillResponse* response) override {
    return Call(context, request, response, &Cabinet::StartBackfill);
  }
  grpc::Status GetBackfill(ServerContext* context,
                           const v1::GetBackfillRequest* request,
                           v1::GetBackfillResponse* response) override {
    return Call(context, request, response, &Cabinet::GetBackfill);
  }
  grpc::Status PollNow(ServerContext* context,
                       const v1::PollNowRequest* request,
                       v1::PollNowResponse* response) override {
    return Call(context, request, response, &Cabinet::PollNow);
  }

 private:
  template <typename Request, typename Response>
  grpc::Status Call(ServerContext* context,
                    const Request* request,
                    Response* response,
                    Result<Response> (Cabinet::*method)(const Request&)) {
    const std::string caller = rpc::PeerName(*context);
    if (std::find(callers_.begin(), callers_.end(), caller) == callers_.end()) {
      obs::Warn("caller_refused", "a caller isn't in the list of callers", {{"peer", caller}});
      return rpc::ToGrpc(absl::PermissionDeniedError(
          fmt::format("caller \"{}\": not in the cabinet's list of callers", caller)));
    }
    Result<Response> result = (cabinet_.*method)(*request);
    if (!result.ok()) {
      return rpc::ToGrpc(result.status());
    }
    *response = *std::move(result);
    return grpc::Status::OK;
  }

  Cabinet& cabinet_;
  const std::vector<std::string> callers_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeGrpcService(Cabinet& cabinet, std::vector<std::string> callers) {
  return std::make_unique<GrpcService>(cabinet, std::move(callers));
}

std::string GrpcServiceName() { return v1::CabinetService::service_full_name(); }

}  // namespace dealstream::cabinet
