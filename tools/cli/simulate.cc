#include "tools/cli/simulate.h"

#include <cctype>
#include <iostream>
#include <memory>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/time/clock.h"
#include "fmt/format.h"

#include "libs/base/strings.h"
#include "libs/http/curl_transport.h"
#include "tools/cli/environment.h"
#include "tools/cli/messages.h"

namespace dealstream::cli {
namespace {

// A step of a large burst may take a while.
constexpr absl::Duration kPatience = absl::Seconds(60);
constexpr std::string_view kUnsupported = "unimplemented";

std::string Encode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += std::isalnum(byte) != 0 || c == '-' || c == '_' || c == '.'
               ? std::string(1, c)
               : fmt::format("%{:02X}", byte);
  }
  return out;
}

std::string TextOf(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? ""
         : found->is_string()                      ? found->get<std::string>()
                                                   : found->dump();
}

}  // namespace

Player::Player(http::Transport& transport, std::string simulator, Sleep sleep, Report report)
    : transport_(transport),
      simulator_(std::move(simulator)),
      sleep_(std::move(sleep)),
      report_(std::move(report)) {}

Result<Json> Player::Send(const std::string& method, const std::string& path, const Json& body) {
  http::Request request;
  request.method = method;
  request.url = simulator_ + "/_sim/" + path;
  request.body = body.is_null() ? "" : ToLine(body);
  request.timeout = kPatience;
  request.idempotent = false;
  request.operation = "simulate";
  auto response = transport_.Send(request);
  if (!response.ok()) {
    return Annotate(response.status(), simulator_);
  }
  Json answer = Json::parse(response->body, nullptr, /*allow_exceptions=*/false);
  if (response->status == 200 && !answer.is_discarded()) {
    return answer;
  }
  if (!answer.is_object() || !answer.contains("error")) {
    return absl::FailedPreconditionError(
        fmt::format("{}: answered {} to {} /_sim/{}; is it a simulator?",
                    simulator_,
                    response->status,
                    method,
                    path));
  }
  return WithReason(absl::FailedPreconditionError(
                        fmt::format("{} {}", response->status, TextOf(answer, "error"))),
                    TextOf(answer, "code"));
}

Status Player::FindActors(const std::vector<std::string>& accounts) {
  DEALSTREAM_ASSIGN_OR_RETURN(const Json all, Send("GET", "accounts", Json()));
  std::set<std::string> wanted(accounts.begin(), accounts.end());
  std::string known;
  actors_.clear();
  int number = 0;
  for (const Json& account : all) {
    ++number;
    const std::string name = TextOf(account, "account");
    known += (known.empty() ? "" : ", ") + name;
    const size_t named = wanted.erase(name) + wanted.erase(std::to_string(number)) +
                         wanted.erase(TextOf(account, "account_id"));
    if (accounts.empty() || named > 0) {
      actors_.push_back({name, {}, Json::object()});
    }
  }
  if (!wanted.empty()) {
    return absl::InvalidArgumentError(fmt::format(
        "--account: {} has no account '{}'; there are {}", simulator_, *wanted.begin(), known));
  }
  if (actors_.empty()) {
    return absl::FailedPreconditionError(
        fmt::format("{}: it has no account on which a scenario could be played", simulator_));
  }
  return absl::OkStatus();
}

Status Player::Play(const Scenario& scenario, const std::vector<std::string>& accounts) {
  played_ = 0;
  skipped_ = 0;
  DEALSTREAM_RETURN_IF_ERROR(FindActors(accounts));
  return PlaySteps(scenario.steps, scenario.skip_unsupported);
}

Status Player::PlaySteps(const std::vector<Step>& steps, bool skip_unsupported) {
  for (const Step& step : steps) {
    DEALSTREAM_RETURN_IF_ERROR(PlayStep(step, skip_unsupported));
  }
  return absl::OkStatus();
}

