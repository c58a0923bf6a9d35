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
#include "libs/crm/alfacrm/wire.h"

// What is asked and what comes of it is checked by the cases in testdata/read and testdata/list,
// which the conformance suite runs. Here is what they can't show: notes, and whole passes.
namespace dealstream::crm::alfacrm {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Json = nlohmann::json;

constexpr Purpose kDeals = integration::v1::PURPOSE_DEALS;

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
                          {"is_study", 0},
                          {"name", fmt::format("Лид {}", card.id)},
                          {"branch_ids", {card.branch}},
                          {"lead_status_id", status},
                          {"b_date", "2026-01-01 10:00:00"}});
          if (!card.updated.empty()) {
            rows.back()["updated_at"] = card.updated;
          }
        }
      }
    } else if (entity == "log") {
      rows = log;
      const Json entity_wanted = body.at("entity");
      Json kept = Json::array();
      for (const Json& row : rows) {
        if (row.at("entity") == entity_wanted) {
          kept.push_back(row);
        }
      }
      rows = kept;
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
  Json log = Json::array();
  int status = 2;
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
                          "/v2api/0/pay/index",
                          "/v2api/0/branch/index",
                          "/v2api/0/lead-status/index"));
  EXPECT_EQ(NamesOf(Source().Read(Lead(2), {}, account)),
            R"({"branch":{"2":"Онлайн"},"lead-status":{"2":"Новый"}})");
  EXPECT_THAT(account.TakeCalls(), ElementsAre("/v2api/0/customer/index", "/v2api/0/pay/index"));
  account.now += absl::Hours(1);
  NamesOf(Source().Read(Lead(2), {}, account));
  EXPECT_EQ(account.TakeCalls().size(), 4u) << "names may have changed";
}

TEST(SourceTest, ANewNumberIsLookedUpAtMostOnceAMinute) {
  Account account;
  account.cards = {{1, 1, "2026-02-01 10:00:00"}};
  NamesOf(Source().Read(Lead(1), {}, account));
  account.TakeCalls();
  account.status = 3;
  EXPECT_EQ(NamesOf(Source().Read(Lead(1), {}, account)), R"({"branch":{"1":"Центр"}})");
  EXPECT_EQ(account.TakeCalls().size(), 2u);
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

struct Pass {
  std::map<std::string, int64_t> objects;
  std::string cursor;
  int pages = 0;
};

Pass MakePass(Account& account, ListRequest request) {
  Pass pass;
  while (pass.pages < 200) {
    ++pass.pages;
    const auto page = Source().List(request, kDeals, {}, account);
    EXPECT_TRUE(page.ok()) << page.status();
    if (!page.ok()) {
      break;
    }
    for (const ListedObject& object : page->objects) {
      pass.objects[object.ref.external_id] = object.version;
    }
    pass.cursor = page->cursor;
    if (page->next_page_token.empty()) {
      break;
    }
    request.page_token = page->next_page_token;
  }
  return pass;
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
  EXPECT_EQ(pass.objects.size(), 81u);
  EXPECT_TRUE(pass.objects.contains("lead:500"));
  EXPECT_TRUE(pass.objects.contains("lead:1"));
  EXPECT_FALSE(pass.objects.contains("lead:3"));
  EXPECT_EQ(pass.cursor, "2026-02-25T06:13:20.000Z");
  // Two branches of two pages each (the account gives at most 50 rows) and five types of
  // payments, and two logs.
  EXPECT_EQ(pass.pages, 2 * (2 + 5) + 2);
  EXPECT_EQ(account.calls.front(), "/v2api/0/branch/index");
}

TEST(SourceTest, APassEndsThoughTheCrmSaysNonsense) {
  // Totals that are never reached, pages that never end.
  struct Endless final : Session {
    Result<http::Response> Send(const Call&) override {
      ++calls;
      return Answer(200, R"({"page":0,"count":1,"total":1000000,"items":[{"id":1,"name":"x"}]})");
    }
    absl::Time Now() const override { return absl::FromUnixSeconds(1'772'000'000); }
    int calls = 0;
  } session;
  ListRequest request;
  int pages = 0;
  for (; pages < 100; ++pages) {
    const auto page = Source().List(request, kDeals, {}, session);
    ASSERT_TRUE(page.ok()) << page.status();
    if (page->next_page_token.empty()) {
      break;
    }
    request.page_token = page->next_page_token;
  }
  EXPECT_LT(pages, 100);
}

TEST(SourceTest, AForbiddenLogDoesNotHoldUpAPass) {
  Account account;
  account.forbidden = {"/v2api/0/log/index"};
  const Pass pass = MakePass(account, {});
  EXPECT_FALSE(pass.cursor.empty());
  EXPECT_THAT(pass.objects, IsEmpty());
}

}  // namespace
}  // namespace dealstream::crm::alfacrm
