#include "libs/crm/megaplan/record_source.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/api/fixture.h"
#include "libs/crm/megaplan/client.h"
#include "libs/crm/megaplan/wire.h"

// What is asked and what comes of it is checked by the cases in testdata/read and testdata/list,
// which the conformance suite runs. Here is what they can't show.
namespace dealstream::crm::megaplan {
namespace {

using fixture::kDeals;
using fixture::Pass;

http::Response Answer(int status, std::string body, http::Headers headers = {}) {
  http::Response response;
  response.status = status;
  response.body = std::move(body);
  response.headers = std::move(headers);
  return response;
}

TEST(StatusOfAnswerTest, WaitsAsLongAsTheCrmSays) {
  const std::string body = R"({"meta":{"status":429,"errors":[]},"data":null})";
  const Status status = StatusOfAnswer("x", Answer(429, body, {{"retry-after", "7"}}));
  EXPECT_EQ(RetryAfter(status), absl::Seconds(7));
  EXPECT_EQ(ReasonOf(status), "rate_limited");
  // Without the header, with garbage in it, with a year.
  EXPECT_EQ(RetryAfter(StatusOfAnswer("x", Answer(429, body))), absl::Seconds(60));
  for (const char* garbage : {"soon", "-1", "0", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT"}) {
    EXPECT_EQ(RetryAfter(StatusOfAnswer("x", Answer(429, body, {{"retry-after", garbage}}))),
              absl::Seconds(60));
  }
  for (const char* year : {"31536000", "99999999999999999999"}) {
    EXPECT_EQ(RetryAfter(StatusOfAnswer("x", Answer(429, body, {{"retry-after", year}}))),
              absl::Minutes(10));
  }
}

TEST(StatusOfAnswerTest, ShowsNothingOfTheBody) {
  const Status status = StatusOfAnswer(
      "get_deal",
      Answer(422,
             R"({"meta":{"status":422,"errors":[{"field":"s3 cret","message":"+79000001122"}]}})"));
  EXPECT_EQ(ToStd(status.message()), "get_deal: got status 422, want 200 with JSON");
}

TEST(StatusOfAnswerTest, EveryStatusHasADisposition) {
  for (int code = 100; code < 600; ++code) {
    for (const char* body : {"", "{}", "<html>", R"({"meta":{"errors":[[]]}})", "garbage", "["}) {
      const Status status = StatusOfAnswer("x", Answer(code, body));
      const bool json = *body == '{' || *body == '[';
      EXPECT_EQ(status.ok(), code >= 200 && code < 300 && json) << code << body;
      EXPECT_NE(DispositionOf(status), Disposition::kBug) << code << body;
    }
  }
}

// The calls say what the CRM demands.
TEST(ClientTest, ArgumentsAreOneObject) {
  struct Recorder final : Session {
    Result<http::Response> Send(const Call& call) override {
      calls.push_back(call);
      return Answer(200, "{}");
    }
    absl::Time Now() const override { return absl::UnixEpoch(); }
    std::vector<Call> calls;
  } session;
  Answers answers;
  Client client(session, answers);
  EXPECT_TRUE(client.GetDeal("1").ok());
  EXPECT_TRUE(client.GetEntity(kEmployeeType, "2").ok());
  EXPECT_TRUE(client.ListDeals("3").ok());
  ASSERT_EQ(session.calls.size(), 3u);
  for (const auto& call : session.calls) {
    EXPECT_EQ(call.method, "GET");
    EXPECT_TRUE(call.idempotent);
    EXPECT_THAT(call.headers,
                ::testing::ElementsAre(::testing::Pair("Accept", "application/json")));
  }
  EXPECT_TRUE(session.calls[0].query.empty());
  ASSERT_EQ(session.calls[2].query.size(), 1u);
  EXPECT_EQ(session.calls[2].query[0].first, "");
}

// The client's answer has the manager in full: one call less.
TEST(ReadTest, OneAnswerExplainsAnother) {
  struct Crm final : Session {
    Result<http::Response> Send(const Call& call) override {
      paths.push_back(call.path);
      return call.path == "/deal/1"
                 ? Answer(200, R"({"data":{"contentType":"Deal","id":"1",
                     "timeUpdated":{"value":"2026-03-02T15:48:58+00:00"},
                     "contractor":{"contentType":"ContractorCompany","id":"2"},
                     "contact":{"contentType":"Employee","id":"3"}}})")
                 : Answer(200, R"({"data":{"contentType":"ContractorCompany","id":"2","name":"x",
                     "responsibles":[{"contentType":"Employee","id":"3","name":"y"}]}})");
    }
    absl::Time Now() const override { return absl::UnixEpoch(); }
    std::vector<std::string> paths;
  } session;
  const auto object = Source().Read({std::string(kDeal), "1"}, {}, session);
  ASSERT_TRUE(object.ok()) << object.status();
  EXPECT_THAT(session.paths, ::testing::ElementsAre("/deal/1", "/contractorCompany/2"));
  EXPECT_EQ(object->parts.size(), 2u);
}

