#include "libs/crm/klientiks/record_source.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/api/fixture.h"
#include "libs/crm/api/settings.h"
#include "libs/crm/klientiks/adapter.h"
#include "libs/crm/klientiks/client.h"
#include "libs/crm/klientiks/wire.h"

// What is asked and what comes of it is checked by the cases in testdata/read and testdata/list,
// which the conformance suite runs. Here is what they can't show.
namespace dealstream::crm::klientiks {
namespace {

using fixture::Pass;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::string_view kVisit =
    R"({"items":{"id":7,"client_id":20,"executor_id":40,"author_id":41,"status":"scheduled",)"
    R"("created":"2026-03-02 15:31:47","modified":"2026-03-03 09:02:11.12",)"
    R"("appointed_services":[{"appointed_services_executions":[{"id":40,"name":"A"}]}]}})";
constexpr std::string_view kClients =
    R"({"items":[{"id":20,"name":"Z","phone":"79000001122"}],"count":1,"limit":50,"offset":50})";
constexpr std::string_view kUsers =
    R"({"items":[{"id":41,"name":"B"}],"count":1,"limit":100,"offset":100})";

http::Response Answer(int status, std::string_view body, http::Headers headers = {}) {
  http::Response response;
  response.status = status;
  response.body = std::string(body);
  response.headers = std::move(headers);
  return response;
}

// An account of the CRM with notes, whose clock stands still until told.
class Account final : public Session {
 public:
  Result<http::Response> Send(const Call& call) override {
    calls.emplace_back(call.operation);
    paths.push_back(call.path);
    if (call.operation == "get_appointment") {
      return Answer(200, visit);
    }
    return Answer(200, call.operation == "get_client" ? clients : kUsers);
  }
  absl::Time Now() const override { return now; }
  const std::string* Noted(std::string_view key, absl::Duration at_most) override {
    const auto found = notes_.find(std::string(key));
    return found == notes_.end() || now - found->second.second > at_most ? nullptr
                                                                         : &found->second.first;
  }
  void Note(std::string_view key, std::string value) override {
    notes_[std::string(key)] = {std::move(value), now};
  }
  std::vector<std::string> TakeCalls() { return std::exchange(calls, {}); }

