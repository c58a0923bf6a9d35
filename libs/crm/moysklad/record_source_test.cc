#include "libs/crm/moysklad/record_source.h"

#include <algorithm>
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
#include "libs/crm/moysklad/client.h"
#include "libs/crm/moysklad/wire.h"

// What is asked and what comes of it is checked by the cases in testdata/read and testdata/list,
// which the conformance suite runs. Here is what they can't show.
namespace dealstream::crm::moysklad {
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
  const std::string body = R"({"errors":[{"error":"...","code":1049}]})";
  const Status status = StatusOfAnswer("x", Answer(429, body, {{"x-lognex-retry-after", "1740"}}));
  EXPECT_EQ(RetryAfter(status), absl::Milliseconds(1740));
  EXPECT_EQ(ReasonOf(status), "rate_limited");
  EXPECT_EQ(RetryAfter(StatusOfAnswer("x", Answer(429, body, {{"x-lognex-reset", "20"}}))),
            absl::Milliseconds(20));
  // Without headers, with garbage in them, with a year: what we know of the limit.
  EXPECT_EQ(RetryAfter(StatusOfAnswer("x", Answer(429, body))), absl::Seconds(3));
  EXPECT_EQ(RetryAfter(StatusOfAnswer("x", Answer(429, body, {{"x-lognex-retry-after", "soon"}}))),
            absl::Seconds(3));
  EXPECT_EQ(
      RetryAfter(StatusOfAnswer("x", Answer(429, body, {{"x-lognex-retry-after", "99999999999"}}))),
      absl::Minutes(10));
}

TEST(StatusOfAnswerTest, TellsParallelFromFast) {
  const Status status = StatusOfAnswer("x", Answer(429, R"({"errors":[{"code":1073}]})"));
  EXPECT_EQ(ReasonOf(status), "too_many_parallel");
}

TEST(StatusOfAnswerTest, ShowsNothingOfTheBody) {
  const Status status = StatusOfAnswer(
      "get_order",
      Answer(400,
             R"({"errors":[{"error":"+79000001122 s3cret","code":1052,"parameter":"s3cret"}]})"));
  EXPECT_EQ(ToStd(status.message()), "get_order: got status 400, want 200 with JSON, code 1052");
}

TEST(StatusOfAnswerTest, EveryStatusHasADisposition) {
  for (int code = 100; code < 600; ++code) {
    for (const char* body : {"", "{}", "<html>", "[{\"errors\":[{\"code\":3007}]}]", "garbage"}) {
      const Status status = StatusOfAnswer("x", Answer(code, body));
      const bool json = *body == '{' || *body == '[';
      EXPECT_EQ(status.ok(), code >= 200 && code < 300 && json) << code << body;
    }
  }
}

// The calls say what the CRM demands.
TEST(ClientTest, AsksForGzipAndJson) {
  struct Recorder final : Session {
    Result<http::Response> Send(const Call& call) override {
      calls.push_back(call);
      return Answer(200, "{}");
    }
    absl::Time Now() const override { return absl::UnixEpoch(); }
    std::vector<Call> calls;
  } session;
  Client client(session);
  EXPECT_TRUE(client.GetOrder("x").ok());
  EXPECT_TRUE(client.GetPositions("x", 0).ok());
  EXPECT_TRUE(client.GetContactPersons("x", 0).ok());
  EXPECT_TRUE(client.ListOrders({}).ok());
  ASSERT_EQ(session.calls.size(), 4u);
  for (const auto& call : session.calls) {
    EXPECT_EQ(call.method, "GET");
    EXPECT_TRUE(call.idempotent);
    EXPECT_THAT(call.headers,
                ::testing::ElementsAre(::testing::Pair("Accept", "application/json;charset=utf-8"),
                                       ::testing::Pair("Accept-Encoding", "gzip")));
  }
}

// ---- One odd thing holds up nothing else -----------------------------------------------------

const absl::Time kStart = absl::FromUnixMillis(1'772'454'707'915);

std::string Uuid(int number) { return fmt::format("{:08x}-0000-11f1-0a82-49e000849b3d", number); }

// Answers by the end of the path.
class Answering final : public Session {
 public:
  std::map<std::string, http::Response> answers;

  Result<http::Response> Send(const Call& call) override {
    return answers.at(call.path.substr(call.path.rfind('/') + 1));
  }
  absl::Time Now() const override { return kStart; }
};