Status Player::PlayStep(const Step& step, bool skip_unsupported) {
  if (step.verb == Verb::kRepeat) {
    for (int i = 0; i < step.times; ++i) {
      DEALSTREAM_RETURN_IF_ERROR(PlaySteps(step.steps, skip_unsupported));
    }
    return absl::OkStatus();
  }
  if (step.verb == Verb::kWait) {
    report_(fmt::format("{}  wait {}", step.where, ToStd(absl::FormatDuration(step.wait))));
    sleep_(step.wait);
    ++played_;
    return absl::OkStatus();
  }
  if (step.verb == Verb::kLife || step.verb == Verb::kSettings) {
    const auto done = Send("POST", step.verb == Verb::kLife ? "life" : "settings", step.fields);
    DEALSTREAM_RETURN_IF_ERROR(
        Annotate(done.status(), fmt::format("{}: {}", step.where, step.name)));
    report_(fmt::format("{}  {} {}", step.where, step.name, ToLine(step.fields)));
    ++played_;
    return absl::OkStatus();
  }
  for (Actor& actor : actors_) {
    const auto done = Act(actor, step);
    if (!done.ok()) {
      if (skip_unsupported && ReasonOf(done.status()) == kUnsupported) {
        ++skipped_;
        report_(fmt::format("{}  {} {}  passed over: {}",
                            step.where,
                            step.name,
                            actor.account,
                            ToStd(done.status().message())));
        continue;
      }
      return Annotate(done.status(),
                      fmt::format("{}: {} {}", step.where, step.name, actor.account));
    }
    ++played_;
    report_(fmt::format("{}  {} {}  {}", step.where, step.name, actor.account, *done));
  }
  return absl::OkStatus();
}

std::string Player::Describe(const Json& truth) {
  std::string text = TextOf(truth, "id");
  for (const char* key : {"title", "stage", "amount"}) {
    const std::string value = TextOf(truth, key);
    text += value.empty() ? "" : fmt::format("  {} {}", key, value);
  }
  return text + (truth.value("gone", false) ? "  gone" : "");
}

Result<std::string> Player::Act(Actor& actor, const Step& step) {
  Json body = step.fields;
  body["account"] = actor.account;
  switch (step.verb) {
    case Verb::kCreate: {
      DEALSTREAM_ASSIGN_OR_RETURN(const Json truth, Send("POST", "deals", body));
      if (!step.deal.empty()) {
        actor.deals[step.deal] = TextOf(truth, "id");
      }
      return Describe(truth);
    }
    case Verb::kRequest: {
      DEALSTREAM_ASSIGN_OR_RETURN(const Json truth, Send("POST", "requests", body));
      return TextOf(truth, "id");
    }
    case Verb::kBurst: {
      DEALSTREAM_RETURN_IF_ERROR(Send("POST", "burst", body).status());
      return ToLine(step.fields);
    }
    case Verb::kFaults: {
      Json faults = actor.faults;
      if (step.name == "fail") {
        for (const char* other : {"status", "html", "hang", "cut"}) {
          faults.erase(other);
        }
      }
      faults.update(step.fields);
      const bool is_counted = step.fields.contains("for_requests");
      body = faults;
      if (is_counted && !actor.faults.empty()) {
        // They outlast those that are counted.
        body["otherwise"] = actor.faults;
      }
      body["account"] = actor.account;
      DEALSTREAM_RETURN_IF_ERROR(Send("POST", "faults", body).status());
      if (!is_counted) {
        actor.faults = faults;
      }
      return ToLine(faults);
    }
    case Verb::kHeal: {
      actor.faults = Json::object();
      DEALSTREAM_RETURN_IF_ERROR(
          Send("DELETE", "faults?account=" + Encode(actor.account), Json()).status());
      return std::string("no faults");
    }
    default:
      return ActOnDeal(actor, step);
  }
}

