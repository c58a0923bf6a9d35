#include "libs/crm/sim/control.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "absl/strings/str_join.h"
#include <fmt/format.h>

#include "libs/base/strings.h"

namespace dealstream::crm::simkit {
namespace {

constexpr double kMostChangesPerSecond = 100'000;

Status Wrong(std::string_view key, const Json& found, std::string_view want) {
  return absl::InvalidArgumentError(fmt::format("{}: got {}, want {}", key, Dump(found), want));
}

void Add(std::map<std::string, int64_t>& to, const std::map<std::string, int64_t>& what) {
  for (const auto& [key, count] : what) {
    to[key] += count;
  }
}

void Add(Counters& to, const Counters& what) {
  Add(to.requests, what.requests);
  Add(to.answers, what.answers);
  Add(to.violations, what.violations);
  to.events += what.events;
  to.webhooks_sent += what.webhooks_sent;
  to.webhooks_attempts += what.webhooks_attempts;
  to.webhooks_acked += what.webhooks_acked;
  to.webhooks_lost += what.webhooks_lost;
  to.webhooks_dropped += what.webhooks_dropped;
  to.webhooks_pending += what.webhooks_pending;
}

Json CountersToJson(const Counters& counters) {
  return {{"requests", counters.requests},
          {"answers", counters.answers},
          {"violations", counters.violations},
          {"events", counters.events},
          {"webhooks",
           {{"sent", counters.webhooks_sent},
            {"attempts", counters.webhooks_attempts},
            {"acked", counters.webhooks_acked},
            {"lost", counters.webhooks_lost},
            {"dropped", counters.webhooks_dropped},
            {"pending", counters.webhooks_pending}}}};
}

Result<bool> ReadFlag(std::string_view key, const Json& value) {
  return value.is_boolean() ? Result<bool>(value.get<bool>()) : Wrong(key, value, "true or false");
}

Result<int64_t> ReadNumber(std::string_view key, const Json& value, int64_t least, int64_t most) {
  if (value.is_number_integer() && value.get<double>() >= static_cast<double>(least) &&
      value.get<double>() <= static_cast<double>(most)) {
    return value.get<int64_t>();
  }
  return Wrong(key, value, fmt::format("a whole number, {} to {}", least, most));
}

// true, false or a probability.
Result<double> ReadProbability(std::string_view key, const Json& value) {
  if (value.is_boolean()) {
    return value.get<bool>() ? 1.0 : 0.0;
  }
  if (value.is_number() && value.get<double>() >= 0 && value.get<double>() <= 1) {
    return value.get<double>();
  }
  return Wrong(key, value, "true, false or a probability");
}

// True when `name` is one of Faults' members; it's set then.
Result<bool> SetFault(Faults& faults, const std::string& name, const Json& value) {
  const auto number = [&](auto& member, int64_t least, int64_t most) -> Result<bool> {
    DEALSTREAM_ASSIGN_OR_RETURN(const int64_t read, ReadNumber(name, value, least, most));
    member = static_cast<std::remove_reference_t<decltype(member)>>(read);
    return true;
  };
  const auto flag = [&](bool& member) -> Result<bool> {
    DEALSTREAM_ASSIGN_OR_RETURN(member, ReadFlag(name, value));
    return true;
  };
  const auto probability = [&](double& member) -> Result<bool> {
    DEALSTREAM_ASSIGN_OR_RETURN(member, ReadProbability(name, value));
    return true;
  };
  if (name == "latency_ms") {
    return number(faults.latency_ms, 0, 600'000);
  }
  if (name == "status") {
    return number(faults.status, 0, 599);
  }
  if (name == "for_requests") {
    return number(faults.requests_left, -1, 1'000'000'000);
  }
  if (name == "delay_webhooks_ms") {
    return number(faults.delay_webhooks_ms, 0, 3'600'000);
  }
  if (name == "html") {
    return flag(faults.html);
  }
  if (name == "hang") {
    return flag(faults.hang);
  }
  if (name == "cut") {
    return flag(faults.cut);
  }
  if (name == "reorder") {
    return flag(faults.reorder);
  }
  if (name == "drop_webhooks") {
    return probability(faults.drop_webhooks);
  }
  if (name == "duplicate_webhooks") {
    return probability(faults.duplicate_webhooks);
  }
  if (name == "kind" && value.is_string()) {
    faults.kind = value.get<std::string>();
    return true;
  }
  return false;
}

// While it lives, an account may be silent: it ends however a step ends.
class Silence {
 public:
  Silence(bool& silent, bool wanted) : silent_(silent) { silent_ = wanted; }
  ~Silence() { silent_ = false; }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

 private:
  bool& silent_;
};

Json WithAccount(const DealTruth& truth, const Account& account) {
  Json json = truth.ToJson();
  json["account"] = account.name();
  return json;
}

http::ServerResponse ErrorAnswer(const Status& status) {
  return JsonAnswer({{"error", std::string(ToStd(status.message()))}, {"code", ReasonOf(status)}},
                    absl::IsNotFound(status) ? 404 : 400);
}

}  // namespace

Json Control::Accounts() const {
  Json list = Json::array();
  for (const auto& account : accounts_) {
    std::lock_guard lock(account->mutex());
    list.push_back({{"account", account->name()},
                    {"account_id", account->id()},
                    {"credential", account->Credential()}});
  }
  return list;
}

http::ServerResponse Control::Handle(const http::ServerRequest& request) {
  Result<Json> answer = Json();
  try {
    auto call = Read(request);
    answer = call.ok() ? Route(*call) : Result<Json>(call.status());
  } catch (const Json::exception& error) {
    answer = absl::InvalidArgumentError(error.what());
  }
  http::ServerResponse response = answer.ok() ? JsonAnswer(*answer) : ErrorAnswer(answer.status());
  response.body += "\n";
  return response;
}

Result<Control::Call> Control::Read(const http::ServerRequest& request) const {
  Call call;
  call.method = request.method;
  call.path = SplitPath(request.path);
  call.path.erase(call.path.begin());
  call.fields = Json::object();
  for (const auto& [name, value] : ParseQuery(request.query)) {
    call.fields[name] = value;
  }
  if (!request.body.empty()) {
    const Json body = Json::parse(request.body, nullptr, /*allow_exceptions=*/false);
    if (!body.is_object()) {
      return absl::InvalidArgumentError("the body must be an object of JSON");
    }
    for (const auto& [key, value] : body.items()) {
      call.fields[key] = value;
    }
  }
  const std::string name = TextOf(call.fields, "account");
  for (const auto& account : accounts_) {
    if (name.empty() || account->name() == name || std::to_string(account->number()) == name ||
        account->id() == name) {
      call.accounts.push_back(account.get());
    }
  }
  if (call.accounts.empty()) {
    return absl::InvalidArgumentError(
        fmt::format("account: got '{}', want one of /_sim/accounts", name));
  }
  DEALSTREAM_ASSIGN_OR_RETURN(call.silent,
                              ReadFlag("silent", call.fields.value("silent", Json(false))));
  call.fields.erase("account");
  call.fields.erase("silent");
  return call;
}

Result<Json> Control::Route(const Call& call) {
  const bool post = call.method == "POST";
  const std::string first = call.path.empty() ? "" : call.path.front();
  if (first == "deals") {
    return call.path.size() == 1 ? Deals(call) : OneDeal(call);
  }
  if (call.path.size() != 1) {
    return Own(call);
  }
  if (first == "accounts" && !post) {
    return Accounts();
  }
  if (first == "webhook" && post) {
    return Webhook(call);
  }
  if (first == "faults" && (post || call.method == "DELETE")) {
    return Faulty(call);
  }
  if (first == "stats" && !post) {
    return Stats(call);
  }
  if (first == "issued" && !post) {
    return Issued(call);
  }
  if (first == "settings" && post) {
    return Set(call);
  }
  if (first == "life" && post) {
    return Life(call);
  }
  if (first == "burst" && post) {
    return Burst(call);
  }
  if (first == "requests") {
    return Requests(call);
  }
  return Own(call);
}

Result<Json> Control::Webhook(const Call& call) {
  const std::string url = TextOf(call.fields, "url");
  std::string purpose = TextOf(call.fields, "purpose");
  purpose = purpose.empty() ? "deals" : purpose;
  DEALSTREAM_ASSIGN_OR_RETURN(const bool enabled,
                              ReadFlag("enabled", call.fields.value("enabled", Json(true))));
  for (Account* account : call.accounts) {
    std::lock_guard lock(account->mutex());
    DEALSTREAM_RETURN_IF_ERROR(account->SetWebhook(purpose, url, enabled));
  }
  return Json{{"accounts", call.accounts.size()}};
}

Result<Json> Control::Faulty(const Call& call) {
  Faults faults;
  Faults others;
  Json own = Json::object();
  DEALSTREAM_ASSIGN_OR_RETURN(const bool clear,
                              ReadFlag("clear", call.fields.value("clear", Json(false))));
  if (call.method == "POST" && !clear) {
    for (const auto& [name, value] : call.fields.items()) {
      DEALSTREAM_ASSIGN_OR_RETURN(const bool known, SetFault(faults, name, value));
      if (!known && name != "clear" && name != "otherwise") {
        own[name] = value;
      }
    }
    const Json otherwise = call.fields.value("otherwise", Json::object());
    if (!otherwise.is_object()) {
      return Wrong("otherwise", otherwise, "an object of faults");
    }
    for (const auto& [name, value] : otherwise.items()) {
      DEALSTREAM_ASSIGN_OR_RETURN(const bool known, SetFault(others, name, value));
      // The CRM's own hold in either case.
      if (!known && !own.contains(name)) {
        return Wrong("otherwise", name, "faults of answers");
      }
    }
    for (Faults* const one : {&faults, &others}) {
      one->status = one->html && one->status == 0 ? 503 : one->status;
    }
  }
  for (Account* account : call.accounts) {
    std::lock_guard lock(account->mutex());
    account->ClearOwnFaults();
    account->faults_ = faults;
    account->other_faults_ = others;
    for (const auto& [name, value] : own.items()) {
      if (const Status status = account->SetOwnFault(name, value); !status.ok()) {
        account->ClearOwnFaults();
        account->faults_ = {};
        account->other_faults_ = {};
        return status;
      }
    }
  }
  return Json{{"accounts", call.accounts.size()}};
}

Result<Json> Control::Stats(const Call& call) const {
  Counters total;
  Json accounts = Json::object();
  for (Account* account : call.accounts) {
    std::lock_guard lock(account->mutex());
    Add(total, account->counters());
    Json one = CountersToJson(account->counters());
    one["running"] = account->running();
    const Json more = account->MoreStats();
    for (const auto& [key, value] : more.items()) {
      one[key] = value;
    }
    accounts[account->name()] = std::move(one);
  }
  Json answer = CountersToJson(total);
  answer["accounts"] = std::move(accounts);
  return answer;
}

Json Control::Issued(const Call& call) {
  Json tokens = Json::array();
  for (Account* account : call.accounts) {
    std::lock_guard lock(account->mutex());
    for (const std::string& token : account->issued_) {
      tokens.push_back(token);
    }
  }
  return {{"tokens", std::move(tokens)}};
}

Result<Json> Control::Set(const Call& call) {
  for (const auto& [name, value] : call.fields.items()) {
    if (!value.is_number() && !value.is_boolean()) {
      return Wrong(name, value, "a number");
    }
    const double number = value.is_boolean() ? (value.get<bool>() ? 1 : 0) : value.get<double>();
    DEALSTREAM_RETURN_IF_ERROR(crm_.settings().Set(name, number));
  }
  return Json::object();
}

Result<Json> Control::Life(const Call& call) {
  const Json rate = call.fields.value("changes_per_second", Json());
  if (!rate.is_number() || rate.get<double>() < 0 || rate.get<double>() > kMostChangesPerSecond) {
    return Wrong("changes_per_second", rate, "0 to 100000");
  }
  changes_per_second_ = rate.get<double>();
  return Json{{"changes_per_second", rate}};
}

Result<Json> Control::Burst(const Call& call) {
  constexpr int64_t kMost = 1'000'000;
  DEALSTREAM_ASSIGN_OR_RETURN(const int64_t deals,
                              ReadNumber("deals", call.fields.value("deals", Json(0)), 0, kMost));
  DEALSTREAM_ASSIGN_OR_RETURN(
      const int64_t changes,
      ReadNumber("changes", call.fields.value("changes", Json(0)), 0, kMost));
  Json ids = Json::array();
  for (Account* account : call.accounts) {
    std::lock_guard lock(account->mutex());
    const Silence silence(account->silent_, call.silent);
    for (int64_t i = 0; i < deals; ++i) {
      ids.push_back(account->LiveNewDeal());
    }
    for (int64_t i = 0; i < changes; ++i) {
      account->LiveOneChange();
    }
  }
  return Json{{"deals", std::move(ids)}, {"changes", changes}};
}

Result<Json> Control::Deals(const Call& call) {
  if (call.method == "POST") {
    if (call.accounts.size() != 1) {
      return absl::InvalidArgumentError("account: want one of /_sim/accounts");
    }
    Account& account = *call.accounts.front();
    std::lock_guard lock(account.mutex());
    const Silence silence(account.silent_, call.silent);
    const auto made = account.CreateDeal(call.fields);
    return made.ok() ? Result<Json>(WithAccount(*made, account)) : made.status();
  }
  Json all = Json::array();
  for (Account* account : call.accounts) {
    std::lock_guard lock(account->mutex());
    for (const DealTruth& truth : account->Deals()) {
      all.push_back(WithAccount(truth, *account));
    }
  }
  return Json{{"deals", std::move(all)}};
}

Result<Json> Control::OneDeal(const Call& call) {
  const std::string& id = call.path[1];
  std::vector<std::string> names;
  Account* owner = nullptr;
  for (Account* account : call.accounts) {
    std::lock_guard lock(account->mutex());
    if (account->FindDeal(id).ok()) {
      names.push_back(account->name());
      owner = account;
    }
  }
  if (names.empty()) {
    return absl::NotFoundError(fmt::format("no such deal: {}", id));
  }
  if (names.size() > 1) {
    return absl::InvalidArgumentError(fmt::format(
        "account: several have a deal {}: {}; say which", id, absl::StrJoin(names, ", ")));
  }
  std::lock_guard lock(owner->mutex());
  const Silence silence(owner->silent_, call.silent);
  const auto truth = Act(*owner, call);
  return truth.ok() ? Result<Json>(WithAccount(*truth, *owner)) : truth.status();
}

Result<DealTruth> Control::Act(Account& account, const Call& call) {
  const std::string& id = call.path[1];
  if (call.path.size() == 2) {
    if (call.method == "DELETE") {
      return account.DeleteDeal(id, call.fields);
    }
    return call.method == "POST" ? account.EditDeal(id, call.fields) : account.FindDeal(id);
  }
  const std::string& step = call.path[2];
  if (call.method != "POST" || call.path.size() != 3) {
    return absl::NotFoundError("want POST /_sim/deals/<id>/<step>");
  }
  if (step == "move") {
    return account.MoveDeal(id, call.fields);
  }
  if (step == "pay") {
    return account.PayDeal(id, call.fields);
  }
  if (step == "refund") {
    return account.RefundDeal(id, call.fields);
  }
  if (step == "notify") {
    return account.NotifyDeal(id, call.fields);
  }
  return account.OwnDealStep(step, id, call.fields);
}

Result<Json> Control::Requests(const Call& call) {
  if (call.method == "POST") {
    if (call.accounts.size() != 1) {
      return absl::InvalidArgumentError("account: want one of /_sim/accounts");
    }
    Account& account = *call.accounts.front();
    std::lock_guard lock(account.mutex());
    const Silence silence(account.silent_, call.silent);
    return account.CreateRequest(call.fields);
  }
  Json all = Json::array();
  for (Account* account : call.accounts) {
    std::lock_guard lock(account->mutex());
    DEALSTREAM_ASSIGN_OR_RETURN(const Json some, account->Requests());
    for (Json request : some) {
      request["account"] = account->name();
      all.push_back(std::move(request));
    }
  }
  return Json{{"requests", std::move(all)}};
}

// Those accounts that don't know what is asked about are left out, unless none does.
Result<Json> Control::Own(const Call& call) {
  const std::string path = absl::StrJoin(call.path, "/");
  Json answers = Json::object();
  Status failure;
  for (Account* account : call.accounts) {
    std::lock_guard lock(account->mutex());
    const Silence silence(account->silent_, call.silent);
    auto answer = account->OwnControl(call.method, path, call.fields);
    if (answer.ok()) {
      answers[account->name()] = *std::move(answer);
    } else if (!absl::IsNotFound(answer.status()) || failure.ok()) {
      failure = answer.status();
    }
  }
  if (answers.empty()) {
    return failure;
  }
  return answers.size() == 1 ? answers.begin().value() : Json{{"accounts", std::move(answers)}};
}

}  // namespace dealstream::crm::simkit