  std::string visit{kVisit};
  std::string_view clients = kClients;
  absl::Time now = absl::FromUnixSeconds(1'772'000'000);
  std::vector<std::string> calls;
  std::vector<std::string> paths;

 private:
  std::map<std::string, std::pair<std::string, absl::Time>> notes_;
};

ReadObject Read(Account& account,
                std::string_view kind,
                const google::protobuf::Any& settings = {}) {
  const auto object = Source().Read({std::string(kind), "7"}, settings, account);
  EXPECT_TRUE(object.ok()) << object.status();
  return object.value_or(ReadObject());
}

// About one call a second: what a booking at two URLs costs decides how many an account bears.
TEST(SourceTest, BookingAtTwoUrlsIsTwoCalls) {
  Account account;
  const ReadObject deal = Read(account, kAppointment);
  EXPECT_THAT(account.TakeCalls(), ElementsAre("get_appointment", "get_client"));
  const ReadObject booking = Read(account, kBooking);
  EXPECT_THAT(account.TakeCalls(), IsEmpty());
  EXPECT_EQ(deal.parts, booking.parts);
  EXPECT_EQ(deal.version, booking.version);
}

TEST(SourceTest, BookingFirstIsThreeCalls) {
  Account account;
  Read(account, kBooking);
  EXPECT_THAT(account.TakeCalls(), ElementsAre("get_appointment", "get_client"));
  // A deal's visit may have changed: it is always read.
  Read(account, kAppointment);
  EXPECT_THAT(account.TakeCalls(), ElementsAre("get_appointment"));
}

// K13: whatever a webhook says, and however often it comes, the visit is read.
TEST(SourceTest, VisitOfADealIsAlwaysRead) {
  Account account;
  Read(account, kAppointment);
  account.TakeCalls();
  account.visit.replace(account.visit.find("scheduled"), 9, "confirmed");
  const ReadObject again = Read(account, kAppointment);
  EXPECT_THAT(account.TakeCalls(), ElementsAre("get_appointment"));
  EXPECT_THAT(again.parts[0].second, HasSubstr("confirmed"));
}

TEST(SourceTest, ClientsAreAskedForAnewAfterAWhile) {
  Account account;
  Read(account, kAppointment);
  account.TakeCalls();
  account.now += absl::Seconds(29);
  Read(account, kAppointment);
  EXPECT_THAT(account.TakeCalls(), ElementsAre("get_appointment"));
  account.now += absl::Seconds(2);
  Read(account, kAppointment);
  EXPECT_THAT(account.TakeCalls(), ElementsAre("get_appointment", "get_client"));
}

// K4: the author's name isn't in the visit; the employees are asked for once in ten minutes.
TEST(SourceTest, EmployeesAreKeptInMind) {
  Account account;
  auto settings = SettingsFromText(
      *MakeAdapter(), integration::v1::PURPOSE_DEALS, nullptr, {{"responsible_is_author", "true"}});
  ASSERT_TRUE(settings.ok());
  const ReadObject first = Read(account, kAppointment, *settings);
  EXPECT_THAT(account.TakeCalls(), ElementsAre("get_appointment", "get_client", "list_users"));
  const ReadObject second = Read(account, kAppointment, *settings);
  EXPECT_THAT(account.TakeCalls(), ElementsAre("get_appointment"));
  // What is noted changes the number of calls and nothing else.
  EXPECT_EQ(first.parts, second.parts);
  ASSERT_EQ(second.parts.size(), 3u);
  EXPECT_EQ(second.parts[2].second, R"({"id":41,"name":"B"})");
  account.now += absl::Minutes(11);
  Read(account, kAppointment, *settings);
  EXPECT_THAT(account.TakeCalls(), ElementsAre("get_appointment", "get_client", "list_users"));
}

// K6: a request is made once, so that a client that came late must be asked for again.
TEST(SourceTest, AbsenceOfAClientIsNotKeptInMind) {
  Account account;
  account.clients = R"({"items":"No data"})";
  EXPECT_EQ(Read(account, kAppointment).parts.size(), 1u);
  account.clients = kClients;
  EXPECT_EQ(Read(account, kBooking).parts.size(), 2u);
}

// The token stands in no path that the adapter writes: its place is kept for the host.
TEST(ClientTest, PathsHoldNamesForTheCredential) {
  Account account;
  Read(account, kAppointment);
  EXPECT_EQ(account.paths[0], "/getAppointment/a/{account_id}/u/{user_id}/id/7");
}

TEST(StatusOfAnswerTest, WaitsAsLongAsTheCrmSays) {
  const Status plain = StatusOfAnswer("x", Answer(429, "{}"));
  EXPECT_EQ(RetryAfter(plain), absl::Seconds(2));
  EXPECT_EQ(ReasonOf(plain), "rate_limited");
  EXPECT_EQ(RetryAfter(StatusOfAnswer("x", Answer(429, "", {{"retry-after", "7"}}))),
            absl::Seconds(7));
  EXPECT_EQ(RetryAfter(StatusOfAnswer("x", Answer(429, "", {{"retry-after", "99999999"}}))),
            absl::Minutes(10));
  EXPECT_EQ(RetryAfter(StatusOfAnswer("x", Answer(429, "", {{"retry-after", "soon"}}))),
            absl::Seconds(2));
}

TEST(StatusOfAnswerTest, ShowsNothingOfTheBody) {
  const Status status = StatusOfAnswer("get_client", Answer(400, R"({"error":"79000001122"})"));
  EXPECT_EQ(ToStd(status.message()), "get_client: got status 400, want 200 with JSON");
}

TEST(StatusOfAnswerTest, EveryStatusHasADisposition) {
  for (int code = 100; code < 600; ++code) {
    for (const char* body : {"", "{}", "<html>", "[]", "garbage"}) {
      const Status status = StatusOfAnswer("x", Answer(code, body));
      const bool json = *body == '{' || *body == '[';
      EXPECT_EQ(status.ok(), code >= 200 && code < 300 && json) << code << body;
      EXPECT_NE(DispositionOf(status), Disposition::kBug) << code << body;
    }
  }
}

// ---- Lists

// A winter noon in Moscow.
const absl::Time kNoon = absl::FromUnixSeconds(1'772'010'000);

struct Booked {
  absl::CivilDay day;
  absl::Time changed;
};

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%E6S", time, absl::FixedTimeZone(3 * 3600));
}

// Lists the visits of an account, in an order and with pages that a test chooses.
class Calendar : public Session {
 public:
  using Rows = std::vector<std::pair<int, Booked>>;

