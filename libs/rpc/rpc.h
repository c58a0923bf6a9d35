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
  bool reflection = false;
  // Not owned; outlive the server.
  std::vector<grpc::Service*> services;
  // Their full names in the same order (`VaultService::service_full_name()`): for health, and for
  // the labels of the metrics. A method of none of them is counted as "other".
  std::vector<std::string> service_names;
};

// Serves `services`, the standard health service and (switchable) reflection, and counts
// grpc_server_handled_total and grpc_server_handling_seconds. Callers without a certificate of the
// CA are refused in the handshake. Thread-safe. Reflection is a property of the process in gRPC:
// once a server has it, later ones do too.
class Server {
 public:
  // FailedPrecondition: a certificate file can't be read or the key isn't the certificate's.
  // Unavailable: the address is taken. Starts NOT_SERVING; see SetServing.
  static Result<std::unique_ptr<Server>> Create(const ServerOptions& options,
                                                obs::Metrics& metrics);
  virtual ~Server() = default;
  virtual int port() const = 0;
  // What the health service says, for "" and each of service_names; calls are answered either way.
  virtual void SetServing(bool serving) = 0;
  // No new calls; waits for those under way until the deadline, then cancels them.
  virtual void Shutdown(absl::Time deadline) = 0;
};

// A channel that is kept: reconnects by itself, within 2 s of the server's return. `server_name` is
// the name the server's certificate must bear (DNS subject alternative name). One for each peer is
// made at start and shared; a new connection costs some 4 ms. Certificate files that can't be read
// (yet) make calls fail with Unavailable until they can.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address,
                                           const TlsFiles& tls,
                                           const std::string& server_name);

// Common name of the caller's verified certificate; empty without one.
std::string PeerName(const grpc::ServerContextBase& context);

// Statuses across the wire: code, message, ReasonOf where one was set, and RetryAfter.
grpc::Status ToGrpc(const Status& status);
Status FromGrpc(const grpc::Status& status);

}  // namespace dealstream::rpc
