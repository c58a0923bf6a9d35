#include "libs/crm/sim/testing.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "libs/http/curl_transport.h"

namespace dealstream::crm::simkit {
namespace {

[[noreturn]] void Abort(const std::string& text) {
  fmt::print(stderr, "{}\n", text);
  std::abort();
}

}  // namespace

bool WaitFor(const std::function<bool()>& condition) {
  for (int i = 0; i < 2000; ++i) {
    if (condition()) {
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

WebhookReceiver::WebhookReceiver(std::function<int()> answer) : answer_(std::move(answer)) {
  http::ServerOptions options;
  options.address = "127.0.0.1:0";
  auto server = http::Server::Create(options, [this](const http::ServerRequest& request) {
    {
      std::lock_guard lock(mutex_);
      received_.push_back(request);
    }
    http::ServerResponse response;
    response.status = answer_();
    return response;
  });
  if (!server.ok()) {
    Abort(server.status().ToString());
  }
  server_ = *std::move(server);
}

std::string WebhookReceiver::Url() const {
  return fmt::format("http://127.0.0.1:{}/hook/abc", server_->port());
}

std::vector<http::ServerRequest> WebhookReceiver::received() const {
  std::lock_guard lock(mutex_);
  return received_;
}

bool WebhookReceiver::WaitForCount(size_t count) const {
  return WaitFor([this, count] { return received().size() >= count; });
}

SimulatorClient::SimulatorClient(const Simulator& simulator)
    : origin_(fmt::format("http://127.0.0.1:{}", simulator.port())) {
  http::CurlOptions options;
  options.allow_loopback = true;
  options.max_connections_per_host = 32;
  auto transport = http::CurlTransport::Create(std::move(options));
  if (!transport.ok()) {
    Abort(transport.status().ToString());
  }
  transport_ = *std::move(transport);
}

SimulatorClient::~SimulatorClient() = default;

http::Response SimulatorClient::Send(const std::string& method,
                                     const std::string& target,
                                     const std::string& body,
                                     http::Headers headers) {
  http::Request request;
  request.method = method;
  request.url = origin_ + target;
  request.body = body;
  request.headers = std::move(headers);
  request.operation = "test";
  auto response = transport_->Send(request);
  return response.ok() ? *std::move(response) : http::Response();
}

Json SimulatorClient::Control(const std::string& method,
                              const std::string& path,
                              const Json& body) {
  const auto response = Send(method, "/_sim/" + path, body.is_null() ? "" : Dump(body));
  Json answer = Json::parse(response.body, nullptr, /*allow_exceptions=*/false);
  if (response.status != 200 || answer.is_discarded()) {
    Abort(fmt::format("{} /_sim/{}: {} {}", method, path, response.status, response.body));
  }
  return answer;
}

Json SimulatorClient::NewDeal(Json fields) {
  if (!fields.contains("account")) {
    fields["account"] = "1";
  }
  return Control("POST", "deals", fields);
}

Json SimulatorClient::Credential(size_t account) {
  return Control("GET", "accounts").at(account).at("credential");
}

}  // namespace dealstream::crm::simkit
