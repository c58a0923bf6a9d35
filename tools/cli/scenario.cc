#include "tools/cli/scenario.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "fmt/format.h"
#include "yaml-cpp/yaml.h"

#include "libs/base/strings.h"

namespace dealstream::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kMostTimes = 1'000'000;
constexpr int kMostDepth = 8;

struct VerbSpec {
  std::string_view name;
  Verb verb;
  // Says in an error what is expected.
  std::string_view want;
};

constexpr VerbSpec kVerbs[] = {
    {"create", Verb::kCreate, "a map of the deal's fields, or nothing"},
    {"edit", Verb::kEdit, "{deal: name, field: value…}"},
    {"move", Verb::kMove, "a deal's name, or {deal: name, stage: stage}"},
    {"pay", Verb::kPay, "a deal's name, or {deal: name, amount: amount}"},
    {"refund", Verb::kRefund, "a deal's name, or {deal: name, amount: amount}"},
    {"duplicate", Verb::kDuplicate, "a deal's name, or {deal: name}"},
    {"delete", Verb::kDelete, "a deal's name, or {deal: name}"},
    {"own", Verb::kOwn, "{deal: name, step: step}"},
    {"request", Verb::kRequest, "a map of the request's fields, or nothing"},
    {"burst", Verb::kBurst, "{deals: number, changes: number}"},
    {"life", Verb::kLife, "changes a second, a number"},
    {"slow", Verb::kFaults, "a duration (500ms), or {latency: duration, for_requests: number}"},
    {"fail",
     Verb::kFaults,
     "a status (429), html, hang or cut, or {with: one of these, for_requests: number}"},
    {"reorder", Verb::kFaults, "true or false"},
    {"faults", Verb::kFaults, "a map of the simulator's faults"},
    {"heal", Verb::kHeal, "nothing"},
    {"settings", Verb::kSettings, "a map of the simulator's settings"},
    {"wait", Verb::kWait, "a duration (2s, 100ms)"},
    {"repeat", Verb::kRepeat, "{times: number, steps: [step…]}"},
};

bool IsQuoted(const YAML::Node& node) { return node.Tag() == "!"; }

Json ScalarToJson(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (IsQuoted(node)) {
    return text;
  }
  if (text == "true" || text == "false") {
    return text == "true";
  }
  int64_t whole = 0;
  double number = 0;
  if (absl::SimpleAtoi(text, &whole)) {
    return whole;
  }
  // "nan" and "inf" are words here.
  if (text.find_first_of("0123456789") != std::string::npos && absl::SimpleAtod(text, &number)) {
    return number;
  }
  return text;
}

Json ToJson(const YAML::Node& node) {
  if (node.IsScalar()) {
    return ScalarToJson(node);
  }
  Json json;
  if (node.IsMap()) {
    json = Json::object();
    for (const auto& entry : node) {
      json[entry.first.as<std::string>()] = ToJson(entry.second);
    }
  } else if (node.IsSequence()) {
    json = Json::array();
    for (const auto& item : node) {
      json.push_back(ToJson(item));
    }
  }
  return json;
}

class Parser {
 public:
  explicit Parser(std::string file) : file_(std::move(file)) {}

  Result<Scenario> Parse(const YAML::Node& root) {
    if (!root.IsMap()) {
      return Wrong(root, "the file", root, "a map with steps");
    }
    Scenario scenario;
    for (const auto& entry : root) {
      const auto key = entry.first.as<std::string>();
      if (key == "about" && entry.second.IsScalar()) {
        scenario.about = entry.second.Scalar();
      } else if (key == "unsupported") {
        const Json value = ToJson(entry.second);
        if (value != "skip" && value != "fail") {
          return Wrong(entry.second, key, entry.second, "skip or fail");
        }
        scenario.skip_unsupported = value == "skip";
      } else if (key == "steps") {
        DEALSTREAM_ASSIGN_OR_RETURN(scenario.steps, ParseSteps(entry.second, 0));
      } else {
        return Error(entry.first,
                     fmt::format("{}: unknown; there are about, unsupported, steps", key));
      }
    }
    if (scenario.steps.empty()) {
      return Error(root, "steps: none");
    }
    return scenario;
  }

