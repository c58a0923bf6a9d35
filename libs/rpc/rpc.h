#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

#include "libs/base/status.h"

namespace grpc {
class Channel;
class ServerContextBase;
class Service;
class Status;
class Server;
}  // namespace grpc
namespace dealstream::config {
class Schema;
}
namespace dealstream::obs {
class Metrics;
class Health;
}  // namespace dealstream::obs

// gRPC over mutual TLS. The caller's identity is the common name of its certificate ("crm-reader").
namespace dealstream::rpc {

// PEM files; watched, a renewed one is taken without a restart.
struct TlsFiles {
  std::string ca_file;
  std::string certificate_file;
  std::string key_file;
};

// Adds tls.ca_file, tls.certificate_file and tls.key_file.
void AddTlsConfig(config::Schema& schema, TlsFiles* files);

struct ServerOptions {
  // "0.0.0.0:8090".
  std::string address;
  TlsFiles tls;
  bool reflection = true;
  // Not owned; outlive the server.
  std::vector<grpc::Service*> services;
};

// Serves `services`, the standard health service and (switchable) reflection, and counts
// grpc_server_handled_total and grpc_server_handling_seconds.
class Server {
 public:
  static Result<std::unique_ptr<Server>> Create(const ServerOptions& options,
                                                obs::Metrics& metrics);
  virtual ~Server() = default;
  virtual int port() const = 0;
  // Health turns NOT_SERVING; calls are still answered.
  virtual void SetServing(bool serving) = 0;
  // No new calls; waits for those under way until the deadline, then cancels them.
  virtual void Shutdown(absl::Time deadline) = 0;
};

// A channel that is kept: reconnects by itself. `server_name` is the name the server's certificate
// must bear.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address,
                                           const TlsFiles& tls,
                                           const std::string& server_name);

// Common name of the caller's verified certificate; empty without one.
std::string PeerName(const grpc::ServerContextBase& context);

grpc::Status ToGrpc(const Status& status);
Status FromGrpc(const grpc::Status& status);

}  // namespace dealstream::rpc
