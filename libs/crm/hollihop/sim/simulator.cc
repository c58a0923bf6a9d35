#include "libs/crm/hollihop/sim/simulator.h"

#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"

#include "libs/crm/hollihop/sim/school.h"
#include "libs/crm/sim/crm.h"
#include "libs/crm/sim/web.h"

namespace dealstream::crm::hollihop {
namespace {

// In life each school has a host of its own; here each has the first segment of the path.
class Hollihop final : public simkit::Crm {
 public:
  std::string name() const override { return "hollihop"; }

  std::unique_ptr<simkit::Account> MakeAccount(int number,
                                               uint64_t seed,
                                               const std::string& origin) override {
    auto school = std::make_unique<sim::School>(number, seed, origin, rules_);
    for (int i = 0; i < initial_deals(); ++i) {
      school->LiveNewDeal();
    }
    schools_[school->name()] = school.get();
    return school;
  }

  http::ServerResponse Serve(const http::ServerRequest& request) override {
    // "/school1/Api/V2/GetLeads"; slashes may be doubled.
    std::vector<std::string> path = simkit::SplitPath(request.path);
    std::erase(path, "");
    const auto school = schools_.find(path.empty() ? "" : path[0]);
    const bool is_api = path.size() == 4 && absl::EqualsIgnoreCase(path[1], "api") &&
                        absl::EqualsIgnoreCase(path[2], "v2");
    return school == schools_.end() || !is_api ? NoSchool()
                                               : school->second->Serve(path[3], request);
  }

 private:
  static http::ServerResponse NoSchool() {
    http::ServerResponse response;
    response.status = 404;
    response.headers.emplace_back("content-type", "text/html; charset=utf-8");
    response.body = "<!DOCTYPE html><html><body>Страница не найдена</body></html>";
    return response;
  }

  const sim::Rules rules_{settings()};
  std::map<std::string, sim::School*> schools_;
};

}  // namespace

Result<std::unique_ptr<Simulator>> MakeSimulator(const SimOptions& options) {
  return simkit::Start(std::make_unique<Hollihop>(), options);
}

}  // namespace dealstream::crm::hollihop