// ---- Listing while deals change --------------------------------------------------------------

const absl::Time kStart = absl::FromUnixSeconds(1'772'454'707);

// An account's deals, listed as the CRM lists them: the newest first, behind a given one. `change`
// is called before each answer.
class Account final : public Session {
 public:
  std::map<int, absl::Time> deals;
  std::function<void(Account&)> change = [](Account&) {};
  absl::Time now = kStart + absl::Hours(24);
  int calls = 0;
  // What comes of a place that is gone.
  int status_of_gone_place = 422;
  size_t page_rows = Client::kPageSize;
  // What hasMoreNext of the last page says.
  std::string more_behind_the_last = "null";

  Result<http::Response> Send(const Call& call) override {
    change(*this);
    ++calls;
    std::vector<std::pair<absl::Time, int>> rows;
    for (const auto& [id, updated] : deals) {
      rows.emplace_back(updated, id);
    }
    std::sort(rows.rbegin(), rows.rend());
    size_t begin = 0;
    constexpr std::string_view kAfter = R"("pageAfter":{"contentType":"Deal","id":")";
    const std::string& query = call.query.at(0).second;
    if (const size_t at = query.find(kAfter); at != std::string::npos) {
      const int id = std::stoi(query.substr(at + kAfter.size()));
      const auto place = std::find_if(
          rows.begin(), rows.end(), [id](const auto& row) { return row.second == id; });
      if (place == rows.end() && status_of_gone_place != 200) {
        return Answer(status_of_gone_place, R"({"meta":{"status":422},"data":null})");
      }
      begin = place == rows.end() ? rows.size() : static_cast<size_t>(place - rows.begin()) + 1;
    }
    std::string body;
    for (size_t i = begin; i < rows.size() && i < begin + page_rows; ++i) {
      body += fmt::format(
          R"({}{{"contentType":"Deal","id":"{}","timeUpdated":{{"contentType":"DateTime",)"
          R"("value":"{}"}}}})",
          body.empty() ? "" : ",",
          rows[i].second,
          absl::FormatTime("%Y-%m-%dT%H:%M:%S+00:00", rows[i].first, absl::UTCTimeZone()));
    }
    // Where all pages are full, it needn't be said.
    const bool more = begin + page_rows < rows.size();
    const std::string says = !more                           ? more_behind_the_last
                             : page_rows < Client::kPageSize ? "true"
                                                             : "null";
    return Answer(
        200,
        fmt::format(R"({{"meta":{{"status":200,"pagination":{{"hasMoreNext":{}}}}},"data":[{}]}})",
                    says,
                    body));
  }
  absl::Time Now() const override { return now; }
};

Pass ListAll(Account& account,
             absl::Time from,
             std::string cursor = "",
             std::string page_token = "") {
  ListRequest request;
  request.page_token = std::move(page_token);
  request.from = from;
  request.cursor = std::move(cursor);
  Pass pass = fixture::ListAll(Source(), account, request);
  EXPECT_TRUE(pass.status.ok()) << pass.status;
  return pass;
}

TEST(ListTest, ListsEverythingOnce) {
  Account account;
  for (int i = 1; i <= 1234; ++i) {
    account.deals[i] = kStart + absl::Seconds(i / 3);
  }
  const Pass pass = ListAll(account, kStart);
  EXPECT_EQ(pass.versions.size(), 1234u);
  EXPECT_EQ(pass.pages, 13);
}

// The end of a pass that ends with a full page is known by asking twice.
TEST(ListTest, ListsFullPages) {
  for (const int status : {200, 404, 422}) {
    Account account;
    account.status_of_gone_place = status;
    for (int i = 1; i <= 300; ++i) {
      account.deals[i] = kStart;
    }
    EXPECT_EQ(ListAll(account, kStart).versions.size(), 300u);
  }
}

