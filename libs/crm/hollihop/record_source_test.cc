#include "libs/crm/hollihop/record_source.h"

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <fmt/format.h>

#include "libs/crm/api/fixture.h"
#include "libs/crm/hollihop/client.h"
#include "libs/crm/hollihop/deal_mapper.h"

// What is asked and what comes of it is checked by the cases in testdata/read and testdata/list,
// which the conformance suite runs. Here is what they can't show.
namespace dealstream::crm::hollihop {
namespace {

using fixture::kDeals;
using fixture::Message;
using fixture::Pass;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

http::Response Answer(int status, std::string body, http::Headers headers = {}) {
  http::Response response;
  response.status = status;
  response.body = std::move(body);
  response.headers = std::move(headers);
  return response;
}

TEST(StatusOfAnswerTest, LimitMakesItRest) {
  const std::string body = R"({"Error":"Requests limit is exceeded: 600 requests per 30 seconds"})";
  for (int code : {400, 403, 429, 500, 503}) {
    const Status status = StatusOfAnswer("x", Answer(code, body));
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << code << status;
    EXPECT_EQ(RetryAfter(status), absl::Seconds(8));
    EXPECT_EQ(ReasonOf(status), "rate_limited");
  }
  EXPECT_EQ(RetryAfter(StatusOfAnswer("x", Answer(429, "", {{"retry-after", "17"}}))),
            absl::Seconds(17));
  // Garbage, a year: what we know of the limit, and not too long.
  EXPECT_EQ(RetryAfter(StatusOfAnswer("x", Answer(429, "", {{"retry-after", "soon"}}))),
            absl::Seconds(8));
  EXPECT_EQ(RetryAfter(StatusOfAnswer("x", Answer(429, "", {{"retry-after", "31536000"}}))),
            absl::Minutes(10));
}

TEST(StatusOfAnswerTest, SaysWhatWasFoundAndNothingOfTheBody) {
  const Status status =
      StatusOfAnswer("list_leads", Answer(418, R"({"Error":"s3cret +79990001241"})"));
  EXPECT_EQ(Message(status), "list_leads: got status 418, want 200 with JSON");
  const Status error = StatusOfError("list_leads", 200, "s3cret +79990001241");
  EXPECT_EQ(Message(error), "list_leads: got status 200 with an Error of 19 bytes, want data");
  EXPECT_EQ(ReasonOf(error), "refused");
}

TEST(StatusOfAnswerTest, TemporaryTroubleIsNoRefusalOfTheKey) {
  EXPECT_TRUE(absl::IsInvalidArgument(StatusOfError("x", 200, "Сервис временно недоступен")));
  EXPECT_TRUE(absl::IsPermissionDenied(StatusOfError("x", 200, "ДОСТУП ЗАПРЕЩЁН")));
}

TEST(StatusOfAnswerTest, EveryStatusHasADisposition) {
  for (int code = 100; code < 600; ++code) {
    for (const char* body :
         {"", "{}", "<html>", "[{\"Error\":\"x\"}]", "{\"Error\":5}", "garbage"}) {
      const Status status = StatusOfAnswer("x", Answer(code, body));
      const bool json = *body == '{' || *body == '[';
      EXPECT_EQ(status.ok(), code >= 200 && code < 300 && json) << code << body;
      EXPECT_NE(DispositionOf(status), Disposition::kBug) << code << body;
      EXPECT_NE(DispositionOf(status), Disposition::kGone) << code << body;
    }
  }
}

struct FakeLead {
  int64_t id = 0;
  // Seconds of the server's clock.
  int64_t updated = 0;
};

std::string TimeText(int64_t seconds) {
  return absl::FormatTime(
      "%Y-%m-%dT%H:%M:%S", absl::FromUnixSeconds(1'756'900'000 + seconds), absl::UTCTimeZone());
}

// A school that lists its leads in some order and changes between calls.
class FakeSchool final : public Session {
 public:
  Result<http::Response> Send(const Call& call) override {
    ++calls;
    if (call.path == "/GetLeadStatuses") {
      return Answer(200, R"({"Statuses":[{"Id":1,"Name":"Новый"}]})");
    }
    const auto argument = [&call](std::string_view name) -> std::string {
      for (const auto& [key, value] : call.query) {
        if (key == name) {
          return value;
        }
      }
      return {};
    };
    std::vector<FakeLead> listed;
    for (const FakeLead& lead : leads) {
      if (TimeText(lead.updated) >= argument("lastUpdatedFrom")) {
        listed.push_back(lead);
      }
    }
    std::sort(listed.begin(), listed.end(), order);
    int64_t skip = 0;
    EXPECT_TRUE(absl::SimpleAtoi(argument("skip"), &skip));
    skip = ignores_skip ? 0 : std::min<int64_t>(skip, static_cast<int64_t>(listed.size()));
    const int64_t end =
        std::min<int64_t>(skip + Source::kPageSize, static_cast<int64_t>(listed.size()));
    std::string rows;
    for (int64_t i = skip; i < end; ++i) {
      const FakeLead& lead = listed[static_cast<size_t>(i)];
      rows += fmt::format(R"({}{{"Id":{},"Updated":"{}","StatusId":1}})",
                          rows.empty() ? "" : ",",
                          lead.id,
                          TimeText(lead.updated));
    }
    std::string body =
        fmt::format(R"({{"Leads":[{}],"Now":"{}"}})", rows, TimeText(now + now_ahead));
    if (after_call) {
      after_call();
    }
    return Answer(200, std::move(body));
  }
  absl::Time Now() const override { return absl::FromUnixSeconds(1'756'900'000 + now); }

  std::vector<FakeLead> leads;
  std::function<bool(const FakeLead&, const FakeLead&)> order =
      [](const FakeLead& a, const FakeLead& b) { return a.id < b.id; };
  std::function<void()> after_call;
  bool ignores_skip = false;
  int64_t now = 0;
  // Of what the school says its time is.
  int64_t now_ahead = 0;
  int calls = 0;
};

Pass RunPass(FakeSchool& school,
             const std::string& cursor,
             absl::Time from = absl::InfinitePast()) {
  ListRequest request;
  request.cursor = cursor;
  request.from = from;
  Pass pass = fixture::ListAll(Source(), school, request);
  for (const ListedObject& object : pass.objects) {
    EXPECT_EQ(object.parts.size(), 2u) << "the lead and its status";
  }
  return pass;
}

// H7: whatever the order of rows and whatever changes meanwhile, each change is in this pass or in
// the next one.
TEST(PassTest, LosesNothingWhileLeadsChange) {
  using Order = std::function<bool(const FakeLead&, const FakeLead&)>;
  const std::vector<Order> orders = {
      [](const FakeLead& a, const FakeLead& b) { return a.id < b.id; },
      [](const FakeLead& a, const FakeLead& b) { return a.id > b.id; },
      [](const FakeLead& a, const FakeLead& b) {
        return std::pair(a.updated, a.id) < std::pair(b.updated, b.id);
      },
      [](const FakeLead& a, const FakeLead& b) {
        return std::pair(a.updated, a.id) > std::pair(b.updated, b.id);
      }};
  for (size_t number = 0; number < orders.size(); ++number) {
    for (unsigned seed = 0; seed < 10; ++seed) {
      std::mt19937 random(seed);
      FakeSchool school;
      school.order = orders[number];
      for (int64_t i = 0; i < 3000; ++i) {
        school.leads.push_back({i + 1, i / 2});
      }
      school.now = 2000;
      std::map<std::string, int64_t> seen;
      std::string cursor;
      for (int day = 0; day < 3; ++day) {
        // Up to forty changes between two calls, now and then many, and new leads.
        int big = 0;
        school.after_call = [&] {
          school.now += 2;
          const unsigned long changes = big++ == 2 ? 300 : random() % 40;
          for (unsigned long i = 0; i < changes; ++i) {
            school.leads[random() % school.leads.size()].updated = school.now - 1;
          }
          school.leads.push_back({static_cast<int64_t>(school.leads.size()) + 1, school.now});
        };
        const Pass pass = RunPass(school, cursor);
        ASSERT_TRUE(pass.status.ok()) << pass.status;
        cursor = pass.cursor;
        for (const auto& [id, version] : pass.versions) {
          seen[id] = std::max(seen[id], version);
        }
        school.now += 86'400;
      }
      // A quiet day at the end sees the last changes.
      school.after_call = nullptr;
      for (const auto& [id, version] : RunPass(school, cursor).versions) {
        seen[id] = std::max(seen[id], version);
      }
      for (const FakeLead& lead : school.leads) {
        ASSERT_EQ(seen[fmt::format("{}", lead.id)], (1'756'900'000 + lead.updated) * 1'000'000)
            << "order " << number << " seed " << seed << " lead " << lead.id;
      }
    }
  }
}

// H7: the server's clock, as it was when the pass began.
TEST(PassTest, CursorIsTheServersTimeOfTheFirstPage) {
  FakeSchool school;
  for (int64_t i = 0; i < 1200; ++i) {
    school.leads.push_back({i + 1, i});
  }
  school.now = -86'400 * 300;
  school.after_call = [&school] { school.now += 60; };
  const Pass pass = RunPass(school, "");
  ASSERT_TRUE(pass.status.ok()) << pass.status;
  EXPECT_EQ(pass.cursor, TimeText(-86'400 * 300));
  EXPECT_EQ(pass.versions.size(), 1200u);
  EXPECT_EQ(school.calls, 6) << "three pages, and the dictionary with each";
}

// H7: a server whose clock is ahead for once makes the next pass leave nothing out.
TEST(PassTest, CursorIsNotAheadOfUs) {
  for (const int64_t ahead : {86'400, 3 * 86'400, 400 * 86'400}) {
    FakeSchool school;
    school.leads = {{1, 500}, {2, 900}};
    school.now = 1000;
    school.now_ahead = ahead;
    const Pass pass = RunPass(school, "");
    ASSERT_TRUE(pass.status.ok()) << pass.status;
    // The settings' zone is that of Moscow, whereas the school writes UTC.
    EXPECT_EQ(pass.cursor, TimeText(1000 + 3 * 3600));
    school.now_ahead = 0;
    school.leads[1].updated = 1000 + 5 * 3600;
    school.now = 1000 + 86'400;
    const Pass next = RunPass(school, pass.cursor);
    EXPECT_TRUE(next.versions.contains("2")) << ahead;
    EXPECT_EQ(next.cursor, TimeText(school.now));
  }
}

// H7: a pass that can't be shown to have seen all leads never ends as if it had.
TEST(PassTest, RowsInNoOrderAreNotTakenForAll) {
  for (const int64_t count : {501, 700, 1000, 3000}) {
    for (unsigned seed = 0; seed < 10; ++seed) {
      FakeSchool school;
      for (int64_t i = 0; i < count; ++i) {
        school.leads.push_back({i + 1, i});
      }
      std::mt19937 random(seed);
      std::vector<int64_t> place(static_cast<size_t>(count) + 1);
      std::iota(place.begin(), place.end(), 0);
      school.order = [&place](const FakeLead& a, const FakeLead& b) {
        return place[static_cast<size_t>(a.id)] < place[static_cast<size_t>(b.id)];
      };
      school.after_call = [&] { std::shuffle(place.begin(), place.end(), random); };
      const Pass pass = RunPass(school, "2025-09-01T00:00:00");
      EXPECT_TRUE(absl::IsDataLoss(pass.status)) << pass.status;
      EXPECT_EQ(ReasonOf(pass.status), "unstable_order") << count << " seed " << seed;
      EXPECT_EQ(pass.cursor, "");
    }
  }
}

// H7: so does one during which too much changes, each time it begins anew.
TEST(PassTest, RowsSkippedOverAndOverAreNotTakenForAll) {
  FakeSchool school;
  for (int64_t i = 0; i < 3000; ++i) {
    school.leads.push_back({i + 1, i});
  }
  school.now = 3000;
  school.order = [](const FakeLead& a, const FakeLead& b) {
    return std::pair(a.updated, a.id) < std::pair(b.updated, b.id);
  };
  int calls = 0;
  school.after_call = [&school, &calls] {
    std::sort(school.leads.begin(), school.leads.end(), school.order);
    // The first 150 of the list move to its end.
    const size_t moved = ++calls % 2 == 0 ? 150 : 0;
    for (size_t i = 0; i < moved; ++i) {
      school.leads[i].updated = ++school.now;
    }
  };
  const Pass pass = RunPass(school, "");
  EXPECT_TRUE(absl::IsDataLoss(pass.status)) << pass.status;
  EXPECT_EQ(ReasonOf(pass.status), "unstable_order");
  EXPECT_THAT(Message(pass.status), HasSubstr("got pages that don't meet in 4 passes"));
  EXPECT_EQ(pass.cursor, "");
}

TEST(PassTest, RepeatingPageIsTheEnd) {
  FakeSchool school;
  school.ignores_skip = true;
  for (int64_t i = 0; i < 1200; ++i) {
    school.leads.push_back({i + 1, i});
  }
  const Pass pass = RunPass(school, "");
  EXPECT_TRUE(absl::IsDataLoss(pass.status)) << pass.status;
  EXPECT_EQ(ReasonOf(pass.status), "repeating_page");
  EXPECT_THAT(
      Message(pass.status),
      HasSubstr("list_leads: got the same 500 leads twice, want those after the first 400"));
  EXPECT_EQ(pass.cursor, "");
}

TEST(PassTest, GarbageIsRefusedBeforeAnyCall) {
  FakeSchool school;
  const Source source;
  ListRequest request;
  request.cursor = "yesterday";
  EXPECT_TRUE(absl::IsInvalidArgument(source.List(request, kDeals, {}, school).status()));
  request.cursor = "";
  for (const char* token : {"2025-09-04T03:00:11,-1,,0,0",
                            "2025-09-04T03:00:11,0,,-1,0",
                            "2025-09-04T03:00:11,0,,0,zz",
                            "2025-09-04T03:00:11,0,,0"}) {
    request.page_token = token;
    EXPECT_TRUE(absl::IsInvalidArgument(source.List(request, kDeals, {}, school).status()))
        << token;
  }
  EXPECT_EQ(school.calls, 0);
}

// Gives the same body to each call of a function.
class FixedAnswers final : public Session {
 public:
  FixedAnswers(std::string leads, std::string statuses)
      : leads_(std::move(leads)), statuses_(std::move(statuses)) {}
  Result<http::Response> Send(const Call& call) override {
    return Answer(200, call.path == "/GetLeads" ? leads_ : statuses_);
  }
  absl::Time Now() const override { return absl::FromUnixSeconds(1'772'000'000); }

 private:
  const std::string leads_;
  const std::string statuses_;
};

// H7: a status that no lead can name doesn't stop the load of all of them.
TEST(PassTest, OddStatusIsLeftOut) {
  FixedAnswers school(R"({"Leads":[{"Id":1,"StatusId":2,"Updated":"2025-09-03T10:00:00"}],
                          "Now":"2025-09-04T03:00:11"})",
                      R"({"Statuses":[{"Id":-1,"Name":"a"},{"Name":"b"},{"Id":{}},null,5,
                                      "x",[1],{"Id":2,"Name":"c"}]})");
  const auto page = Source().List({}, kDeals, {}, school);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->cursor, "2025-09-04T03:00:11");
  ASSERT_EQ(page->objects.size(), 1u);
  ASSERT_EQ(page->objects[0].parts.size(), 2u);
  EXPECT_EQ(page->objects[0].parts[1].second, R"({"Id":2,"Name":"c"})");
}

// H7: nor does an odd lead: it is listed for itself, and the mapper buries it.
TEST(PassTest, OddLeadIsBuriedAlone) {
  const std::vector<std::string> odd = {R"({"Id":-1,"Updated":"2025-09-03T10:00:00"})",
                                        R"({"Updated":"2025-09-03T10:00:00"})",
                                        R"({"Id":"a,b/c"})",
                                        R"({"Id":{"x":1}})",
                                        R"({"Id":1234567890123456789})",
                                        "[1,{}]",
                                        "null"};
  FixedAnswers school(R"({"Leads":[{"Id":1,"Updated":"2025-09-03T10:00:00"},)" +
                          absl::StrJoin(odd, ",") +
                          R"(,5,{"Id":"2","Updated":"2025-09-03T10:00:00"}],
                             "Now":"2025-09-04T03:00:11"})",
                      "");
  const auto page = Source().List({}, kDeals, {}, school);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->cursor, "2025-09-04T03:00:11");
  ASSERT_EQ(page->objects.size(), odd.size() + 3);
  EXPECT_EQ(page->objects.front().ref.external_id, "1");
  EXPECT_EQ(page->objects.back().ref.external_id, "2");
  std::set<std::string> names;
  for (size_t i = 0; i < odd.size(); ++i) {
    const ListedObject& object = page->objects[i + 1];
    EXPECT_THAT(object.ref.external_id, MatchesRegex("odd-[0-9a-f]{16}"));
    names.insert(object.ref.external_id);
    ASSERT_EQ(object.parts.size(), 1u);
    EXPECT_EQ(object.parts[0].second, odd[i]);
    raw::v1::Record record;
    record.add_parts()->set_name(object.parts[0].first);
    record.mutable_parts(0)->set_body(object.parts[0].second);
    deal::v1::Deal deal;
    const Status status = Mapper().Map(record, deal);
    EXPECT_TRUE(absl::IsDataLoss(status)) << odd[i] << status;
  }
  EXPECT_EQ(names.size(), odd.size());
}

// The answers of a hostile server, which may have 32 MiB, stay about as large in our memory.
TEST(PassTest, LongStatusIsNotCopiedToEachLead) {
  std::string leads;
  for (int i = 1; i <= 500; ++i) {
    leads += fmt::format(R"({}{{"Id":{},"StatusId":2}})", i == 1 ? "" : ",", i);
  }
  for (const size_t length : {100, 5000, 1 << 20}) {
    FixedAnswers school(
        fmt::format(R"({{"Leads":[{}],"Now":"2025-09-04T03:00:11"}})", leads),
        fmt::format(R"({{"Statuses":[{{"Id":2,"Name":"{}"}}]}})", std::string(length, 'x')));
    const auto page = Source().List({}, kDeals, {}, school);
    ASSERT_TRUE(page.ok()) << page.status();
    ASSERT_EQ(page->objects.size(), 500u);
    for (const ListedObject& object : page->objects) {
      ASSERT_EQ(object.parts.size(), length == 100 ? 2u : 1u);
    }
  }
}

TEST(PassTest, EndlessAnswersAreRefused) {
  const auto rows = [](int count) {
    std::string text = R"({"Id":1})";
    for (int i = 1; i < count; ++i) {
      text += R"(,{"Id":1})";
    }
    return text;
  };
  const std::string start = R"({"Leads":[)";
  const std::string end = R"(],"Now":"2025-09-04T03:00:11"})";
  EXPECT_TRUE(internal::ReadLeadPage("list_leads", start + rows(10'000) + end).ok());
  const Status status = internal::ReadLeadPage("list_leads", start + rows(10'001) + end).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_EQ(ReasonOf(status), "too_many_rows");
  EXPECT_EQ(Message(status), "list_leads: Leads: got more than 10000 rows, want no more");
  EXPECT_EQ(ReasonOf(internal::ReadStatuses(R"({"Statuses":[)" + rows(10'001) + "]}").status()),
            "too_many_rows");
}

// H8: where another site answers in place of the school, its owner must act.
TEST(PassTest, AnotherSiteIsAWrongAddress) {
  class AnySite final : public Session {
   public:
    AnySite(int status, std::string body) : status_(status), body_(std::move(body)) {}
    Result<http::Response> Send(const Call&) override { return Answer(status_, body_); }
    absl::Time Now() const override { return absl::UnixEpoch(); }

   private:
    const int status_;
    const std::string body_;
  };
  struct Case {
    int status;
    std::string body;
    bool is_wrong_address;
  };
  const std::string page = "<!DOCTYPE html><html></html>";
  for (const Case& one : std::vector<Case>{{200, page, true},
                                           {301, "", true},
                                           {302, page, true},
                                           {404, page, true},
                                           {200, "", false},
                                           {403, page, false},
                                           {500, page, false},
                                           {503, page, false}}) {
    AnySite site(one.status, one.body);
    ListRequest request;
    const Status first = Source().List(request, kDeals, {}, site).status();
    EXPECT_EQ(ReasonOf(first) == "wrong_address", one.is_wrong_address) << first;
    EXPECT_EQ(DispositionOf(first), one.is_wrong_address ? Disposition::kPark : Disposition::kRetry)
        << first;
    // Later in a pass, something between us has a bad moment.
    request.page_token = "2025-09-04T03:00:11,400,1,0,0";
    const Status later = Source().List(request, kDeals, {}, site).status();
    EXPECT_EQ(DispositionOf(later), one.status == 404 ? Disposition::kPark : Disposition::kRetry)
        << later;
  }
}

TEST(PassTest, NowThatIsNoTimeIsSaid) {
  const auto page = internal::ReadLeadPage("list_leads", R"({"Leads":[],"Now":"later"})");
  ASSERT_TRUE(page.ok());
  class Odd final : public Session {
   public:
    Result<http::Response> Send(const Call&) override {
      return Answer(200, R"({"Leads":[],"Now":"later"})");
    }
    absl::Time Now() const override { return absl::UnixEpoch(); }
  } odd;
  const Status status = Source().List({}, kDeals, {}, odd).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(Message(status), HasSubstr("Now: got another text"));
  EXPECT_THAT(Message(status), Not(HasSubstr("later")));
}

}  // namespace
}  // namespace dealstream::crm::hollihop