  Result<http::Response> Send(const Call& call) override {
    ++calls;
    change(*this);
    std::map<std::string, std::string> query(call.query.begin(), call.query.end());
    if (call.operation == "list_changed") {
      return changes.has_value() ? *changes
                                 : Answer(200, fmt::format(R"({{"orders":[{}]}})", Changed(query)));
    }
    Rows rows;
    for (const auto& [id, visit] : visits) {
      if (absl::FormatCivilTime(visit.day) == query["date"]) {
        rows.emplace_back(id, visit);
      }
    }
    order(rows);
    const auto offset = ignores_offset ? 0 : std::stoul(query["offset"]) / granule * granule;
    std::string items;
    size_t count = 0;
    for (size_t i = offset; i < rows.size() && count < most; ++i, ++count) {
      items += Row(rows[i].first, rows[i].second, items.empty());
    }
    return Answer(200,
                  fmt::format(R"({{"offset":{},"items":{},"count":{},"limit":{}}})",
                              offset + most,
                              count == 0 ? R"("No data")" : "[" + items + "]",
                              count,
                              most));
  }
  absl::Time Now() const override { return now; }

  std::map<int, Booked> visits;
  // Rows of a page at most.
  size_t most = 50;
  // Offsets are rounded down to a multiple of it.
  size_t granule = 1;
  bool ignores_offset = false;
  std::function<void(Rows&)> order = [](Rows&) {};
  // Before each call.
  std::function<void(Calendar&)> change = [](Calendar&) {};
  // In place of the list of changes.
  std::optional<http::Response> changes;
  absl::Time now = kNoon;
  int calls = 0;