TEST(ListTest, StopsWhereThePassBegins) {
  Account account;
  for (int i = 1; i <= 10'000; ++i) {
    account.deals[i] = kStart + absl::Seconds(i);
  }
  const Pass first = ListAll(account, kStart + absl::Seconds(9'800));
  EXPECT_EQ(first.versions.size(), 201u);
  EXPECT_EQ(first.pages, 3);
  // Next time an hour earlier than what was newest.
  const Pass second = ListAll(account, kStart, first.cursor);
  EXPECT_EQ(second.versions.size(), 3601u);
  EXPECT_EQ(second.cursor, first.cursor);
}

// A time that is yet to come, which an import or a clock of theirs may give, isn't where the next
// pass begins: it would list nothing until then.
TEST(ListTest, ATimeToComeIsNotWhereTheNextPassBegins) {
  Account account;
  account.deals[1] = account.now + absl::Hours(24 * 365);
  account.deals[2] = account.now - absl::Minutes(1);
  const Pass first = ListAll(account, kStart);
  EXPECT_EQ(first.versions.size(), 2u);
  EXPECT_EQ(first.cursor, "2026-03-03T12:31:47.000Z");
  account.now += absl::Hours(1);
  account.deals[2] = account.now - absl::Minutes(1);
  EXPECT_TRUE(ListAll(account, kStart, first.cursor).versions.contains("2"));
  // Nor is one that was kept as a cursor.
  EXPECT_TRUE(ListAll(account, kStart, "2036-01-01T00:00:00Z").versions.contains("2"));
}

// Rows as an account gives them to one call; `meta`: besides the status.
Result<ListPage> ListRows(const std::string& rows,
                          const ListRequest& request = {},
                          const std::string& meta = "") {
  struct Rows final : Session {
    Result<http::Response> Send(const Call&) override { return Answer(200, body); }
    absl::Time Now() const override { return kStart; }
    std::string body;
  } session;
  session.body = fmt::format(R"({{"meta":{{"status":200{}}},"data":[{}]}})", meta, rows);
  return Source().List(request, kDeals, {}, session);
}

std::string Row(std::string_view id, std::string_view time) {
  return fmt::format(R"({{"id":"{}","timeUpdated":{}}})", id, time);
}

std::string RowAt(int id, absl::Time time) {
  return Row(std::to_string(id),
             fmt::format(R"({{"value":"{}"}})",
                         absl::FormatTime(absl::RFC3339_sec, time, absl::UTCTimeZone())));
}

// A row that can't be read costs no other row its place: it is read by itself, now.
TEST(ListTest, OneOddRowHoldsUpNoOther) {
  for (const char* time :
       {"null", "{}", "7", "\"soon\"", R"({"value":"soon"})", R"({"value":7})"}) {
    const auto page = ListRows(RowAt(1, kStart - absl::Hours(1)) + "," + Row("2", time) + "," +
                               RowAt(3, kStart - absl::Hours(2)));
    ASSERT_TRUE(page.ok()) << time << page.status();
    ASSERT_EQ(page->objects.size(), 3u) << time;
    EXPECT_EQ(page->objects[1].ref.external_id, "2");
    EXPECT_EQ(page->objects[1].version, absl::ToUnixMicros(kStart));
    // Its time is none that the next pass may begin at.
    EXPECT_EQ(page->cursor, "2026-03-02T11:31:47.000Z") << time;
  }
}

// As many of them as an answer may hold take no time to speak of.
TEST(ListTest, OddRowsAreNotCountedAgainAndAgain) {
  std::string rows = R"({"id":"1"})";
  for (int i = 0; i < 160'000; ++i) {
    rows += R"(,{"id":"1"})";
  }
  const auto page = ListRows(rows);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->objects.size(), 160'001u);
}

// A range in the past may have it too.
TEST(ListTest, ARowWithoutTimeIsOfAnyRange) {
  ListRequest request;
  request.from = kStart - absl::Hours(3);
  request.to = kStart - absl::Hours(2);
  const auto page = ListRows(RowAt(1, kStart) + "," + Row("2", "null"), request);
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->objects.size(), 1u);
  EXPECT_EQ(page->objects[0].ref.external_id, "2");
}

TEST(ListTest, RowsWithoutIdAreSkippedUnlessAllAre) {
  const std::string good = RowAt(1, kStart);
  for (const char* row : {"7", "[]", "{}", R"({"id":"x/../y"})", R"({"id":[]})", R"({"id":""})"}) {
    const auto page = ListRows(fmt::format("{},{}", row, good));
    ASSERT_TRUE(page.ok()) << row << page.status();
    ASSERT_EQ(page->objects.size(), 1u) << row;
    EXPECT_EQ(page->objects[0].ref.external_id, "1");
    EXPECT_TRUE(absl::IsDataLoss(ListRows(fmt::format("{0},{0}", row)).status())) << row;
  }
}

// A full page goes on, whatever its rows are like, and ends where those with a time say so.
TEST(ListTest, OddRowsAreOfTheirPage) {
  std::string rows;
  for (int i = 0; i < 98; ++i) {
    rows += RowAt(100 - i, kStart - absl::Seconds(i)) + ",";
  }
  rows += R"({"id":"odd"},{"id":"1"})";
  ListRequest request;
  request.from = kStart - absl::Hours(1);
  auto page = ListRows(rows, request);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->objects.size(), 99u);
  EXPECT_TRUE(page->next_page_token.find("/1,3,4/") != std::string::npos) << page->next_page_token;
  request.from = kStart - absl::Seconds(50);
  page = ListRows(rows, request);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->objects.size(), 52u);
  EXPECT_EQ(page->next_page_token, "");
}

