#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/server_context.h>

#include "libs/base/strings.h"
#include "libs/obs/log.h"
#include "libs/rpc/rpc.h"
#include "libs/rpc/tls.h"

namespace dealstream::rpc {

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address,
                                           const TlsFiles& tls,
                                           const std::string& server_name) {
  UseGrpc();
  // gRPC would only say that it can't connect.
  if (const Status readable = CheckTlsFiles(tls); !readable.ok()) {
    obs::Warn("tls_files_unusable", ToStd(readable.message()));
  }
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride(server_name);
  // Peers are in the cluster, whatever https_proxy says.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // A peer that is gone without a word is noticed in 30 s, before a load balancer drops the idle
  // connection.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 500);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2'000);
  return grpc::CreateCustomChannel(address, MakeChannelCredentials(tls), arguments);
}

std::string PeerName(const grpc::ServerContextBase& context) {
  const std::shared_ptr<const grpc::AuthContext> auth = context.auth_context();
  if (!auth || !auth->IsPeerAuthenticated()) {
    return "";
  }
  const std::vector<grpc::string_ref> names = auth->FindPropertyValues(GRPC_X509_CN_PROPERTY_NAME);
  // A certificate with several common names says nothing definite.
  return names.size() == 1 ? std::string(names[0].data(), names[0].size()) : "";
}

}  // namespace dealstream::rpc
