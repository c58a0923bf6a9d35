#include "libs/crm/moysklad/sim/simulator.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include <fmt/format.h>

#include "libs/crm/moysklad/sim/api.h"
#include "libs/crm/moysklad/sim/control.h"
#include "libs/crm/moysklad/sim/world.h"
#include "libs/http/curl_transport.h"
#include "libs/http/server.h"

namespace dealstream::crm::moysklad::sim {
namespace {

constexpr int kServerThreads = 96;
constexpr int kDeliveryThreads = 32;
constexpr int64_t kMaxBody = 20 << 20;
constexpr int kDefaultOrders = 20;
constexpr auto kTick = std::chrono::milliseconds(5);
// How far life may fall behind before it lets the rest go.
constexpr double kMaxDebt = 1000;

class MoySkladSimulator final : public Simulator {
 public:
  ~MoySkladSimulator() override {
    world_.stopping = true;
    if (life_.joinable()) {
      life_.join();
    }
    server_.reset();
    world_.webhooks.reset();
  }

  MoySkladSimulator() = default;
  MoySkladSimulator(const MoySkladSimulator&) = delete;
  MoySkladSimulator& operator=(const MoySkladSimulator&) = delete;

  Status Start(const SimOptions& options);
  int port() const override { return server_->port(); }
  std::string Describe() const override { return DescribeWorld(world_).dump(2); }

 private:
  // Applies the settings; returns how many orders each account begins with.
  Result<int> Configure(const SimOptions& options);
  void Live(uint64_t seed);

  // Requests that come before everything stands are told to come later.
  std::atomic<bool> ready_ = false;
  mutable World world_;
  Api api_{world_};
  Control control_{world_};
  std::unique_ptr<http::CurlTransport> transport_;
  std::unique_ptr<http::Server> server_;
  std::thread life_;
};

Result<int> MoySkladSimulator::Configure(const SimOptions& options) {
  int orders = kDefaultOrders;
  for (const auto& [name, text] : options.settings) {
    double value = 0;
    if (!absl::SimpleAtod(text, &value)) {
      return absl::InvalidArgumentError(fmt::format("{}: got '{}', want a number", name, text));
    }
    if (name == "orders") {
      orders = static_cast<int>(std::clamp(value, 0.0, 100'000.0));
      continue;
    }
    DEALSTREAM_RETURN_IF_ERROR(SetSetting(world_, name, value));
  }
  return orders;
}

Status MoySkladSimulator::Start(const SimOptions& options) {
  DEALSTREAM_ASSIGN_OR_RETURN(const int orders, Configure(options));
  for (int i = 1; i <= options.accounts; ++i) {
    world_.customers.push_back(std::make_unique<Customer>(i, options.seed, orders, absl::Now()));
  }
  http::CurlOptions outbound;
  outbound.allow_loopback = true;
  outbound.max_connections_per_host = kDeliveryThreads;
  DEALSTREAM_ASSIGN_OR_RETURN(transport_, http::CurlTransport::Create(std::move(outbound)));
  http::ServerOptions listen;
  listen.address = options.address;
  listen.threads = kServerThreads;
  listen.max_body_bytes = kMaxBody;
  DEALSTREAM_ASSIGN_OR_RETURN(
      server_, http::Server::Create(listen, [this](const http::ServerRequest& request) {
        if (!ready_) {
          http::ServerResponse starting;
          starting.status = 503;
          return starting;
        }
        return request.path.starts_with("/_sim/") ? control_.Handle(request) : api_.Handle(request);
      }));
  const std::string given = options.address.substr(0, options.address.rfind(':'));
  const std::string host = given.empty() || given == "0.0.0.0" ? "127.0.0.1" : given;
  world_.base_url = fmt::format("http://{}:{}/api/remap/1.2", host, server_->port());
  world_.webhooks = std::make_unique<Webhooks>(*transport_, world_.base_url, kDeliveryThreads);
  world_.changes_per_second = options.changes_per_second;
  ready_ = true;
  life_ = std::thread([this, seed = options.seed] { Live(seed); });
  return absl::OkStatus();
}

void MoySkladSimulator::Live(uint64_t seed) {
  Random random(seed);
  double debt = 0;
  auto last = std::chrono::steady_clock::now();
  while (!world_.stopping) {
    std::this_thread::sleep_for(kTick);
    const auto now = std::chrono::steady_clock::now();
    const double elapsed = std::chrono::duration<double>(now - last).count();
    last = now;
    debt = std::min(debt + elapsed * world_.changes_per_second, kMaxDebt);
    for (; debt >= 1 && !world_.stopping && !world_.customers.empty(); debt -= 1) {
      Customer& customer = *random.Of(world_.customers);
      std::lock_guard lock(customer.account.mutex);
      world_.webhooks->Notify(customer, LiveOneStep(customer.account, absl::Now()));
    }
  }
}

}  // namespace
}  // namespace dealstream::crm::moysklad::sim

namespace dealstream::crm::moysklad {

Result<std::unique_ptr<Simulator>> MakeSimulator(const SimOptions& options) {
  auto simulator = std::make_unique<sim::MoySkladSimulator>();
  DEALSTREAM_RETURN_IF_ERROR(simulator->Start(options));
  return simulator;
}

}  // namespace dealstream::crm::moysklad
