#include "libs/crm/alfacrm/record_source.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "libs/base/strings.h"
#include "libs/crm/alfacrm/client.h"
#include "libs/crm/alfacrm/settings.h"
#include "libs/crm/alfacrm/wire.h"
#include "libs/crm/api/fixture.h"

// What is asked and what comes of it is checked by the cases in testdata/read and testdata/list,
// which the conformance suite runs. Here is what they can't show: notes, and whole passes.
namespace dealstream::crm::alfacrm {
namespace {

using fixture::kDeals;
using fixture::Pass;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Json = nlohmann::json;

http::Response Answer(int status, std::string body, http::Headers headers = {}) {
  http::Response response;
  response.status = status;
  response.body = std::move(body);
  response.headers = std::move(headers);
  return response;
}

TEST(StatusOfAnswerTest, WaitsAsLongAsTheCrmSays) {
  const Status status = StatusOfAnswer("x", Answer(429, "{}", {{"retry-after", "7"}}));
  EXPECT_EQ(RetryAfter(status), absl::Seconds(7));
  EXPECT_EQ(ReasonOf(status), "rate_limited");
  // Without a header, with garbage in it, with a year.
  EXPECT_EQ(RetryAfter(StatusOfAnswer("x", Answer(429, ""))), absl::Seconds(1));
  EXPECT_EQ(RetryAfter(StatusOfAnswer("x", Answer(429, "{}", {{"retry-after", "soon"}}))),
            absl::Seconds(1));
  EXPECT_EQ(RetryAfter(StatusOfAnswer("x", Answer(429, "{}", {{"retry-after", "31536000"}}))),
            absl::Minutes(10));
}

TEST(StatusOfAnswerTest, EveryStatusHasADisposition) {
  for (int code = 100; code < 600; ++code) {
    for (const char* body : {"", "{}", "<html>", "[{}]", "garbage"}) {
      const Status status = StatusOfAnswer("x", Answer(code, body));
      const bool json = *body == '{' || *body == '[';
      EXPECT_EQ(status.ok(), code >= 200 && code < 300 && json) << code << body;
    }
  }
}

TEST(StatusOfAnswerTest, ShowsNothingOfTheBody) {
  const Status status =
      StatusOfAnswer("pay_index", Answer(400, R"({"message":"+79000001122 s3cret"})"));
  EXPECT_EQ(ToStd(status.message()), "pay_index: got status 400, want 200 with JSON");
}

// An account with cards, payments and a log; keeps notes as the reader does.
class Account final : public Session {
 public:
  struct Card {
    int64_t id;
    int64_t branch;
    std::string updated;
  };

  Result<http::Response> Send(const Call& call) override {
    EXPECT_EQ(call.method, "POST");
    EXPECT_TRUE(call.idempotent);
    calls.push_back(call.path);
    if (before_call) {
      before_call(call);
    }
    if (forbidden.contains(call.path)) {
      return Answer(403, R"({"name":"Forbidden","status":403})");
    }
    const Json body = Json::parse(call.body);
    const size_t slash = call.path.find('/', 7);
    const int64_t branch = std::stoll(call.path.substr(7, slash - 7));
    const std::string entity = call.path.substr(slash + 1, call.path.rfind('/') - slash - 1);
    Json rows = Json::array();
    if (entity == "customer") {
      for (const Card& card : cards) {
        const bool seen = branch == card.branch || (branch == 0 && default_scope_shows_all);
        const bool wanted = !body.contains("id") || body.at("id") == card.id;
        if (seen && wanted) {
          rows.push_back({{"id", card.id},
                          {"is_study", is_study},
                          {"name", fmt::format("Лид {}", card.id)},
                          {"branch_ids", {card.branch}},
                          {"lead_status_id", status},
                          {"b_date", "2026-01-01 10:00:00"}});
          if (!card.updated.empty()) {
            rows.back()["updated_at"] = card.updated;
          }
          rows.back().update(more);
        }
      }
    } else if (entity == "pay" || entity == "log") {
      for (const Json& row : entity == "pay" ? pays : log) {
        const int64_t home = row.value("branch", row.value("branch_id", 1));
        const bool seen = branch == home || (branch == 0 && default_scope_shows_all);
        bool wanted = true;
        for (const char* key : {"id", "entity", "entity_id", "customer_id", "pay_type_id"}) {
          wanted = wanted && (!body.contains(key) || body.at(key) == row.value(key, Json()));
        }
        if (seen && wanted) {
          rows.push_back(row);
        }
      }
    } else if (directories.contains(entity)) {
      for (const auto& [id, name] : directories[entity]) {
        rows.push_back({{"id", id}, {"name", name}});
      }
    }
    return Page(rows, body.value("page", 0), body.value("pageSize", 50));
  }
  absl::Time Now() const override { return now; }
  const std::string* Noted(std::string_view key, absl::Duration at_most) override {
    const auto found = notes.find(std::string(key));
    return found == notes.end() || now - found->second.first > at_most ? nullptr
                                                                       : &found->second.second;
  }
  void Note(std::string_view key, std::string value) override {
    notes[std::string(key)] = {now, std::move(value)};
  }

