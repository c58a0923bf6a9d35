#pragma once

#include <functional>
#include <memory>
#include <string>

#include "libs/base/status.h"
#include "libs/http/transport.h"

namespace dealstream::http {

struct ServerRequest {
  std::string method;
  // Path, not decoded, without the query.
  std::string path;
  // Without "?".
  std::string query;
  // Names in lower case.
  Headers headers;
  std::string body;
};

struct ServerResponse {
  int status = 200;
  Headers headers;
  std::string body;
};

struct ServerOptions {
  // "127.0.0.1:0": port 0 takes a free one, see Server::port.
  std::string address;
  int threads = 8;
  int64_t max_body_bytes = 1 << 20;
};

// A plain HTTP/1.1 server for what is off the hot path (admin listeners, simulators): a thread
// works on one request at a time and calls the handler. The handler is called from several threads
// at once and must not throw.
class Server {
 public:
  using Handler = std::function<ServerResponse(const ServerRequest&)>;
  static Result<std::unique_ptr<Server>> Create(const ServerOptions& options, Handler handler);
  // Stops: waits for the handlers under way.
  virtual ~Server() = default;
  virtual int port() const = 0;
};

}  // namespace dealstream::http
