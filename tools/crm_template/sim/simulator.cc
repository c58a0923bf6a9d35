#include "libs/crm/newcrm/sim/simulator.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/sim/crm.h"
#include "libs/crm/sim/names.h"

namespace dealstream::crm::newcrm {
namespace {

using simkit::DealTruth;
using simkit::Json;

constexpr std::string_view kPrefix = "/v1/";
constexpr size_t kMostRows = 100;
// So many deals an account keeps; then life makes no more.
constexpr size_t kMostDeals = 1000;

struct Stage {
  std::string_view name;
  std::string_view kind;
};

constexpr Stage kStages[] = {
    {"New", "open"}, {"Talks", "open"}, {"Contract", "open"}, {"Won", "won"}, {"Lost", "lost"}};

struct Deal {
  int64_t id = 0;
  std::string title;
  // Decimal text; empty: none.
  std::string amount;
  // Index into kStages.
  size_t stage = 0;
  std::string client;
  std::string phone;
  absl::Time created;
  absl::Time updated;
  bool gone = false;
};

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

Json ToJson(const Deal& deal) {
  const Stage& stage = kStages[deal.stage];
  return {
      {"id", std::to_string(deal.id)},
      {"title", deal.title},
      {"amount", deal.amount.empty() ? Json() : Json(deal.amount)},
      {"currency", "RUB"},
      {"stage",
       {{"id", std::to_string(deal.stage + 1)}, {"name", stage.name}, {"kind", stage.kind}}},
      {"manager", {{"id", "1"}, {"name", "Лукина Вера"}}},
      {"client", {{"id", std::to_string(deal.id)}, {"name", deal.client}, {"phone", deal.phone}}},
      {"created", TimeText(deal.created)},
      {"updated", TimeText(deal.updated)}};
}

DealTruth TruthOf(const Deal& deal) {
  const Stage& stage = kStages[deal.stage];
  DealTruth truth;
  truth.id = std::to_string(deal.id);
  truth.title = deal.title;
  truth.stage = stage.name;
  truth.stage_kind = stage.kind == "won" ? "WON" : stage.kind == "lost" ? "LOST" : "OPEN";
  truth.amount = deal.amount.empty() ? std::nullopt : std::optional(deal.amount);
  truth.currency = "RUB";
  truth.updated = deal.updated;
  truth.gone = deal.gone;
  return truth;
}

class NewCrmAccount final : public simkit::Account {
 public:
  NewCrmAccount(int number,
                uint64_t seed,
                int deals,
                std::string origin,
                const simkit::Setting& requests_per_second)
      : Account(number, fmt::format("account{}", number), fmt::format("account{}", number), seed),
        key_(side_random().Hex(32)),
        origin_(std::move(origin)),
        requests_per_second_(requests_per_second) {
    for (int i = 0; i < deals; ++i) {
      LiveNewDeal();
    }
  }

  const std::string& key() const { return key_; }

  http::ServerResponse Serve(const http::ServerRequest& request) {
    const auto path = simkit::SplitPath(request.path);
    const bool one = path.size() == 3;
    return Pass(one ? "deal.get" : "deal.list", [&] {
      if (request.method != "GET" || path.size() < 2 || path[1] != "deals" || path.size() > 3) {
        return Fail(404);
      }
      return one ? GetDeal(path[2]) : ListDeals(simkit::ParseQuery(request.query));
    });
  }

  Json Credential() const override {
    return {{"account", name()}, {"key", key_}, {"base_url", origin_ + "/v1"}};
  }
  http::ServerResponse Fail(int status) override {
    auto response = simkit::JsonAnswer({{"error", status}}, status);
    if (status == 429) {
      response.headers.emplace_back("Retry-After", "1");
    }
    return response;
  }
  simkit::Limits limits() const override {
    return {requests_per_second_.Int(), absl::Seconds(1), /*parallel=*/0};
  }

