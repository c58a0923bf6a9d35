#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "nlohmann/json.hpp"

#include "libs/base/status.h"
#include "libs/http/transport.h"
#include "tools/cli/scenario.h"

namespace dealstream::cli {

// Plays scenarios on a simulator of any CRM, through the control interface that all of them have.
// On several accounts it plays in step: each step on every account, then the next step. Not
// thread-safe.
class Player {
 public:
  using Sleep = std::function<void(absl::Duration)>;
  // Called after each step on each account, with a line for people.
  using Report = std::function<void(const std::string& line)>;

  // `simulator`: "http://127.0.0.1:8300". `transport` outlives this object.
  Player(http::Transport& transport, std::string simulator, Sleep sleep, Report report);

  // Plays on these accounts (names, numbers or ids); on all of the simulator's when none is named.
  // An error begins with the step's file and line and ends the scenario; faults stay as they are.
  Status Play(const Scenario& scenario, const std::vector<std::string>& accounts);

  // {accounts: [{account, deals: {name: id}}], played, skipped}, of the last Play. Deals without a
  // name aren't there.
  nlohmann::ordered_json Summary() const;

 private:
  using Json = nlohmann::ordered_json;
  struct Actor {
    // As the simulator calls it.
    std::string account;
    // Ids by the scenario's names.
    std::map<std::string, std::string> deals;
    // In force.
    Json faults = Json::object();
  };

  Result<Json> Send(const std::string& method, const std::string& path, const Json& body);
  Status FindActors(const std::vector<std::string>& accounts);
  Status PlaySteps(const std::vector<Step>& steps, bool skip_unsupported);
  Status PlayStep(const Step& step, bool skip_unsupported);
  // For one account; returns what to report.
  Result<std::string> Act(Actor& actor, const Step& step);
  Result<std::string> ActOnDeal(const Actor& actor, const Step& step);
  static std::string Describe(const Json& truth);

  http::Transport& transport_;
  const std::string simulator_;
  const Sleep sleep_;
  const Report report_;
  std::vector<Actor> actors_;
  int64_t played_ = 0;
  int64_t skipped_ = 0;
};

}  // namespace dealstream::cli
