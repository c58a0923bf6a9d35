#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "libs/crm/sim/simulator.h"
#include "libs/crm/sim/web.h"
#include "libs/http/server.h"
#include "libs/http/transport.h"

// For tests of simulators and of adapters against them.
namespace dealstream::crm::simkit {

// Looks every few milliseconds; false when it hasn't come true within 10 s.
bool WaitFor(const std::function<bool()>& condition);

// Receives webhooks.
class WebhookReceiver {
 public:
  // `answer` is called for each, by several threads at once, and gives the status.
  explicit WebhookReceiver(std::function<int()> answer = [] { return 204; });

  // "http://127.0.0.1:41234/hook/abc".
  std::string Url() const;
  // In the order they came.
  std::vector<http::ServerRequest> received() const;
  // Until so many have come; false: they don't.
  bool WaitForCount(size_t count) const;

 private:
  const std::function<int()> answer_;
  mutable std::mutex mutex_;
  std::vector<http::ServerRequest> received_;
  std::unique_ptr<http::Server> server_;
};

// A client of a simulator with its own connections. Thread-safe. To be destroyed before the
// simulator, whose end waits for open connections.
class SimulatorClient {
 public:
  explicit SimulatorClient(const Simulator& simulator);
  ~SimulatorClient();
  SimulatorClient(const SimulatorClient&) = delete;
  SimulatorClient& operator=(const SimulatorClient&) = delete;

  // Any request, gzip undone; `target` is path and query. Status 0: no answer (connection, timeout,
  // broken encoding).
  http::Response Send(const std::string& method,
                      const std::string& target,
                      const std::string& body = {},
                      http::Headers headers = {});
  // The control interface: "deals?account=company1". Aborts the process unless it is answered with
  // 200, with the answer in the message.
  Json Control(const std::string& method, const std::string& path, const Json& body = {});
  // Creates a deal of the first account; its truth.
  Json NewDeal(Json fields = Json::object());
  Json Stats() { return Control("GET", "stats"); }
  // The vault's fields of an account, counted from 0.
  Json Credential(size_t account = 0);

  http::Transport& transport() { return *transport_; }

 private:
  const std::string origin_;
  std::unique_ptr<http::Transport> transport_;
};

}  // namespace dealstream::crm::simkit