Result<ListPage> ListRows(const std::string& rows, const ListRequest& request = {}) {
  Answering session;
  session.answers["customerorder"] =
      Answer(200, fmt::format(R"({{"meta":{{"size":3}},"rows":[{}]}})", rows));
  return Source().List(request, kDeals, {}, session);
}

std::string RowAt(int id, absl::Time updated) {
  return fmt::format(R"({{"id":"{}","updated":"{}"}})", Uuid(id), FormatMoscowTime(updated));
}

TEST(ListTest, OneOddRowHoldsUpNoOther) {
  const std::string before = RowAt(1, kStart - absl::Hours(2));
  const std::string after = RowAt(3, kStart - absl::Hours(1));
  for (const char* time : {"null", "{}", "7", "\"soon\"", "[[]]"}) {
    const auto page =
        ListRows(fmt::format(R"({},{{"id":"{}","updated":{}}},{})", before, Uuid(2), time, after));
    ASSERT_TRUE(page.ok()) << time << page.status();
    ASSERT_EQ(page->objects.size(), 3u) << time;
    // It is read now, which shows what is wrong with it.
    EXPECT_EQ(page->objects[1].ref.external_id, Uuid(2));
    EXPECT_EQ(page->objects[1].version, absl::ToUnixMicros(kStart));
    EXPECT_EQ(page->cursor, "2026-03-02T11:31:47.915Z");
  }
  for (const char* row : {"7", "null", "[{}]", "{}", R"({"id":"1"})", R"({"id":[]})"}) {
    const auto page = ListRows(fmt::format("{},{},{}", before, row, after));
    ASSERT_TRUE(page.ok()) << row << page.status();
    EXPECT_EQ(page->objects.size(), 2u) << row;
    EXPECT_TRUE(absl::IsDataLoss(ListRows(fmt::format("{0},{0}", row)).status())) << row;
  }
}

// Pages go on whatever their rows are like.
TEST(ListTest, OddRowsAreOfTheirPage) {
  std::string rows;
  for (int i = 0; i < 50; ++i) {
    rows += RowAt(i, kStart - absl::Hours(1)) + "," + (i < 25 ? R"({"id":"odd"},)" : "") +
            (i < 25 ? "" : fmt::format(R"({{"id":"{}"}},)", Uuid(100 + i)));
  }
  rows.pop_back();
  ListRequest request;
  request.from = kStart - absl::Hours(1);
  const auto page = ListRows(rows, request);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->objects.size(), 75u);
  EXPECT_EQ(
      page->next_page_token,
      fmt::format(
          "{},80,{}/{}/{},0,3", absl::ToUnixMillis(request.from), Uuid(148), Uuid(49), Uuid(149)));
}