Result<std::string> Player::ActOnDeal(const Actor& actor, const Step& step) {
  const auto found = actor.deals.find(step.deal);
  if (found == actor.deals.end()) {
    return WithReason(absl::FailedPreconditionError(fmt::format(
                          "deal '{}' was not made: its `create` was passed over", step.deal)),
                      kUnsupported);
  }
  const std::string path = "deals/" + Encode(found->second);
  Json body = step.fields;
  body["account"] = actor.account;
  const std::string action =
      step.verb == Verb::kDuplicate ? "/notify"
      : step.verb == Verb::kOwn     ? "/" + Encode(step.own_step)
      : step.verb == Verb::kMove || step.verb == Verb::kPay || step.verb == Verb::kRefund
          ? "/" + step.name
          : "";
  DEALSTREAM_ASSIGN_OR_RETURN(
      const Json truth, Send(step.verb == Verb::kDelete ? "DELETE" : "POST", path + action, body));
  return Describe(truth);
}

Json Player::Summary() const {
  Json accounts = Json::array();
  for (const Actor& actor : actors_) {
    accounts.push_back({{"account", actor.account}, {"deals", actor.deals}});
  }
  return {{"accounts", std::move(accounts)}, {"played", played_}, {"skipped", skipped_}};
}

namespace {

constexpr char kFooter[] =
    R"(A scenario is YAML or JSON: {about, unsupported: skip|fail, steps: [...]}. Steps:
  create: {as: chair, title: Chair, amount: 12.50}     edit: {deal: chair, title: Table}
  move: chair | {deal: chair, stage: Won}              pay, refund: chair | {deal: chair, amount: 5}
  duplicate: chair    delete: chair                    own: {deal: chair, step: trash}
  request: {...}      burst: {deals: 10, changes: 50}  life: 2
  slow: 500ms | {latency: 500ms, for_requests: 10}     fail: 429 | html | hang | cut | {with: 429, for_requests: 3}
  reorder: true       faults: {drop_webhooks: 0.2}     heal
  settings: {...}     wait: 2s                         repeat: {times: 3, steps: [...]}
Those that ship are in tools/cli/scenarios.)";

struct SimulateOptions {
  std::string scenario;
  std::string simulator;
  std::vector<std::string> accounts;
  bool check = false;
  bool quiet = false;
};

Status Simulate(const SimulateOptions& options, const Environment& environment) {
  DEALSTREAM_ASSIGN_OR_RETURN(const Scenario scenario, LoadScenario(options.scenario));
  if (options.check) {
    std::cout << fmt::format("{}: good\n", options.scenario);
    return absl::OkStatus();
  }
  if (options.simulator.empty()) {
    return absl::InvalidArgumentError(
        "--simulator: absent, want an address like http://127.0.0.1:8300");
  }
  http::CurlOptions curl;
  curl.allow_loopback = true;
  DEALSTREAM_ASSIGN_OR_RETURN(const auto transport, http::CurlTransport::Create(std::move(curl)));
  const bool lines = !environment.json && !options.quiet;
  std::string address = options.simulator;
  while (address.ends_with('/')) {
    address.pop_back();
  }
  if (address.find("://") == std::string::npos) {
    address = "http://" + address;
  }
  Player player(*transport, address, absl::SleepFor, [lines](const std::string& line) {
    if (lines) {
      std::cout << line << std::endl;
    }
  });
  DEALSTREAM_RETURN_IF_ERROR(player.Play(scenario, options.accounts));
  if (environment.json) {
    std::cout << ToLine(player.Summary()) << "\n";
  }
  return absl::OkStatus();
}

}  // namespace

void AddSimulateCommand(CLI::App& app, Environment& environment, Status& outcome) {
  CLI::App* command =
      app.add_subcommand("simulate", "Play a scenario on a simulated CRM, whichever it is");
  auto options = std::make_shared<SimulateOptions>();
  command->add_option("scenario", options->scenario, "File of the scenario")->required();
  command->add_option("--simulator", options->simulator, "Address of the simulator");
  command->add_option("--account",
                      options->accounts,
                      "Name, number or id of an account; may be given again (default: all)");
  command->add_flag("--check", options->check, "Read the scenario and do nothing");
  command->add_flag("--quiet", options->quiet, "No line for each step");
  command->footer(kFooter);
  command->callback(
      [options, &environment, &outcome] { outcome = Simulate(*options, environment); });
}

}  // namespace dealstream::cli
