#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "libs/base/status.h"
#include "libs/kafka/kafka.h"
#include "libs/obs/health.h"
#include "libs/obs/metrics.h"
#include "services/webhook-ingest/door.h"
#include "services/webhook-ingest/http_session.h"

namespace dealstream::ingest {

class Server;

struct ServerOptions {
  // "host:port"; a numeric host, port 0 takes a free one.
  std::string address;
  size_t threads = 1;
  HttpLimits limits;
  // These four over all threads; each gets its part.
  size_t max_connections = 20'000;
  size_t max_body_memory = 256 << 20;
  size_t max_in_flight = 20'000;
  absl::Duration idle_timeout = absl::Seconds(75);
  absl::Duration head_timeout = absl::Seconds(10);
  absl::Duration body_timeout = absl::Seconds(30);
  absl::Duration write_timeout = absl::Seconds(10);
  // Makes the producer of one thread; its reports are announced on the descriptor (manual_poll).
  std::function<Result<std::unique_ptr<kafka::Producer>>(int notify_fd)> make_producer;
  // Called every 20 ms or so, on the first thread. May be empty.
  std::function<void(const Server&)> on_tick;
};

// The public listener: event loops, each with its own listening socket (SO_REUSEPORT), connections,
// door and producer; nothing is shared between them on the way of a request but the token table.
// Reads go into one buffer of the thread, so that a connection has memory of its own only while it
// is in the middle of a request.
class Server {
 public:
  // Listens when it returns. The references outlive it.
  static Result<std::unique_ptr<Server>> Create(const ServerOptions& options,
                                                const DoorShared& shared,
                                                obs::Health& health,
                                                obs::Metrics& metrics);
  virtual ~Server() = default;

  virtual int port() const = 0;
  // Whether a broker can be reached. Any thread.
  virtual bool Connected() const = 0;
  // Connections that are open.
  virtual size_t connections() const = 0;
  virtual size_t in_flight() const = 0;
  // Goes on as before, but each answer is its connection's last.
  virtual void StartDraining() = 0;
  // Accepts no more, closes idle connections, lets the others end with their next answer, flushes
  // the producers. DeadlineExceeded: some were cut off. Once.
  virtual Status Stop(absl::Time deadline) = 0;
};

}  // namespace dealstream::ingest
