#include "libs/crm/klientiks/record_source.h"

#include <map>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/api/settings.h"
#include "libs/crm/klientiks/adapter.h"
#include "libs/crm/klientiks/client.h"
#include "libs/crm/klientiks/wire.h"

// What is asked and what comes of it is checked by the cases in testdata/read and testdata/list,
// which the conformance suite runs. Here is what they can't show.
namespace dealstream::crm::klientiks {
namespace {

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
    return Answer(200, call.operation == "get_client" ? kClients : kUsers);
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

TEST(ReadVisitPageTest, RowsNeedAnId) {
  const auto page = internal::ReadVisitPage(
      R"({"items":[{"name":"x"}]})", absl::UTCTimeZone(), /*must_have_client=*/false);
  EXPECT_TRUE(absl::IsDataLoss(page.status())) << page.status();
  EXPECT_THAT(std::string(ToStd(page.status().message())), HasSubstr("items[0]"));
}

}  // namespace
}  // namespace dealstream::crm::klientiks