 private:
  static std::string Row(int id, const Booked& visit, bool is_first) {
    return fmt::format(R"({}{{"id":{},"client_id":5,"modified":"{}"}})",
                       is_first ? "" : ",",
                       id,
                       TimeText(visit.changed));
  }
  std::string Changed(std::map<std::string, std::string>& query) const {
    const absl::Time since = absl::FromUnixSeconds(std::stoll(query["date"]));
    Rows rows;
    for (const auto& [id, visit] : visits) {
      if (visit.changed >= since) {
        rows.emplace_back(id, visit);
      }
    }
    order(rows);
    std::string items;
    for (const auto& [id, visit] : rows) {
      items += Row(id, visit, items.empty());
    }
    return items;
  }
};

Pass ListAll(Session& session, const ListRequest& request) {
  return fixture::ListAll(Source(), session, request);
}

ListRequest SinceCursor(std::string cursor = "2026-02-24T01:00:00.000Z") {
  ListRequest request;
  request.cursor = std::move(cursor);
  return request;
}

// 130 visits of each of five days around now.
Calendar FullCalendar() {
  Calendar calendar;
  const absl::CivilDay today = absl::ToCivilDay(kNoon, absl::FixedTimeZone(3 * 3600));
  for (int i = 0; i < 650; ++i) {
    calendar.visits[i + 1] = {today - 2 + i % 5, kNoon - absl::Hours(24 * 30) - absl::Minutes(i)};
  }
  return calendar;
}

TEST(ListTest, PagesAreAsLongAsTheCrmMakesThem) {
  for (const size_t most : {1, 2, 7, 50, 100, 1000}) {
    Calendar calendar = FullCalendar();
    calendar.most = most;
    const Pass pass = ListAll(calendar, SinceCursor());
    EXPECT_TRUE(pass.status.ok()) << pass.status;
    EXPECT_EQ(pass.versions.size(), 390u) << most;
  }
}

// The days are listed whatever becomes of the changes; the cursor moves unless the CRM is down.
TEST(ListTest, DaysDontWaitForTheChanges) {
  struct Case {
    int status;
    const char* body;
    bool moves;
  };
  for (const Case& one : {Case{403, R"({"error":"Access denied"})", true},
                          Case{402, R"({"error":"tariff"})", true},
                          Case{200, R"({"error":"Access denied"})", true},
                          Case{200, R"({"error":"Unknown action"})", true},
                          Case{404, "{}", true},
                          Case{400, "{}", true},
                          Case{200, R"({"items":{"7":{"id":7},"8":{"id":8}}})", true},
                          Case{200, R"({"orders":[{"id":null}]})", true},
                          Case{429, "{}", false},
                          Case{500, "{}", false},
                          Case{503, "<html>", false},
                          Case{200, R"({"orders":[{"id":7)", false}}) {
    Calendar calendar = FullCalendar();
    calendar.changes = Answer(one.status, one.body);
    const Pass pass = ListAll(calendar, SinceCursor());
    EXPECT_EQ(pass.status.ok(), one.moves) << one.status << one.body << pass.status;
    EXPECT_EQ(!pass.cursor.empty(), one.moves) << one.status << one.body;
    EXPECT_EQ(pass.versions.size(), 390u) << one.status << one.body;
  }
}

// A range that has passed: what has changed since is not its matter.
TEST(ListTest, PastRangesAreTheirDays) {
  Calendar calendar = FullCalendar();
  calendar.changes = Answer(500, "{}");
  ListRequest request;
  request.from = kNoon - absl::Hours(48);
  request.to = kNoon - absl::Hours(24);
  const Pass pass = ListAll(calendar, request);
  EXPECT_TRUE(pass.status.ok()) << pass.status;
  EXPECT_EQ(pass.versions.size(), 260u);
  EXPECT_FALSE(pass.cursor.empty());
}

// Whatever changes, comes or goes between two pages: what was there all the time is listed, and
// what changed is listed by this pass or by the next one.
TEST(ListTest, NothingIsSkippedWhileVisitsMove) {
  const auto by_change = [](bool newest_first) {
    return [newest_first](Calendar::Rows& rows) {
      std::stable_sort(rows.begin(), rows.end(), [newest_first](const auto& a, const auto& b) {
        return newest_first ? a.second.changed > b.second.changed
                            : a.second.changed < b.second.changed;
      });
    };
  };
  int whole = 0;
  for (unsigned seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    Calendar calendar = FullCalendar();
    if (seed % 3 != 0) {
      calendar.order = by_change(seed % 3 == 1);
    }
    calendar.most = seed % 2 == 0 ? 50 : 100;
    int next_id = 10'000;
    calendar.change = [&](Calendar& changing) {
      for (unsigned i = 0; i < 1 + seed % 2; ++i) {
        changing.now += absl::Seconds(random() % 3);
        auto visit = changing.visits.begin();
        std::advance(visit, random() % changing.visits.size());
        switch (random() % 4) {
          case 0:
            changing.visits.erase(visit);
            break;
          case 1:
            changing.visits[next_id++] = {visit->second.day, changing.now};
            break;
          default:
            visit->second.changed = changing.now;
            visit->second.day += static_cast<int>(random() % 3) - 1;
        }
      }
    };
    const Pass first = ListAll(calendar, SinceCursor());
    calendar.change = [](Calendar&) {};
    if (!first.status.ok()) {
      EXPECT_EQ(ReasonOf(first.status), "unstable_order") << first.status;
      continue;
    }
    ++whole;
    const Pass second = ListAll(calendar, SinceCursor(first.cursor));
    const absl::CivilDay today = absl::ToCivilDay(kNoon, absl::FixedTimeZone(3 * 3600));
    for (const auto& [id, visit] : calendar.visits) {
      const bool is_due =
          visit.changed >= kNoon || (visit.day >= today - 1 && visit.day <= today + 1);
      const int64_t version = absl::ToUnixMicros(visit.changed);
      const auto has = [&, id = id](const Pass& pass) {
        const auto found = pass.versions.find(std::to_string(id));
        return found != pass.versions.end() && found->second == version;
      };
      EXPECT_TRUE(!is_due || has(first) || has(second)) << "seed " << seed << " visit " << id;
    }
  }
  EXPECT_GT(whole, 40);
}

// A visit that moves to the place before a page's border moves those behind it.
TEST(ListTest, DayIsBegunAnewWhenItsRowsMove) {
  Calendar calendar = FullCalendar();
  calendar.changes = Answer(404, "{}");
  calendar.change = [](Calendar& changing) {
    if (changing.calls == 2) {
      // Of yesterday, on the first page.
      changing.visits.erase(2);
    }
  };
  const Pass pass = ListAll(calendar, SinceCursor());
  EXPECT_TRUE(pass.status.ok()) << pass.status;
  EXPECT_EQ(pass.versions.size(), 390u);
}

TEST(ListTest, RowsThatNeverStandStillEndThePass) {
  Calendar calendar = FullCalendar();
  unsigned turn = 0;
  calendar.order = [&turn](Calendar::Rows& rows) {
    std::rotate(rows.begin(), rows.begin() + 60 * (++turn % 2), rows.end());
  };
  const Pass pass = ListAll(calendar, SinceCursor());
  EXPECT_TRUE(absl::IsDataLoss(pass.status)) << pass.status;
  EXPECT_EQ(ReasonOf(pass.status), "unstable_order");
  EXPECT_EQ(pass.cursor, "");
}

TEST(ListTest, OffsetsMayBeRoundedToWholePages) {
  Calendar calendar = FullCalendar();
  calendar.granule = calendar.most;
  const Pass pass = ListAll(calendar, SinceCursor());
  EXPECT_TRUE(pass.status.ok()) << pass.status;
  EXPECT_EQ(pass.versions.size(), 390u);
}

TEST(ListTest, EndsWhateverTheServerDoes) {
  Calendar calendar = FullCalendar();
  calendar.ignores_offset = true;
  calendar.most = 130;
  Pass pass = ListAll(calendar, SinceCursor());
  EXPECT_TRUE(pass.status.ok()) << pass.status;
  EXPECT_EQ(pass.versions.size(), 390u);
  EXPECT_LE(calendar.calls, 10);
  // The same rows, in any order.
  calendar.order = [](Calendar::Rows& rows) {
    static std::mt19937 random(7);
    std::shuffle(rows.begin(), rows.end(), random);
  };
  pass = ListAll(calendar, SinceCursor());
  EXPECT_EQ(ReasonOf(pass.status), "unstable_order") << pass.status;
  // Always others.
  struct Endless final : Session {
    Result<http::Response> Send(const Call&) override {
      std::string rows;
      for (int i = 0; i < 100; ++i) {
        rows += fmt::format(R"({}{{"id":{},"client_id":5}})", i == 0 ? "" : ",", ++id);
      }
      --id;
      return Answer(200, fmt::format(R"({{"items":[{}]}})", rows));
    }
    absl::Time Now() const override { return kNoon; }
    int id = 0;
  } endless;
  pass = ListAll(endless, SinceCursor());
  EXPECT_EQ(ReasonOf(pass.status), "unstable_order") << pass.status;
}

TEST(ReadVisitPageTest, SomeRowMustHaveAnId) {
  const auto page = internal::ReadVisitPage(R"({"items":[{"name":"x"}]})", absl::UTCTimeZone());
  EXPECT_TRUE(absl::IsDataLoss(page.status())) << page.status();
  const auto some =
      internal::ReadVisitPage(R"({"items":[{"name":"x"},{"id":7}]})", absl::UTCTimeZone());
  ASSERT_TRUE(some.ok()) << some.status();
  EXPECT_EQ(some->rows, 2);
  EXPECT_EQ(some->visits.size(), 1u);
}

}  // namespace
}  // namespace dealstream::crm::klientiks
