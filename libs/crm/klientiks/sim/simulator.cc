#include "libs/crm/klientiks/sim/simulator.h"

#include <map>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"

#include "libs/crm/klientiks/sim/account.h"
#include "libs/crm/sim/crm.h"

namespace dealstream::crm::klientiks {
namespace sim {
namespace {

class KlientiksCrm final : public simkit::Crm {
 public:
  std::string name() const override { return "klientiks"; }

  std::unique_ptr<simkit::Account> MakeAccount(int number,
                                               uint64_t seed,
                                               const std::string& origin) override {
    auto account =
        std::make_unique<KlientiksAccount>(number, seed, origin, initial_deals(), sim_settings_);
    by_id_[account->id()] = account.get();
    return account;
  }

  // /clientix/Restapi/<action>/a/<account>/u/<user>[/t/<token>][/<name>/<value>]…
  http::ServerResponse Serve(const http::ServerRequest& request) override {
    const std::vector<std::string> path = simkit::SplitPath(request.path);
    if (path.size() < 3 || path[0] != "clientix" || absl::AsciiStrToLower(path[1]) != "restapi") {
      return simkit::HtmlAnswer(404);
    }
    Arguments arguments;
    for (size_t i = 3; i + 1 < path.size(); i += 2) {
      arguments[path[i]] = path[i + 1];
    }
    for (const auto& [name, value] : simkit::ParseQuery(request.query)) {
      arguments[name] = value;
    }
    std::string bearer(http::FindHeader(request.headers, "authorization"));
    constexpr std::string_view kBearer = "Bearer ";
    bearer.erase(0, bearer.starts_with(kBearer) ? kBearer.size() : bearer.size());
    const auto found = by_id_.find(arguments["a"]);
    return found == by_id_.end() ? simkit::JsonAnswer({{"error", "Access denied"}}, 403)
                                 : found->second->Call(request, path[2], arguments, bearer);
  }

 private:
  const SimSettings sim_settings_{settings().Add("requests_per_minute", 60, 0, 1'000'000),
                                  settings().Add("header_token", 1, 0, 1),
                                  settings().Add("envelope", 0, 0, 4),
                                  settings().Add("flatten", 1, 0, 1),
                                  settings().Add("nested_client", 0, 0, 1),
                                  settings().Add("removal_webhook", 1, 0, 1),
                                  settings().Add("refuse_with_200", 0, 0, 1),
                                  settings().Add("most_rows", 0, 0, 1000),
                                  settings().Add("newest_first", 0, 0, 1),
                                  settings().Add("show_removed", 0, 0, 1)};
  std::map<std::string, KlientiksAccount*> by_id_;
};

}  // namespace
}  // namespace sim

Result<std::unique_ptr<Simulator>> MakeSimulator(const SimOptions& options) {
  return simkit::Start(std::make_unique<sim::KlientiksCrm>(), options);
}

}  // namespace dealstream::crm::klientiks
