#include "libs/crm/alfacrm/sim/simulator.h"

#include <map>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"

#include "libs/crm/alfacrm/sim/school.h"
#include "libs/crm/sim/crm.h"

namespace dealstream::crm::alfacrm {
namespace sim {
namespace {

using simkit::JsonAnswer;

http::ServerResponse Unauthorized() {
  return JsonAnswer({{"name", "Unauthorized"},
                     {"message", "Your request was made with invalid credentials."},
                     {"code", 0},
                     {"status", 401}},
                    401);
}

class AlfaCrm final : public simkit::Crm {
 public:
  std::string name() const override { return "alfacrm"; }

  std::unique_ptr<simkit::Account> MakeAccount(int number,
                                               uint64_t seed,
                                               const std::string& origin) override {
    auto school = std::make_unique<School>(number, seed, origin, initial_deals(), sim_settings_);
    by_email_[school->email()] = school.get();
    by_number_[number] = school.get();
    return school;
  }

  http::ServerResponse Serve(const http::ServerRequest& request) override {
    if (!request.path.starts_with("/v2api/")) {
      return simkit::HtmlAnswer(404);
    }
    if (request.path == "/v2api/auth/login") {
      return ServeLogin(request);
    }
    const std::string token(http::FindHeader(request.headers, "x-alfacrm-token"));
    int number = 0;
    const auto found = absl::SimpleAtoi(token.substr(0, token.find('x')), &number)
                           ? by_number_.find(number)
                           : by_number_.end();
    return found == by_number_.end() ? Unauthorized() : found->second->Call(request, token);
  }

  // Nothing is known of it: two attempts are our guess.
  simkit::WebhookPolicy webhook_policy() const override {
    simkit::WebhookPolicy policy;
    policy.attempts = 2;
    policy.pause = absl::Milliseconds(500);
    return policy;
  }

 private:
  http::ServerResponse ServeLogin(const http::ServerRequest& request) {
    const simkit::Json body = simkit::Json::parse(request.body, nullptr, false);
    const auto found =
        body.is_object() ? by_email_.find(simkit::TextOf(body, "email")) : by_email_.end();
    return found == by_email_.end() || request.method != "POST" ? Unauthorized()
                                                                : found->second->Login(request);
  }

  const SimSettings sim_settings_{settings().Add("requests_per_second", 3, 0, 100'000),
                                  settings().Add("token_lifetime", 900, 0, 1'000'000),
                                  settings().Add("merged_stages", 0, 0, 1),
                                  settings().Add("old_rows", 0, 0, 1),
                                  settings().Add("old_webhooks", 0, 0, 1),
                                  settings().Add("whole_default_scope", 1, 0, 1)};
  std::map<std::string, School*> by_email_;
  std::map<int, School*> by_number_;
};

}  // namespace
}  // namespace sim

Result<std::unique_ptr<Simulator>> MakeSimulator(const SimOptions& options) {
  return simkit::Start(std::make_unique<sim::AlfaCrm>(), options);
}

}  // namespace dealstream::crm::alfacrm