  std::vector<DealTruth> Deals() const override {
    std::vector<DealTruth> deals;
    for (const auto& [id, deal] : deals_) {
      deals.push_back(TruthOf(deal));
    }
    return deals;
  }
  Result<DealTruth> FindDeal(const std::string& id) const override {
    const auto found = deals_.find(Number(id));
    return found == deals_.end() ? NoSuchDeal(id) : Result<DealTruth>(TruthOf(found->second));
  }
  Result<DealTruth> CreateDeal(const Json& fields) override {
    Deal deal = NewDeal();
    DEALSTREAM_RETURN_IF_ERROR(Edit(deal, fields));
    return Keep(std::move(deal), "deal.created");
  }
  Result<DealTruth> EditDeal(const std::string& id, const Json& fields) override {
    DEALSTREAM_ASSIGN_OR_RETURN(Deal deal, Alive(id));
    DEALSTREAM_RETURN_IF_ERROR(Edit(deal, fields));
    return Keep(std::move(deal), "deal.updated");
  }
  Result<DealTruth> MoveDeal(const std::string& id, const Json& fields) override {
    if (fields.contains("stage")) {
      return EditDeal(id, fields);
    }
    DEALSTREAM_ASSIGN_OR_RETURN(Deal deal, Alive(id));
    if (kStages[deal.stage].kind != "open") {
      return absl::InvalidArgumentError("stage: absent, and the deal is in its last one");
    }
    ++deal.stage;
    return Keep(std::move(deal), "deal.updated");
  }
  Result<DealTruth> DeleteDeal(const std::string& id, const Json&) override {
    DEALSTREAM_ASSIGN_OR_RETURN(Deal deal, Alive(id));
    deal.gone = true;
    return Keep(std::move(deal), "deal.deleted");
  }
  Result<DealTruth> NotifyDeal(const std::string& id, const Json&) override {
    DEALSTREAM_ASSIGN_OR_RETURN(const Deal deal, Alive(id));
    Notify(deal, "deal.updated");
    return TruthOf(deal);
  }