  // What was asked since the last time, shortened.
  std::vector<std::string> TakeCalls() { return std::exchange(calls, {}); }

  std::vector<Card> cards;
  // Rows are seen in their "branch", or "branch_id", or in 1.
  Json log = Json::array();
  Json pays = Json::array();
  int status = 2;
  int is_study = 0;
  // Further fields of all cards.
  Json more = Json::object();
  std::function<void(const Call&)> before_call;
  bool default_scope_shows_all = true;
  size_t page_limit = 50;
  std::map<std::string, std::map<int64_t, std::string>> directories = {
      {"branch", {{1, "Центр"}, {2, "Онлайн"}}}, {"lead-status", {{2, "Новый"}}}};
  std::set<std::string> forbidden;
  absl::Time now = absl::FromUnixSeconds(1'772'000'000);
  std::map<std::string, std::pair<absl::Time, std::string>> notes;
  std::vector<std::string> calls;

 private:
  // As the CRM does it: a page past the end is the last one again.
  Result<http::Response> Page(const Json& rows, int64_t page, int64_t size) const {
    const auto limit = std::min<int64_t>(size, static_cast<int64_t>(page_limit));
    const auto total = static_cast<int64_t>(rows.size());
    const int64_t last = std::max<int64_t>((total - 1) / limit, 0);
    page = std::min(page, last);
    Json items = Json::array();
    for (int64_t i = page * limit; i < std::min(total, (page + 1) * limit); ++i) {
      items.push_back(rows[static_cast<size_t>(i)]);
    }
    return Answer(
        200,
        Json{{"page", page}, {"count", items.size()}, {"total", total}, {"items", items}}.dump());
  }
};

ObjectRef Lead(int64_t id) { return {std::string(kLead), LeadId(id)}; }

std::string NamesOf(const Result<ReadObject>& object) {
  EXPECT_TRUE(object.ok()) << object.status();
  return object.ok() && !object->parts.empty() ? object->parts.back().second : "";
}

TEST(SourceTest, DirectoriesAreReadOnceForManyObjects) {
  Account account;
  account.cards = {{1, 1, "2026-02-01 10:00:00"}, {2, 2, "2026-02-01 10:00:00"}};
  EXPECT_EQ(NamesOf(Source().Read(Lead(1), {}, account)),
            R"({"branch":{"1":"Центр"},"lead-status":{"2":"Новый"}})");
  EXPECT_THAT(account.TakeCalls(),
              ElementsAre("/v2api/0/customer/index",
                          "/v2api/0/branch/index",
                          "/v2api/0/pay/index",
                          "/v2api/1/pay/index",
                          "/v2api/0/lead-status/index"));
  EXPECT_EQ(NamesOf(Source().Read(Lead(2), {}, account)),
            R"({"branch":{"2":"Онлайн"},"lead-status":{"2":"Новый"}})");
  EXPECT_THAT(account.TakeCalls(),
              ElementsAre("/v2api/0/customer/index", "/v2api/0/pay/index", "/v2api/2/pay/index"));
  account.now += absl::Hours(1);
  NamesOf(Source().Read(Lead(2), {}, account));
  EXPECT_EQ(account.TakeCalls().size(), 5u) << "names may have changed";
}

TEST(SourceTest, ANewNumberIsLookedUpAtMostOnceAMinute) {
  Account account;
  account.cards = {{1, 1, "2026-02-01 10:00:00"}};
  NamesOf(Source().Read(Lead(1), {}, account));
  account.TakeCalls();
  account.status = 3;
  EXPECT_EQ(NamesOf(Source().Read(Lead(1), {}, account)), R"({"branch":{"1":"Центр"}})");
  EXPECT_EQ(account.TakeCalls().size(), 3u);
  account.now += absl::Minutes(2);
  account.directories["lead-status"][3] = "Отказ";
  EXPECT_EQ(NamesOf(Source().Read(Lead(1), {}, account)),
            R"({"branch":{"1":"Центр"},"lead-status":{"3":"Отказ"}})");
  EXPECT_THAT(account.TakeCalls(), testing::Contains("/v2api/0/lead-status/index"));
}

TEST(SourceTest, AForbiddenLogIsLeftAloneForAWhile) {
  Account account;
  account.cards = {{1, 1, ""}};
  account.forbidden = {"/v2api/0/log/index"};
  NamesOf(Source().Read(Lead(1), {}, account));
  EXPECT_THAT(account.TakeCalls(), testing::Contains("/v2api/0/log/index"));
  NamesOf(Source().Read(Lead(1), {}, account));
  EXPECT_THAT(account.TakeCalls(), testing::Not(testing::Contains("/v2api/0/log/index")));
  account.now += absl::Minutes(31);
  NamesOf(Source().Read(Lead(1), {}, account));
  EXPECT_THAT(account.TakeCalls(), testing::Contains("/v2api/0/log/index"));
}

// A15: whatever the default scope shows, a lead of another branch isn't taken for deleted.
TEST(SourceTest, TheScopeThatShowedAnObjectIsAskedFirst) {
  Account account;
  account.default_scope_shows_all = false;
  account.cards = {{1, 2, "2026-02-01 10:00:00"}, {2, 1, "2026-02-01 10:00:00"}};
  EXPECT_FALSE(Source().Read(Lead(1), {}, account)->gone);
  account.TakeCalls();
  EXPECT_FALSE(Source().Read(Lead(1), {}, account)->gone);
  EXPECT_EQ(account.TakeCalls().front(), "/v2api/2/customer/index");
  EXPECT_FALSE(Source().Read(Lead(2), {}, account)->gone);
  EXPECT_TRUE(Source().Read(Lead(3), {}, account)->gone);
}

Pass MakePass(Session& account, const ListRequest& request) {
  return fixture::ListAll(Source(), account, request);
}

// A1: a sweep finds what webhooks lost, in all branches, and what was deleted.
TEST(SourceTest, APassGoesThroughBranchesPagesAndTheLog) {
  Account account;
  for (int i = 1; i <= 120; ++i) {
    account.cards.push_back(
        {i, i % 2 + 1, i % 3 == 0 ? "2026-01-01 10:00:00" : "2026-02-25 09:00:00"});
  }
  account.log.push_back({{"id", 1},
                         {"entity", "Customer"},
                         {"entity_id", 500},
                         {"fields_old", {{"name", "x"}}},
                         {"fields_new", Json::array()},
                         {"date_time", "2026-02-25 09:05:00"}});
  ListRequest request;
  request.cursor = "2026-02-25T05:59:00.000Z";
  const Pass pass = MakePass(account, request);
  EXPECT_EQ(pass.versions.size(), 81u);
  EXPECT_TRUE(pass.versions.contains("lead:500"));
  EXPECT_TRUE(pass.versions.contains("lead:1"));
  EXPECT_FALSE(pass.versions.contains("lead:3"));
  EXPECT_EQ(pass.cursor, "2026-02-25T06:13:20.000Z");
  // Two branches of two pages each (the account gives at most 50 rows) and five types of
  // payments, and two logs of each and of the default scope.
  EXPECT_EQ(pass.pages, 2 * (2 + 5) + 3 * 2);
  EXPECT_EQ(account.calls.front(), "/v2api/0/branch/index");
}

TEST(SourceTest, APassEndsThoughTheCrmSaysNonsense) {
  // Totals that are never reached, pages that never end.
  struct Endless final : Session {
    Result<http::Response> Send(const Call&) override {
      ++calls;
      return Answer(200, R"({"page":0,"count":1,"total":1000000,
                            "items":[{"id":1,"name":"x","entity":"Pay","entity_id":1}]})");
    }
    absl::Time Now() const override { return absl::FromUnixSeconds(1'772'000'000); }
    int calls = 0;
  } session;
  const Pass pass = MakePass(session, {});
  EXPECT_TRUE(pass.status.ok()) << pass.status;
  EXPECT_LT(pass.pages, 100);
}

ListRequest SweepFrom(std::string cursor) {
  ListRequest request;
  request.cursor = std::move(cursor);
  return request;
}

Json LogRowOf(int64_t id, std::string_view at, const Json& before, const Json& after) {
  return {{"id", id},
          {"entity", "Customer"},
          {"entity_id", 1},
          {"fields_old", before},
          {"fields_new", after},
          {"date_time", at}};
}

// What happened while the log was closed is swept when it is open again.
TEST(SourceTest, AClosedLogKeepsItsOwnPlace) {
  Account account;
  account.directories["branch"].erase(2);
  account.forbidden = {"/v2api/0/log/index"};
  const Pass closed = MakePass(account, SweepFrom("2026-02-25T05:59:00.000Z"));
  EXPECT_TRUE(closed.status.ok()) << closed.status;
  EXPECT_EQ(closed.cursor, "2026-02-25T06:13:20.000Z log/0=1771999140000000");
  account.log.push_back(LogRowOf(1, "2026-02-25 09:05:00", {{"name", "x"}}, Json::array()));
  account.forbidden.clear();
  account.now += absl::Hours(1);
  const Pass open = MakePass(account, SweepFrom(closed.cursor));
  EXPECT_TRUE(open.versions.contains("lead:1"));
  EXPECT_EQ(open.cursor, "2026-02-25T07:13:20.000Z");
}

// A card without a time of change has its version from the log: what is read without it is newer.
TEST(SourceTest, WithoutTheLogAChangeOfAnOldRowIsNoRepeat) {
  Account account;
  account.cards = {{1, 1, ""}};
  account.log.push_back(LogRowOf(1, "2026-02-20 09:05:00", {{"name", "x"}}, {{"name", "y"}}));
  const int64_t version = Source().Read(Lead(1), {}, account)->version;
  EXPECT_EQ(version, absl::ToUnixMicros(absl::FromUnixSeconds(1'771'567'500)));
  account.forbidden = {"/v2api/0/log/index", "/v2api/1/log/index"};
  account.now += absl::Minutes(10);
  EXPECT_GT(Source().Read(Lead(1), {}, account)->version, version);
}

// A2: a payment of the first sale becomes no deal of its own for as long as the log is closed.
TEST(SourceTest, WhatTheLogDecidedIsNotDecidedWithoutIt) {
  Account account;
  account.is_study = 1;
  account.cards = {{1, 1, "2026-02-01 10:00:00"}};
  account.pays = {{{"id", 7},
                   {"branch_id", 1},
                   {"customer_id", 1},
                   {"pay_type_id", 1},
                   {"income", "500"},
                   {"created_at", "2026-01-15 10:00:00"}}};
  account.log.push_back(LogRowOf(1, "2026-01-20 10:00:00", {{"is_study", 0}}, {{"is_study", 1}}));
  const ObjectRef pay{std::string(kPay), PayId(7)};
  EXPECT_TRUE(Source().Read(pay, {}, account)->gone);
  account.log = Json::array();
  account.forbidden = {"/v2api/0/log/index", "/v2api/1/log/index"};
  account.now += absl::Minutes(10);
  EXPECT_EQ(ReasonOf(Source().Read(pay, {}, account).status()), "log_forbidden");
  EXPECT_EQ(ReasonOf(Source().Read(Lead(1), {}, account).status()), "log_forbidden");
  // Where it never was open, the card is all we know.
  account.notes.clear();
  EXPECT_FALSE(Source().Read(pay, {}, account)->gone);
}

// A1: neither a list of branches that may not be read nor an old one makes a lead deleted.
TEST(SourceTest, WithoutTheBranchesNothingIsTakenForDeleted) {
  Account account;
  account.default_scope_shows_all = false;
  account.cards = {{1, 3, "2026-02-01 10:00:00"}};
  account.forbidden = {"/v2api/0/branch/index"};
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(ReasonOf(Source().Read(Lead(1), {}, account).status()), kObjectForbidden);
  }
  account.forbidden.clear();
  account.now += absl::Minutes(2);
  EXPECT_TRUE(Source().Read(Lead(1), {}, account)->gone) << "there is no such branch";
  account.directories["branch"][3] = "Новый";
  account.now += absl::Minutes(2);
  EXPECT_FALSE(Source().Read(Lead(1), {}, account)->gone) << "it was made a moment ago";
}

TEST(SourceTest, OneClosedBranchStopsNeitherTheOthersNorTheIntegration) {
  Account account;
  account.default_scope_shows_all = false;
  account.cards = {{1, 1, "2026-02-25 09:00:00"}, {2, 2, "2026-02-25 09:00:00"}};
  account.forbidden = {"/v2api/1/customer/index", "/v2api/1/pay/index"};
  EXPECT_FALSE(Source().Read(Lead(2), {}, account)->gone);
  const Status closed = Source().Read(Lead(1), {}, account).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(closed)) << closed;
  EXPECT_EQ(ReasonOf(closed), kObjectForbidden);
  const Pass pass = MakePass(account, SweepFrom("2026-02-25T05:59:00.000Z"));
  EXPECT_TRUE(pass.status.ok()) << pass.status;
  EXPECT_THAT(pass.versions, ElementsAre(testing::Key("lead:2")));
  EXPECT_EQ(pass.cursor, "2026-02-25T06:13:20.000Z rows/1=1771999140000000");
  // It goes on where it had been read to.
  account.forbidden.clear();
  account.now += absl::Hours(1);
  EXPECT_TRUE(MakePass(account, SweepFrom(pass.cursor)).versions.contains("lead:1"));
  account.forbidden = {"/v2api/1/customer/index",
                       "/v2api/1/pay/index",
                       "/v2api/2/customer/index",
                       "/v2api/2/pay/index"};
  const Pass blind = MakePass(account, SweepFrom("2026-02-25T05:59:00.000Z"));
  EXPECT_TRUE(absl::IsPermissionDenied(blind.status)) << blind.status;
}

// A15: a path with a branch shows that branch's payments and log.
TEST(SourceTest, MoneyAndLogOfOtherBranchesBelongToTheLead) {
  Account account;
  account.default_scope_shows_all = false;
  account.is_study = 1;
  account.cards = {{1, 1, "2026-02-01 10:00:00"}};
  account.more = {{"branch_ids", {1, 2}}};
  account.pays = {{{"id", 7},
                   {"branch_id", 2},
                   {"customer_id", 1},
                   {"pay_type_id", 1},
                   {"income", "500"},
                   {"created_at", "2026-01-15 10:00:00"}}};
  account.log.push_back(LogRowOf(1, "2026-01-20 10:00:00", {{"is_study", 0}}, {{"is_study", 1}}));
  account.log.back()["branch"] = 2;
  const auto lead = Source().Read(Lead(1), {}, account);
  ASSERT_TRUE(lead.ok()) << lead.status();
  std::string parts;
  for (const auto& [name, body] : lead->parts) {
    parts += fmt::format("{} {}\n", name, body);
  }
  EXPECT_THAT(parts, testing::HasSubstr(R"("id":7)"));
  EXPECT_THAT(parts, testing::HasSubstr(R"("client":true)"));
  EXPECT_TRUE(Source().Read({std::string(kPay), PayId(7)}, {}, account)->gone)
      << "it belongs to the first sale";
  account.TakeCalls();
  // Deletions in any branch are swept.
  account.log.back()["date_time"] = "2026-02-25 09:05:00";
  const Pass pass = MakePass(account, SweepFrom("2026-02-25T05:59:00.000Z"));
  EXPECT_TRUE(pass.versions.contains("lead:1"));
}

TEST(SourceTest, ABranchThatTheDefaultScopeShowsCostsNoCalls) {
  Account account;
  account.is_study = 1;
  account.cards = {{1, 1, "2026-02-01 10:00:00"}, {2, 1, "2026-02-01 10:00:00"}};
  account.pays = {{{"id", 7},
                   {"branch_id", 1},
                   {"customer_id", 1},
                   {"pay_type_id", 1},
                   {"income", "500"},
                   {"created_at", "2026-01-15 10:00:00"}}};
  const auto calls_of = [&](int64_t id) {
    EXPECT_TRUE(Source().Read(Lead(id), {}, account).ok());
    std::vector<std::string> calls = account.TakeCalls();
    std::erase_if(calls, [](const std::string& call) {
      return call.find("/pay/") == std::string::npos && call.find("/log/") == std::string::npos;
    });
    return calls;
  };
  EXPECT_THAT(calls_of(1), ElementsAre("/v2api/0/pay/index", "/v2api/0/log/index"));
  // The first one's payment told where those of the second would be shown.
  EXPECT_THAT(calls_of(2), ElementsAre("/v2api/0/pay/index"));
  account.now += absl::Hours(25);
  EXPECT_THAT(calls_of(2), testing::Contains("/v2api/1/pay/index"));
}

TEST(SourceTest, MoreThanCanBeReadIsAnErrorAndNoPartOfASum) {
  Account account;
  account.page_limit = 1;
  account.cards = {{1, 1, "2026-02-01 10:00:00"}};
  for (int i = 1; i <= 51; ++i) {
    account.pays.push_back({{"id", i}, {"branch_id", 1}, {"customer_id", 1}, {"pay_type_id", 1}});
  }
  const Status many = Source().Read(Lead(1), {}, account).status();
  EXPECT_TRUE(absl::IsDataLoss(many)) << many;
  EXPECT_EQ(ReasonOf(many), "too_many_pages");
  account.page_limit = 50;
  account.pays = {account.pays.front()};
  account.pays[0]["note"] = std::string(9'000'000, 'x');
  EXPECT_EQ(ReasonOf(Source().Read(Lead(1), {}, account).status()), "too_large");
}

TEST(SourceTest, APageOfTooManyRowsIsRefused) {
  struct Wide final : Session {
    Result<http::Response> Send(const Call&) override {
      Json items = Json::array();
      for (int i = 1; i <= 1001; ++i) {
        items.push_back({{"id", i}, {"name", "x"}});
      }
      return Answer(200,
                    Json{{"page", 0}, {"count", 1001}, {"total", 1001}, {"items", items}}.dump());
    }
    absl::Time Now() const override { return absl::FromUnixSeconds(1'772'000'000); }
  } session;
  const Status status = Source().List({}, kDeals, {}, session).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
}

// Eleven payments without a time on the day of the conversion are all dated by the log.
TEST(SourceTest, PaymentsWithoutATimeAreTreatedAlike) {
  Account account;
  account.is_study = 1;
  account.cards = {{1, 1, "2026-02-01 10:00:00"}};
  account.log.push_back(LogRowOf(1, "2026-01-20 10:00:00", {{"is_study", 0}}, {{"is_study", 1}}));
  for (int i = 1; i <= 11; ++i) {
    account.pays.push_back({{"id", i},
                            {"branch_id", 1},
                            {"customer_id", 1},
                            {"pay_type_id", 1},
                            {"document_date", "2026-01-20"}});
    account.log.push_back({{"id", 100 + i},
                           {"entity", "Pay"},
                           {"entity_id", i},
                           {"fields_old", Json::array()},
                           {"fields_new", {{"customer_id", 1}}},
                           {"date_time", "2026-01-20 12:00:00"}});
  }
  const auto lead = Source().Read(Lead(1), {}, account);
  ASSERT_TRUE(lead.ok()) << lead.status();
  EXPECT_THAT(lead->parts[lead->parts.size() - 2].second, testing::HasSubstr(R"("id":11,)"));
}

// A log whose rows have no number of their own is read like any other.
TEST(SourceTest, RowsOfALogNeedNoNumber) {
  Account account;
  account.is_study = 1;
  account.status = 0;
  account.cards = {{1, 1, "2026-02-01 10:00:00"}};
  account.log.push_back(LogRowOf(1, "2026-01-10 10:00:00", {{"name", "x"}}, {{"name", "y"}}));
  account.log.push_back(LogRowOf(1, "2026-01-20 10:00:00", {{"is_study", 0}}, {{"is_study", 1}}));
  for (Json& row : account.log) {
    row.erase("id");
  }
  EXPECT_FALSE(Source().Read(Lead(1), {}, account)->gone) << "it was a lead by the log";
}

// Rows of an earlier page are deleted while the pages are read: those behind slide forward.
TEST(SourceTest, APassLosesNoRowThatMoves) {
  for (const int deleted : {1, 40, 49, 120}) {
    Account account;
    account.directories["branch"].erase(2);
    for (int i = 1; i <= 250; ++i) {
      account.cards.push_back({i, 1, "2026-02-25 09:00:00"});
    }
    int calls = 0;
    account.before_call = [&](const Session::Call& call) {
      if (call.path == "/v2api/1/customer/index" && ++calls == 2) {
        account.cards.erase(account.cards.begin(), account.cards.begin() + deleted);
      }
    };
    const Pass pass = MakePass(account, SweepFrom("2026-02-25T05:59:00.000Z"));
    EXPECT_TRUE(pass.status.ok()) << pass.status;
    for (int i = deleted + 1; i <= 250; ++i) {
      EXPECT_TRUE(pass.versions.contains(LeadId(i))) << deleted << " " << i;
    }
  }
}

TEST(SourceTest, APassThatCannotBeMadeSureOfKeepsItsCursor) {
  Account account;
  account.directories["branch"].erase(2);
  for (int i = 1; i <= 5000; ++i) {
    account.cards.push_back({i, 1, "2026-02-25 09:00:00"});
  }
  account.before_call = [&](const Session::Call& call) {
    if (call.path == "/v2api/1/customer/index" && account.cards.size() > 300) {
      account.cards.erase(account.cards.begin(), account.cards.begin() + 150);
    }
  };
  const Pass pass = MakePass(account, SweepFrom("2026-02-25T05:59:00.000Z"));
  EXPECT_TRUE(absl::IsDataLoss(pass.status)) << pass.status;
  EXPECT_EQ(ReasonOf(pass.status), "unstable_order");
  EXPECT_THAT(pass.cursor, IsEmpty());
}

// One odd row is a matter of its own reading; the others are swept.
TEST(SourceTest, AnOddRowStopsNoPass) {
  Account account;
  account.directories["branch"].erase(2);
  account.cards = {{1, 1, "2026-02-25 09:00:00"}};
  account.more = {{"assigned_id", -1}, {"teacher_ids", "14,15"}, {"is_study", 2}};
  account.pays = {{{"id", 7},
                   {"branch_id", 1},
                   {"customer_id", -5},
                   {"pay_type_id", 1},
                   {"updated_at", "2026-02-25 09:00:00"}}};
  account.log.push_back(LogRowOf(1, "2026-02-25 09:05:00", Json::array(), "is_study=1"));
  account.log.back()["entity_id"] = 2;
  account.log.push_back(account.log.back());
  account.log.back()["entity"] = "Pay";
  account.log.back()["entity_id"] = 8;
  const Pass pass = MakePass(account, SweepFrom("2026-02-25T05:59:00.000Z"));
  EXPECT_TRUE(pass.status.ok()) << pass.status;
  for (const char* id : {"lead:1", "lead:2", "pay:7", "pay:8"}) {
    EXPECT_TRUE(pass.versions.contains(id)) << id;
  }
  EXPECT_TRUE(absl::IsDataLoss(Source().Read(Lead(1), {}, account).status()));
}

TEST(SourceTest, RowsWithoutIdArePassedOverUnlessAllAre) {
  Account account;
  account.directories["branch"].erase(2);
  account.cards = {{1, 1, "2026-02-25 09:00:00"}};
  account.more = {{"id", Json::array({1})}};
  EXPECT_THAT(ToStd(MakePass(account, {}).status.message()),
              testing::HasSubstr("no id that can be read"));
  account.log.push_back(LogRowOf(1, "2026-02-25 09:05:00", Json::array(), Json::array()));
  account.log.push_back(account.log.back());
  account.log.back()["entity_id"] = "new";
  account.cards.clear();
  const Pass pass = MakePass(account, SweepFrom("2026-02-25T05:59:00.000Z"));
  EXPECT_TRUE(pass.status.ok()) << pass.status;
  EXPECT_TRUE(pass.versions.contains("lead:1"));
}

TEST(SourceTest, APassBeginsAnewWhenItsStepsChange) {
  Account account;
  account.cards = {{1, 1, "2026-02-25 09:00:00"}};
  ListRequest request = SweepFrom("2026-02-25T05:59:00.000Z");
  const auto first = Source().List(request, kDeals, {}, account);
  ASSERT_TRUE(first.ok()) << first.status();
  request.page_token = first->next_page_token;
  account.TakeCalls();
  v1::Settings settings;
  settings.add_income_types(11);
  google::protobuf::Any packed;
  packed.PackFrom(settings);
  ASSERT_TRUE(Source().List(request, kDeals, packed, account).ok());
  EXPECT_THAT(account.TakeCalls(), testing::Contains("/v2api/1/customer/index"));
}

TEST(SourceTest, AForbiddenLogDoesNotHoldUpAPass) {
  Account account;
  account.forbidden = {"/v2api/0/log/index"};
  const Pass pass = MakePass(account, {});
  EXPECT_TRUE(pass.status.ok()) << pass.status;
  EXPECT_FALSE(pass.cursor.empty());
  EXPECT_THAT(pass.versions, IsEmpty());
}

}  // namespace
}  // namespace dealstream::crm::alfacrm
