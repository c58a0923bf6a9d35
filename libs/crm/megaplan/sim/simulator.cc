#include "libs/crm/megaplan/sim/simulator.h"

#include <map>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"

#include "libs/crm/megaplan/sim/account.h"
#include "libs/crm/sim/crm.h"

namespace dealstream::crm::megaplan {
namespace sim {
namespace {

using simkit::JsonAnswer;

http::ServerResponse Unauthorized() {
  return JsonAnswer(
      {{"meta", {{"status", 401}, {"errors", {{{"message", "Unauthorized"}}}}}}, {"data", nullptr}},
      401);
}

// The fields of a multipart/form-data body.
simkit::Parameters ParseMultipart(const std::string& body, const std::string& boundary) {
  simkit::Parameters fields;
  const std::string line = "--" + boundary;
  for (size_t at = body.find(line); at != std::string::npos; at = body.find(line, at + 1)) {
    const size_t name = body.find("name=\"", at);
    const size_t value = name == std::string::npos ? name : body.find("\r\n\r\n", name);
    const size_t end = value == std::string::npos ? value : body.find("\r\n" + line, value);
    if (end == std::string::npos) {
      break;
    }
    fields.emplace_back(body.substr(name + 6, body.find('"', name + 6) - name - 6),
                        body.substr(value + 4, end - value - 4));
  }
  return fields;
}

simkit::Parameters FormOf(const http::ServerRequest& request) {
  const std::string type(http::FindHeader(request.headers, "content-type"));
  const size_t boundary = type.find("boundary=");
  return type.starts_with("multipart/form-data") && boundary != std::string::npos
             ? ParseMultipart(request.body, type.substr(boundary + 9))
             : simkit::ParseQuery(request.body);
}

class MegaplanCrm final : public simkit::Crm {
 public:
  std::string name() const override { return "megaplan"; }

  std::unique_ptr<simkit::Account> MakeAccount(int number,
                                               uint64_t seed,
                                               const std::string& origin) override {
    auto account =
        std::make_unique<MegaplanAccount>(number, seed, origin, initial_deals(), sim_settings_);
    by_username_[account->username()] = account.get();
    by_number_[number] = account.get();
    return account;
  }

  http::ServerResponse Serve(const http::ServerRequest& request) override {
    if (!request.path.starts_with("/api/v3/")) {
      return simkit::HtmlAnswer(404);
    }
    if (request.path == "/api/v3/auth/access_token") {
      return ServeLogin(request);
    }
    std::string token(http::FindHeader(request.headers, "authorization"));
    constexpr std::string_view kBearer = "Bearer ";
    token.erase(0, token.starts_with(kBearer) ? kBearer.size() : 0);
    MegaplanAccount* account = AccountOf(token);
    return account == nullptr ? Unauthorized() : account->Call(request, token);
  }

  simkit::WebhookPolicy webhook_policy() const override {
    simkit::WebhookPolicy policy;
    policy.attempts = 3;
    policy.pause = absl::Milliseconds(500);
    return policy;
  }

 private:
  http::ServerResponse ServeLogin(const http::ServerRequest& request) {
    const simkit::Parameters form = FormOf(request);
    MegaplanAccount* account = AccountOf(simkit::FindParameter(form, "refresh_token"));
    const auto found = by_username_.find(std::string(simkit::FindParameter(form, "username")));
    if (found != by_username_.end()) {
      account = found->second;
    }
    if (account == nullptr || request.method != "POST") {
      return JsonAnswer({{"error", "invalid_grant"},
                         {"error_description", "Invalid username and password combination"}},
                        400);
    }
    return account->Login(form);
  }

  // Tokens begin with a letter and the account's number: "t12.…".
  MegaplanAccount* AccountOf(std::string_view token) const {
    int number = 0;
    const std::string digits(token.substr(0, token.find('.')));
    if (digits.size() < 2 || !absl::SimpleAtoi(digits.substr(1), &number)) {
      return nullptr;
    }
    const auto found = by_number_.find(number);
    return found == by_number_.end() ? nullptr : found->second;
  }

  const SimSettings sim_settings_{settings().Add("requests_per_second", 20, 0, 100'000),
                                  settings().Add("parallel", 5, 0, 1000),
                                  settings().Add("token_lifetime", 172'800, 1, 1'000'000),
                                  settings().Add("refresh", 1, 0, 1),
                                  settings().Add("refused_refresh_status", 400, 200, 599),
                                  settings().Add("gone_place_status", 422, 200, 422),
                                  settings().Add("page_rows", 1000, 1, 1000)};
  std::map<std::string, MegaplanAccount*> by_username_;
  std::map<int, MegaplanAccount*> by_number_;
};

}  // namespace
}  // namespace sim

Result<std::unique_ptr<Simulator>> MakeSimulator(const SimOptions& options) {
  return simkit::Start(std::make_unique<sim::MegaplanCrm>(), options);
}

}  // namespace dealstream::crm::megaplan