  std::string LiveNewDeal() override {
    Deal deal = NewDeal();
    deal.amount = fmt::format("{}.{:02}", random().Between(100, 99'999), random().Below(100));
    return Keep(std::move(deal), "deal.created").id;
  }
  void LiveOneChange() override {
    if (deals_.empty() || (random().Chance(0.3) && deals_.size() < kMostDeals)) {
      LiveNewDeal();
      return;
    }
    Deal deal =
        std::next(deals_.begin(), static_cast<std::ptrdiff_t>(random().Below(deals_.size())))
            ->second;
    if (deal.gone) {
      return;
    }
    if (random().Chance(0.03)) {
      deal.gone = true;
    } else if (random().Chance(0.5)) {
      deal.stage = random().Below(std::size(kStages));
    } else {
      deal.amount = fmt::format("{}.00", random().Between(100, 99'999));
    }
    const std::string event = deal.gone ? "deal.deleted" : "deal.updated";
    Keep(std::move(deal), event);
  }

 private:
  static int64_t Number(const std::string& id) {
    int64_t number = 0;
    return absl::SimpleAtoi(id, &number) ? number : -1;
  }

  static Status NoSuchDeal(const std::string& id) {
    return absl::NotFoundError(fmt::format("no such deal: {}", id));
  }

  Result<Deal> Alive(const std::string& id) const {
    const auto found = deals_.find(Number(id));
    return found == deals_.end() || found->second.gone ? Result<Deal>(NoSuchDeal(id))
                                                       : found->second;
  }

  Deal NewDeal() {
    Deal deal;
    deal.id = ++last_id_;
    deal.title = fmt::format("{} № {}", simkit::MakeProduct(random()), deal.id);
    deal.client = simkit::MakePerson(random()).Full();
    deal.phone = simkit::MakePhone(random());
    deal.created = absl::Now();
    return deal;
  }

  static Status Edit(Deal& deal, const Json& fields) {
    if (fields.contains("title")) {
      deal.title = simkit::TextOf(fields, "title");
    }
    if (fields.contains("amount")) {
      double number = 0;
      deal.amount = simkit::TextOf(fields, "amount");
      if (!deal.amount.empty() && !absl::SimpleAtod(deal.amount, &number)) {
        return absl::InvalidArgumentError(
            fmt::format("amount: got '{}', want a number or null", deal.amount));
      }
    }
    if (fields.contains("stage")) {
      const std::string name = simkit::TextOf(fields, "stage");
      const auto* const found = std::find_if(std::begin(kStages),
                                             std::end(kStages),
                                             [&](const auto& stage) { return stage.name == name; });
      if (found == std::end(kStages)) {
        return absl::InvalidArgumentError(
            fmt::format("stage: got '{}', want New, Talks, Contract, Won or Lost", name));
      }
      deal.stage = static_cast<size_t>(found - std::begin(kStages));
    }
    return absl::OkStatus();
  }

  DealTruth Keep(Deal deal, const std::string& event) {
    // Each change has a later time than all before, to the millisecond.
    const absl::Time now = absl::FromUnixMillis(absl::ToUnixMillis(absl::Now()));
    last_change_ = std::max(now, last_change_ + absl::Milliseconds(1));
    deal.updated = last_change_;
    Happened();
    Notify(deal, event);
    return TruthOf(deals_[deal.id] = std::move(deal));
  }

  void Notify(const Deal& deal, const std::string& event) {
    simkit::Webhook webhook;
    webhook.url = WebhookUrl();
    webhook.headers = {{"Content-Type", "application/json"}};
    webhook.body = simkit::Dump(
        {{"event", event}, {"deal", std::to_string(deal.id)}, {"delivery", side_random().Uuid()}});
    Send(std::move(webhook));
  }

  http::ServerResponse GetDeal(const std::string& id) {
    const auto deal = Alive(id);
    return deal.ok() ? simkit::JsonAnswer(ToJson(*deal)) : Fail(404);
  }

  http::ServerResponse ListDeals(const simkit::Parameters& parameters) {
    absl::Time since = absl::UnixEpoch();
    absl::Time until = absl::InfiniteFuture();
    size_t limit = kMostRows;
    int64_t after = 0;
    const auto time = [&](const char* name, absl::Time& to) {
      const std::string_view text = simkit::FindParameter(parameters, name);
      return text.empty() || absl::ParseTime(absl::RFC3339_full, ToAbsl(text), &to, nullptr);
    };
    const auto number = [&](const char* name, auto& to) {
      const std::string_view text = simkit::FindParameter(parameters, name);
      return text.empty() || absl::SimpleAtoi(ToAbsl(text), &to);
    };
    if (!time("since", since) || !time("until", until) || !number("limit", limit) ||
        !number("after", after) || limit < 1 || limit > kMostRows) {
      return Fail(400);
    }
    std::vector<const Deal*> rows;
    for (const auto& [id, deal] : deals_) {
      if (!deal.gone && deal.updated < until &&
          std::pair(deal.updated, id) > std::pair(since, after)) {
        rows.push_back(&deal);
      }
    }
    std::sort(rows.begin(), rows.end(), [](const Deal* a, const Deal* b) {
      return std::pair(a->updated, a->id) < std::pair(b->updated, b->id);
    });
    Json list = Json::array();
    for (size_t i = 0; i < std::min(limit, rows.size()); ++i) {
      list.push_back(
          {{"id", std::to_string(rows[i]->id)}, {"updated", TimeText(rows[i]->updated)}});
    }
    return simkit::JsonAnswer({{"total", rows.size()}, {"deals", std::move(list)}});
  }

  const std::string key_;
  const std::string origin_;
  const simkit::Setting& requests_per_second_;
  std::map<int64_t, Deal> deals_;
  int64_t last_id_ = 0;
  absl::Time last_change_;
};

class NewCrm final : public simkit::Crm {
 public:
  std::string name() const override { return "newcrm"; }

  std::unique_ptr<simkit::Account> MakeAccount(int number,
                                               uint64_t seed,
                                               const std::string& origin) override {
    auto account = std::make_unique<NewCrmAccount>(
        number, seed, initial_deals(), origin, requests_per_second_);
    by_key_["Bearer " + account->key()] = account.get();
    return account;
  }

  http::ServerResponse Serve(const http::ServerRequest& request) override {
    const auto found = by_key_.find(http::FindHeader(request.headers, "authorization"));
    if (!request.path.starts_with(kPrefix)) {
      return simkit::HtmlAnswer(404);
    }
    return found == by_key_.end() ? simkit::JsonAnswer({{"error", 401}}, 401)
                                  : found->second->Serve(request);
  }

  simkit::WebhookPolicy webhook_policy() const override {
    simkit::WebhookPolicy policy;
    policy.attempts = 3;
    return policy;
  }

 private:
  const simkit::Setting& requests_per_second_ =
      settings().Add("requests_per_second", 5, 0, 100'000);
  std::map<std::string, NewCrmAccount*, std::less<>> by_key_;
};

}  // namespace

Result<std::unique_ptr<Simulator>> MakeSimulator(const SimOptions& options) {
  return simkit::Start(std::make_unique<NewCrm>(), options);
}

}  // namespace dealstream::crm::newcrm