// The API may say that a list goes on behind a page that isn't full.
TEST(ListTest, AShortPageMayGoOn) {
  for (const int rows : {1, 2, 3, 99, 100}) {
    for (const std::string last_says : {"false", "true", "null"}) {
      Account account;
      account.page_rows = static_cast<size_t>(rows);
      account.more_behind_the_last = last_says;
      for (int i = 1; i <= 200; ++i) {
        account.deals[i] = kStart;
      }
      EXPECT_EQ(ListAll(account, kStart).versions.size(), 200u) << rows << last_says;
    }
  }
}

// An empty page that isn't known to be the end is none: the cursor stays.
TEST(ListTest, APlaceThatIsGoneForGoodIsNoEnd) {
  for (const int status : {200, 404, 422}) {
    Account account;
    account.status_of_gone_place = status;
    account.deals[4] = kStart;
    account.deals[5] = kStart - absl::Seconds(1);
    ListRequest request;
    const std::string front = fmt::format("{0}/{0}/", absl::ToUnixMillis(kStart));
    request.page_token = front + "1,2,3/3";
    Status failed;
    for (int calls = 1; calls <= 3; ++calls) {
      const auto page = Source().List(request, kDeals, {}, account);
      failed = page.status();
      if (page.ok()) {
        EXPECT_EQ(page->cursor, "");
        request.page_token = page->next_page_token;
      }
    }
    EXPECT_EQ(account.calls, 3);
    EXPECT_TRUE(absl::IsDataLoss(failed)) << failed;
    EXPECT_EQ(ReasonOf(failed), "place_is_gone");
    // One of them is still there.
    request.page_token = front + "1,2,4/3";
    EXPECT_NE(ListAll(account, kStart, "", request.page_token).cursor, "");
  }
}

// No deals and yet more of them: that is no end, either.
TEST(ListTest, AnEmptyFrontThatGoesOnIsNoEnd) {
  EXPECT_EQ(ListRows("")->next_page_token, "");
  EXPECT_TRUE(
      absl::IsUnavailable(ListRows("", {}, R"(,"pagination":{"hasMoreNext":true})").status()));
}

// Whatever changes, comes or goes between two pages: what was there all the time is listed, and
// what changed is listed by this pass or by the next one.
TEST(ListTest, NothingIsSkippedWhileDealsMove) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    Account account;
    account.status_of_gone_place = seed % 2 == 0 ? 422 : 200;
    absl::Time now = kStart + absl::Hours(3);
    const int instants = seed % 3 == 0 ? 1 : 5'000;
    for (int i = 1; i <= 700; ++i) {
      account.deals[i] = kStart + absl::Seconds(static_cast<int>(random() % 5'000) % instants);
    }
    int next_id = 701;
    account.change = [&](Account& changing) {
      for (int i = 0; i < 20; ++i) {
        now += absl::Seconds(random() % 3);
        auto deal = changing.deals.begin();
        std::advance(deal, random() % changing.deals.size());
        switch (random() % 4) {
          case 0:
            changing.deals.erase(deal);
            break;
          case 1:
            changing.deals[next_id++] = now;
            break;
          default:
            deal->second = now;
        }
      }
    };
    const Pass first = ListAll(account, kStart);
    account.change = [](Account&) {};
    const Pass second = ListAll(account, kStart, first.cursor);
    for (const auto& [id, updated] : account.deals) {
      const int64_t version = absl::ToUnixMicros(updated);
      const auto in_first = first.versions.find(std::to_string(id));
      const auto in_second = second.versions.find(std::to_string(id));
      EXPECT_TRUE((in_first != first.versions.end() && in_first->second == version) ||
                  (in_second != second.versions.end() && in_second->second == version))
          << "seed " << seed << " deal " << id;
    }
  }
}

// A server that ignores where a page begins must not keep us for ever.
TEST(ListTest, EndsWhateverTheServerDoes) {
  struct Stubborn final : Session {
    Result<http::Response> Send(const Call&) override {
      std::string rows;
      for (int i = 0; i < 100; ++i) {
        rows +=
            fmt::format(R"({}{{"id":"{}","timeUpdated":{{"value":"2026-03-02T15:00:00+00:00"}}}})",
                        i == 0 ? "" : ",",
                        i + 1);
      }
      return Answer(200, fmt::format(R"({{"data":[{}]}})", rows));
    }
    absl::Time Now() const override { return absl::UnixEpoch(); }
  } session;
  const Pass pass = fixture::ListAll(Source(), session, {});
  EXPECT_TRUE(pass.status.ok()) << pass.status;
  EXPECT_EQ(pass.pages, 2);
}

}  // namespace
}  // namespace dealstream::crm::megaplan
