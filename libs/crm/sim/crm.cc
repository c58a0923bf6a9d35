#include "libs/crm/sim/crm.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include <fmt/format.h>

#include "libs/crm/sim/control.h"
#include "libs/crm/sim/random.h"
#include "libs/http/curl_transport.h"

namespace dealstream::crm::simkit {
namespace {

constexpr int64_t kMaxBody = 20 << 20;
constexpr auto kTick = std::chrono::milliseconds(5);
constexpr auto kIdleTick = std::chrono::milliseconds(20);
// How far life may fall behind before it lets the rest go.
constexpr double kMaxDebt = 1000;

Status Configure(Settings& settings, const SimOptions& options) {
  for (const auto& [name, text] : options.settings) {
    double value = 0;
    if (!absl::SimpleAtod(text, &value)) {
      return absl::InvalidArgumentError(fmt::format("{}: got '{}', want a number", name, text));
    }
    DEALSTREAM_RETURN_IF_ERROR(settings.Set(name, value));
  }
  return absl::OkStatus();
}

}  // namespace

class KitSimulator final : public Simulator {
 public:
  explicit KitSimulator(std::unique_ptr<Crm> crm) : crm_(std::move(crm)) {}

  ~KitSimulator() override {
    stopping_ = true;
    if (life_.joinable()) {
      life_.join();
    }
    server_.reset();
    webhooks_.reset();
  }

  KitSimulator(const KitSimulator&) = delete;
  KitSimulator& operator=(const KitSimulator&) = delete;

  Status Start(const SimOptions& options);
  int port() const override { return server_->port(); }
  std::string Describe() const override {
    const Json json = {
        {"crm", crm_->name()}, {"address", origin_}, {"accounts", control_.Accounts()}};
    return json.dump(2);
  }

 private:
  http::ServerResponse Serve(const http::ServerRequest& request);
  void Live(uint64_t seed);

  const std::unique_ptr<Crm> crm_;
  std::vector<std::unique_ptr<Account>> accounts_;
  std::string origin_;
  std::atomic<double> changes_per_second_ = 0;
  std::atomic<bool> stopping_ = false;
  // Requests that come before everything stands are told to come later.
  std::atomic<bool> ready_ = false;
  Control control_{*crm_, accounts_, changes_per_second_};
  std::unique_ptr<http::CurlTransport> transport_;
  std::unique_ptr<Webhooks> webhooks_;
  std::unique_ptr<http::Server> server_;
  std::thread life_;
};

http::ServerResponse KitSimulator::Serve(const http::ServerRequest& request) {
  if (!ready_) {
    http::ServerResponse starting;
    starting.status = 503;
    return starting;
  }
  return request.path.starts_with("/_sim/") ? control_.Handle(request) : crm_->Serve(request);
}

Status KitSimulator::Start(const SimOptions& options) {
  DEALSTREAM_RETURN_IF_ERROR(Configure(crm_->settings(), options));
  WebhookPolicy policy = crm_->webhook_policy();
  http::CurlOptions outbound;
  outbound.allow_loopback = true;
  outbound.max_connections_per_host = policy.threads;
  DEALSTREAM_ASSIGN_OR_RETURN(transport_, http::CurlTransport::Create(std::move(outbound)));
  http::ServerOptions listen;
  listen.address = options.address;
  listen.threads = crm_->server_threads();
  listen.max_body_bytes = kMaxBody;
  DEALSTREAM_ASSIGN_OR_RETURN(
      server_, http::Server::Create(listen, [this](const http::ServerRequest& request) {
        return Serve(request);
      }));
  const std::string given = options.address.substr(0, options.address.rfind(':'));
  const std::string host = given.empty() || given == "0.0.0.0" ? "127.0.0.1" : given;
  origin_ = fmt::format("http://{}:{}", host, server_->port());
  webhooks_ = std::make_unique<Webhooks>(*transport_, std::move(policy));
  for (int i = 1; i <= options.accounts; ++i) {
    accounts_.push_back(crm_->MakeAccount(i, options.seed, origin_));
    accounts_.back()->Attach(*webhooks_, stopping_);
  }
  changes_per_second_ = options.changes_per_second;
  ready_ = true;
  life_ = std::thread([this, seed = options.seed] { Live(seed); });
  return absl::OkStatus();
}

void KitSimulator::Live(uint64_t seed) {
  Random random(seed);
  double debt = 0;
  auto last = std::chrono::steady_clock::now();
  while (!stopping_) {
    std::this_thread::sleep_for(changes_per_second_ > 0 ? kTick : kIdleTick);
    const auto now = std::chrono::steady_clock::now();
    const double elapsed = std::chrono::duration<double>(now - last).count();
    last = now;
    debt = std::min(debt + elapsed * changes_per_second_, kMaxDebt);
    for (; debt >= 1 && !stopping_ && !accounts_.empty(); debt -= 1) {
      Account& account = *random.Of(accounts_);
      std::lock_guard lock(account.mutex());
      account.LiveOneChange();
    }
  }
}

Result<std::unique_ptr<Simulator>> Start(std::unique_ptr<Crm> crm, const SimOptions& options) {
  auto simulator = std::make_unique<KitSimulator>(std::move(crm));
  DEALSTREAM_RETURN_IF_ERROR(simulator->Start(options));
  return simulator;
}

}  // namespace dealstream::crm::simkit
