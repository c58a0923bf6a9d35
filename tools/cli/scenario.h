#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "nlohmann/json.hpp"

#include "libs/base/status.h"

namespace dealstream::cli {

// What can be done to a simulator of a CRM. Written in a scenario as a map of one key:
//
//   - create: {as: chair, title: Chair, amount: 12.50}   all may be left out
//   - edit: {deal: chair, title: Red chair}
//   - move: chair                      the next stage; or {deal: chair, stage: Won}
//   - pay: chair                       the rest; or {deal: chair, amount: 5}; refund likewise
//   - duplicate: chair                 a webhook though nothing has changed
//   - delete: chair
//   - own: {deal: chair, step: trash}  a step that only this CRM has, by its sim/README.md
//   - request: {name: Ann}             a booking or another request
//   - burst: {deals: 10, changes: 50}  of the account's own life
//   - life: 2                          changes a second from now on, over all accounts; 0 ends it
//   - slow: 500ms                      answers come later; or {latency: 500ms, for_requests: 10}
//   - fail: 429                        a status, html, hang or cut; or {with: 429, for_requests: 3}
//   - reorder: true                    webhooks overtake each other; false ends it
//   - faults: {drop_webhooks: 0.2}     any of the simulator's faults
//   - heal:                            ends all faults
//   - settings: {page_size: 5}         the simulator's, by its README
//   - wait: 2s
//   - repeat: {times: 3, steps: […]}
//
// Faults add up until `heal`; those with for_requests end by themselves, at the latest with the
// next step that sets faults. Every map but those of faults, settings, life, wait and repeat may
// bear `silent: true`.
enum class Verb {
  kCreate,
  kEdit,
  kMove,
  kPay,
  kRefund,
  kDuplicate,
  kDelete,
  kOwn,
  kRequest,
  kBurst,
  kLife,
  kFaults,
  kHeal,
  kSettings,
  kWait,
  kRepeat,
};

struct Step {
  Verb verb = Verb::kWait;
  // As written: "move".
  std::string name;
  // "scenarios/demo.yaml:12".
  std::string where;
  // The scenario's name of the deal; of kCreate: what it will be called, or empty.
  std::string deal;
  // Of kOwn.
  std::string own_step;
  // What is sent to the simulator; of kLife {"changes_per_second"}.
  nlohmann::ordered_json fields = nlohmann::ordered_json::object();
  absl::Duration wait;
  int times = 1;
  std::vector<Step> steps;
};

struct Scenario {
  // What it is for.
  std::string about;
  // Steps that the CRM doesn't have are passed over instead of ending it (`unsupported: skip`).
  bool skip_unsupported = false;
  std::vector<Step> steps;
};

// Reads YAML or JSON: {about?, unsupported?: skip|fail, steps: […]}. InvalidArgument names the
// file, the line, what was found and what was expected. A deal that no earlier step made is an
// error.
Result<Scenario> ParseScenario(const std::string& text, const std::string& file);
Result<Scenario> LoadScenario(const std::string& path);

}  // namespace dealstream::cli