 private:
  std::string Where(const YAML::Node& node) const {
    return fmt::format("{}:{}", file_, node.Mark().line + 1);
  }

  Status Error(const YAML::Node& at, std::string_view text) const {
    return absl::InvalidArgumentError(fmt::format("{}: {}", Where(at), text));
  }

  Status Wrong(const YAML::Node& at,
               std::string_view key,
               const YAML::Node& found,
               std::string_view want) const {
    std::string shown = found.IsNull() ? "nothing" : ToJson(found).dump();
    constexpr size_t kMost = 80;
    if (shown.size() > kMost) {
      shown = found.IsMap() ? "a map" : "a list";
    }
    return Error(at, fmt::format("{}: got {}, want {}", key, shown, want));
  }

  Result<std::vector<Step>> ParseSteps(const YAML::Node& list, int depth) {
    if (!list.IsSequence()) {
      return Wrong(list, "steps", list, "a list");
    }
    if (depth > kMostDepth) {
      return Error(list, "steps: too deep");
    }
    std::vector<Step> steps;
    for (const auto& item : list) {
      DEALSTREAM_ASSIGN_OR_RETURN(Step step, ParseStep(item, depth));
      steps.push_back(std::move(step));
    }
    return steps;
  }

  Result<Step> ParseStep(const YAML::Node& item, int depth) {
    // "- heal" alone is a text.
    const bool bare = item.IsScalar();
    if (!bare && (!item.IsMap() || item.size() != 1)) {
      return Wrong(item, "step", item, "one word with its value, like `move: chair`");
    }
    const auto name = bare ? item.Scalar() : item.begin()->first.as<std::string>();
    const YAML::Node value = bare ? YAML::Node() : item.begin()->second;
    const auto spec = std::find_if(std::begin(kVerbs), std::end(kVerbs), [&name](const auto& verb) {
      return verb.name == name;
    });
    if (spec == std::end(kVerbs)) {
      std::string known;
      for (const VerbSpec& verb : kVerbs) {
        known += fmt::format("{}{}", known.empty() ? "" : ", ", verb.name);
      }
      return Error(item, fmt::format("{}: no such step; there are {}", name, known));
    }
    Step step;
    step.verb = spec->verb;
    step.name = name;
    step.where = Where(item);
    if (!Fill(step, value)) {
      return Wrong(item, name, value, spec->want);
    }
    if (step.verb == Verb::kRepeat) {
      DEALSTREAM_ASSIGN_OR_RETURN(step.steps, ParseSteps(value["steps"], depth + 1));
    }
    DEALSTREAM_RETURN_IF_ERROR(CheckDeal(step, item));
    return step;
  }

  Status CheckDeal(const Step& step, const YAML::Node& at) {
    if (step.verb == Verb::kCreate) {
      deals_.insert(step.deal);
      return absl::OkStatus();
    }
    if (step.deal.empty() || deals_.contains(step.deal)) {
      return absl::OkStatus();
    }
    return Error(at,
                 fmt::format("{}: no deal is called '{}'; `create: {{as: {}}}` comes first",
                             step.name,
                             step.deal,
                             step.deal));
  }

  // False when the value isn't what the step wants.
  static bool Fill(Step& step, const YAML::Node& value) {
    switch (step.verb) {
      case Verb::kWait:
        return FillDuration(value, step.wait);
      case Verb::kLife:
        step.fields["changes_per_second"] = ToJson(value);
        return step.fields["changes_per_second"].is_number();
      case Verb::kHeal:
        return value.IsNull();
      case Verb::kFaults:
        return FillFaults(step, value);
      case Verb::kSettings:
      case Verb::kBurst:
        return FillFields(step, value) && value.IsMap();
      case Verb::kRequest:
        return FillFields(step, value);
      case Verb::kCreate:
        return FillFields(step, value) && TakeText(step, "as", step.deal);
      case Verb::kRepeat:
        return FillRepeat(step, value);
      case Verb::kOwn:
        return FillDeal(step, value) && TakeText(step, "step", step.own_step) &&
               !step.own_step.empty();
      case Verb::kEdit:
        return FillDeal(step, value) && !step.fields.empty();
      default:
        return FillDeal(step, value);
    }
  }

