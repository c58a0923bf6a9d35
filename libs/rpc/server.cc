#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "google/protobuf/descriptor.h"
#include <fmt/format.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/server_interceptor.h>
#include <prometheus/counter.h>
#include <prometheus/histogram.h>

#include "libs/obs/metrics.h"
#include "libs/rpc/rpc.h"
#include "libs/rpc/tls.h"

namespace dealstream::rpc {
namespace {

using std::chrono::steady_clock;

// gRPC's codes are 0 to 16.
constexpr std::array<std::string_view, 17> kCodes = {"OK",
                                                     "CANCELLED",
                                                     "UNKNOWN",
                                                     "INVALID_ARGUMENT",
                                                     "DEADLINE_EXCEEDED",
                                                     "NOT_FOUND",
                                                     "ALREADY_EXISTS",
                                                     "PERMISSION_DENIED",
                                                     "RESOURCE_EXHAUSTED",
                                                     "FAILED_PRECONDITION",
                                                     "ABORTED",
                                                     "OUT_OF_RANGE",
                                                     "UNIMPLEMENTED",
                                                     "INTERNAL",
                                                     "UNAVAILABLE",
                                                     "DATA_LOSS",
                                                     "UNAUTHENTICATED"};
constexpr size_t kUnknown = 2;

struct MethodMetrics {
  std::array<prometheus::Counter*, kCodes.size()> handled{};
  prometheus::Histogram* seconds = nullptr;
};

// Handles of each method, taken once.
class CallMetrics {
 public:
  CallMetrics(const std::vector<std::string>& services, obs::Metrics& metrics)
      : other_(Take("other", metrics)) {
    for (const std::string& name : services) {
      const auto* service =
          google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
      for (int i = 0; service != nullptr && i < service->method_count(); ++i) {
        const std::string method = fmt::format("{}/{}", name, service->method(i)->name());
        methods_.emplace(fmt::format("/{}", method), Take(method, metrics));
      }
    }
  }

  const MethodMetrics& Of(std::string_view path) const {
    const auto found = methods_.find(path);
    return found == methods_.end() ? other_ : found->second;
  }

 private:
  static MethodMetrics Take(std::string_view method, obs::Metrics& metrics) {
    MethodMetrics taken;
    for (size_t code = 0; code < kCodes.size(); ++code) {
      taken.handled[code] = &metrics.GetCounter("grpc_server_handled_total",
                                                {{"method", method}, {"code", kCodes[code]}});
    }
    taken.seconds = &metrics.GetHistogram("grpc_server_handling_seconds", {{"method", method}});
    return taken;
  }

  MethodMetrics other_;
  std::map<std::string, MethodMetrics, std::less<>> methods_;
};

// Lives for one call.
class CountCall final : public grpc::experimental::Interceptor {
 public:
  explicit CountCall(const MethodMetrics& metrics) : metrics_(metrics) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(
            grpc::experimental::InterceptionHookPoints::PRE_SEND_STATUS)) {
      const auto code = static_cast<size_t>(methods->GetSendStatus().error_code());
      metrics_.handled[code < kCodes.size() ? code : kUnknown]->Increment();
      metrics_.seconds->Observe(
          std::chrono::duration<double>(steady_clock::now() - start_).count());
    }
    methods->Proceed();
  }

 private:
  const MethodMetrics& metrics_;
  const steady_clock::time_point start_ = steady_clock::now();
};

class CountCalls final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit CountCalls(const CallMetrics& metrics) : metrics_(metrics) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    return new CountCall(metrics_.Of(info->method()));  // gRPC takes ownership.
  }

 private:
  const CallMetrics& metrics_;
};

class TlsServer final : public Server {
 public:
  TlsServer(std::unique_ptr<CallMetrics> metrics, std::vector<std::string> service_names)
      : metrics_(std::move(metrics)), service_names_(std::move(service_names)) {}
  ~TlsServer() override { Shutdown(absl::Now()); }

  Status Start(const ServerOptions& options) {
    UseGrpc();
    grpc::EnableDefaultHealthCheckService(true);
    if (options.reflection) {
      grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    }
    grpc::ServerBuilder builder;
    builder.AddListeningPort(options.address, MakeServerCredentials(options.tls), &port_);
    // Two servers on one port would share its connections without a word.
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    // MakeChannel pings every 20 s.
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    // What is synchronous is called seldom: health, reflection and the cabinet.
    builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
    builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);
    for (grpc::Service* service : options.services) {
      builder.RegisterService(service);
    }
    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> creators;
    creators.push_back(std::make_unique<CountCalls>(*metrics_));
    builder.experimental().SetInterceptorCreators(std::move(creators));
    server_ = builder.BuildAndStart();
    if (!server_ || port_ == 0) {
      return absl::UnavailableError(
          fmt::format("gRPC server: can't listen on {}: is the address taken?", options.address));
    }
    SetServing(false);
    return absl::OkStatus();
  }

  int port() const override { return port_; }

  void SetServing(bool serving) override {
    grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService();
    health->SetServingStatus("", serving);
    for (const std::string& name : service_names_) {
      health->SetServingStatus(name, serving);
    }
  }

  void Shutdown(absl::Time deadline) override {
    if (server_) {
      server_->Shutdown(absl::ToChronoTime(deadline));
      server_->Wait();
    }
  }

 private:
  const std::unique_ptr<CallMetrics> metrics_;
  const std::vector<std::string> service_names_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::Create(const ServerOptions& options,
                                               obs::Metrics& metrics) {
  if (options.services.size() != options.service_names.size()) {
    return absl::InternalError(fmt::format("rpc::ServerOptions: {} services and {} service_names",
                                           options.services.size(),
                                           options.service_names.size()));
  }
  DEALSTREAM_RETURN_IF_ERROR(CheckTlsFiles(options.tls));
  auto server = std::make_unique<TlsServer>(
      std::make_unique<CallMetrics>(options.service_names, metrics), options.service_names);
  DEALSTREAM_RETURN_IF_ERROR(server->Start(options));
  return server;
}

}  // namespace dealstream::rpc