// A time that is yet to come isn't where the next pass begins: it would list nothing until then.
TEST(ListTest, ATimeToComeIsNotWhereTheNextPassBegins) {
  const auto page =
      ListRows(RowAt(1, kStart - absl::Hours(1)) + "," + RowAt(2, kStart + absl::Hours(9'000)));
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->objects.size(), 2u);
  EXPECT_EQ(page->cursor, "2026-03-02T11:31:47.915Z");
  ListRequest request;
  request.cursor = "2036-01-01T00:00:00Z";
  EXPECT_EQ(ListRows("", request)->cursor, "2026-03-02T12:31:47.915Z");
}

// The order is what counts; whom to call there may be withheld from the user.
TEST(ReadTest, ContactPersonsThatMayNotBeSeenAreLeftOut) {
  for (const char* body :
       {R"({"errors":[{"code":1016}]})", R"({"errors":[{"code":1021}]})", R"({"errors":[]})"}) {
    Answering session;
    session.answers[Uuid(1)] =
        Answer(200,
               fmt::format(R"({{"id":"{}","updated":"2026-03-02 15:31:47.915","agent":{{"meta":{{)"
                           R"("type":"counterparty","href":"https://x/{}"}},"contactpersons":)"
                           R"({{"meta":{{"size":2}}}}}}}})",
                           Uuid(1),
                           Uuid(2)));
    session.answers["contactpersons"] = Answer(403, body);
    const auto object = Source().Read({std::string(kOrder), Uuid(1)}, {}, session);
    ASSERT_TRUE(object.ok()) << object.status();
    EXPECT_EQ(object->parts.size(), 1u);
    // A refusal of the credential is one, wherever it comes.
    session.answers["contactpersons"] = Answer(401, body);
    EXPECT_TRUE(absl::IsUnauthenticated(
        Source().Read({std::string(kOrder), Uuid(1)}, {}, session).status()));
  }
}

// ---- Listing while orders change -------------------------------------------------------------

// An account's orders, listed as the CRM lists them. `change` is called before each answer.
class Account final : public Session {
 public:
  std::map<std::string, absl::Time> orders;
  std::function<void(Account&)> change = [](Account&) {};
  int calls = 0;

  Result<http::Response> Send(const Call& call) override {
    change(*this);
    ++calls;
    std::string filter;
    int64_t offset = 0;
    for (const auto& [name, value] : call.query) {
      if (name == "filter") {
        filter = value;
      } else if (name == "offset") {
        offset = std::stoll(value);
      }
    }
    absl::Time from;
    EXPECT_TRUE(ParseMoscowTime(filter.substr(9, 23), from)) << filter;
    std::vector<std::pair<absl::Time, std::string>> rows;
    for (const auto& [id, updated] : orders) {
      if (updated >= from) {
        rows.emplace_back(updated, id);
      }
    }
    std::sort(rows.begin(), rows.end());
    std::string body;
    for (size_t i = static_cast<size_t>(offset);
         i < rows.size() && i < static_cast<size_t>(offset) + 100;
         ++i) {
      body += fmt::format("{}{{\"id\":\"{}\",\"updated\":\"{}\"}}",
                          body.empty() ? "" : ",",
                          rows[i].second,
                          FormatMoscowTime(rows[i].first));
    }
    return Answer(200,
                  fmt::format("{{\"meta\":{{\"size\":{}}},\"rows\":[{}]}}", rows.size(), body));
  }
  absl::Time Now() const override { return kStart + absl::Hours(24); }
};

Pass ListAll(Account& account, absl::Time from, std::string cursor = "") {
  ListRequest request;
  request.from = from;
  request.cursor = std::move(cursor);
  Pass pass = fixture::ListAll(Source(), account, request);
  EXPECT_TRUE(pass.status.ok()) << pass.status;
  return pass;
}

TEST(ListTest, ListsEverythingOnce) {
  Account account;
  for (int i = 0; i < 1234; ++i) {
    account.orders[Uuid(i)] = kStart + absl::Milliseconds(i / 3);
  }
  const Pass pass = ListAll(account, kStart);
  EXPECT_EQ(pass.versions.size(), 1234u);
  EXPECT_EQ(pass.pages, 13);
}

TEST(ListTest, ListsMoreThanAPageOfOneInstant) {
  Account account;
  for (int i = 0; i < 1000; ++i) {
    account.orders[Uuid(i)] = kStart;
  }
  EXPECT_EQ(ListAll(account, kStart).versions.size(), 1000u);
}

TEST(ListTest, NextPassBeginsAMinuteEarlier) {
  Account account;
  account.orders[Uuid(1)] = kStart;
  const Pass first = ListAll(account, kStart);
  // Committed late, with a time before what was listed.
  account.orders[Uuid(2)] = kStart - absl::Seconds(50);
  const Pass second = ListAll(account, kStart, first.cursor);
  EXPECT_EQ(second.versions.size(), 2u);
  EXPECT_EQ(second.cursor, first.cursor);
}

// Orders that are changed during the pass go to its end; each must be seen, in its last version,
// whatever instant it left, and the next pass must see nothing that this one could have seen.
TEST(ListTest, NothingIsSkippedWhileOrdersMove) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    Account account;
    absl::Time now = kStart + absl::Hours(1);
    const int instants = seed % 3 == 0 ? 1 : seed % 3 == 1 ? 5 : 400;
    for (int i = 0; i < 700; ++i) {
      account.orders[Uuid(i)] =
          kStart + absl::Milliseconds(random() % static_cast<unsigned>(instants));
    }
    account.change = [&](Account& self) {
      const unsigned moves = self.calls < 30 ? random() % 4 : 0;
      for (unsigned i = 0; i < moves; ++i) {
        now += absl::Milliseconds(random() % 2);
        self.orders[Uuid(static_cast<int>(random() % 700))] = now;
      }
    };
    const Pass pass = ListAll(account, kStart);
    for (const auto& [id, updated] : account.orders) {
      auto found = pass.versions.find(id);
      ASSERT_NE(found, pass.versions.end()) << "seed " << seed;
      ASSERT_EQ(found->second, absl::ToUnixMicros(updated)) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace dealstream::crm::moysklad