  static bool FillDuration(const YAML::Node& value, absl::Duration& duration) {
    return value.IsScalar() && absl::ParseDuration(value.Scalar(), &duration) &&
           duration >= absl::ZeroDuration() && duration < absl::Hours(24);
  }

  static bool FillFields(Step& step, const YAML::Node& value) {
    if (!value.IsMap() && !value.IsNull()) {
      return false;
    }
    if (value.IsMap()) {
      step.fields = ToJson(value);
    }
    return !step.fields.contains("account");
  }

  // Moves a text out of the fields; absent is fine.
  static bool TakeText(Step& step, const char* key, std::string& text) {
    const auto found = step.fields.find(key);
    if (found == step.fields.end()) {
      return true;
    }
    if (!found->is_string() || found->get<std::string>().empty()) {
      return false;
    }
    text = found->get<std::string>();
    step.fields.erase(found);
    return true;
  }

  static bool FillDeal(Step& step, const YAML::Node& value) {
    if (value.IsScalar()) {
      step.deal = value.Scalar();
      return !step.deal.empty();
    }
    return FillFields(step, value) && TakeText(step, "deal", step.deal) && !step.deal.empty();
  }

  static bool FillRepeat(Step& step, const YAML::Node& value) {
    if (!value.IsMap() || value.size() != 2 || !value["times"] || !value["steps"]) {
      return false;
    }
    return value["times"].IsScalar() && absl::SimpleAtoi(value["times"].Scalar(), &step.times) &&
           step.times >= 1 && step.times <= kMostTimes;
  }

  static bool FillFaults(Step& step, const YAML::Node& value) {
    if (step.name == "faults") {
      return value.IsMap() && FillFields(step, value);
    }
    if (step.name == "reorder") {
      step.fields["reorder"] = ToJson(value);
      return step.fields["reorder"].is_boolean();
    }
    const char* const key = step.name == "slow" ? "latency" : "with";
    YAML::Node what = value;
    if (value.IsMap()) {
      for (const auto& entry : value) {
        const auto name = entry.first.as<std::string>();
        if (name == "for_requests" || name == "kind") {
          step.fields[name] = ToJson(entry.second);
        } else if (name != key) {
          return false;
        }
      }
      if (!value[key]) {
        return false;
      }
      what.reset(value[key]);
    }
    return step.name == "slow" ? FillSlow(step, what) : FillFail(step, what);
  }

  static bool FillSlow(Step& step, const YAML::Node& value) {
    absl::Duration latency;
    if (!FillDuration(value, latency)) {
      return false;
    }
    step.fields["latency_ms"] = absl::ToInt64Milliseconds(latency);
    return true;
  }

  static bool FillFail(Step& step, const YAML::Node& value) {
    const Json with = ToJson(value);
    if (with.is_number_integer() && with >= 100 && with <= 599) {
      step.fields["status"] = with;
      return true;
    }
    if (with == "html" || with == "hang" || with == "cut") {
      step.fields[with.get<std::string>()] = true;
      return true;
    }
    return false;
  }

  const std::string file_;
  // Those that some step has made so far; the others' order is checked by their place in the file.
  std::set<std::string> deals_;
};

}  // namespace

Result<Scenario> ParseScenario(const std::string& text, const std::string& file) {
  try {
    return Parser(file).Parse(YAML::Load(text));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(
        fmt::format("{}:{}: not YAML: {}", file, error.mark.line + 1, error.msg));
  }
}

Result<Scenario> LoadScenario(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    return absl::InvalidArgumentError(fmt::format("{}: the file can't be read", path));
  }
  std::ostringstream text;
  text << file.rdbuf();
  return ParseScenario(text.str(), path);
}

}  // namespace dealstream::cli
