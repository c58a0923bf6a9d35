#include "services/crm-reader/session.h"

#include <gtest/gtest.h>

#include "libs/obs/metrics.h"
#include "services/crm-reader/testing.h"

namespace dealstream::reader {
namespace {

using testing::FakeTransport;

class CallSessionTest : public ::testing::Test {
 protected:
  CallSessionTest() {
    limits_.limiter.Configure({.units = 10, .interval = absl::Seconds(1), .reader_share = 1});
    testing::FakeVault vault;
    access_ = *vault.IssueAccess("acme.example", 0);
  }

  CallSession Session() {
    return CallSession({}, {clock_, transport_, limits_, access_, metrics_, stopping_});
  }
  static crm::Session::Call Call(std::string path = "/obj") {
    crm::Session::Call call;
    call.operation = "get_object";
    call.path = std::move(path);
    return call;
  }
  void Answer(int status) {
    transport_.handlers["acme.example"] = [status](const http::Request&) {
      return http::Response{status, {}, ""};
    };
  }

  FakeClock clock_{absl::FromUnixSeconds(1'700'000'000)};
  FakeTransport transport_;
  AccountLimits limits_{{.failures = 3}};
  IssuedAccess access_;
  obs::Metrics registry_{"crm-reader", "test", "test"};
  ReaderMetrics metrics_{registry_, "acme"};
  std::atomic<bool> stopping_ = false;
};

TEST_F(CallSessionTest, AddsWhatTheAccessHolds) {
  crm::Session::Call call = Call("/{token}/obj");
  call.query = {{"a b", "c&d=é"}};
  call.headers = {{"accept", "x"}};
  ASSERT_TRUE(Session().Send(call).ok());
  const http::Request& request = transport_.requests.at(0);
  EXPECT_EQ(request.url, "https://acme.example/p%2Fs/obj?a%20b=c%26d%3D%C3%A9&key=q%20s");
  EXPECT_EQ(http::FindHeader(request.headers, "authorization"), "Basic c2VjcmV0");
  EXPECT_EQ(http::FindHeader(request.headers, "accept"), "x");
}

// H8: a key in the query is percent-encoded, and seen nowhere but in the URL.
TEST_F(CallSessionTest, KeyInTheQueryIsEncodedAndNeverShown) {
  constexpr std::string_view kKey = "k3y/+more=";
  constexpr std::string_view kEncoded = "k3y%2F%2Bmore%3D";
  access_.access.query.clear();
  access_.access.query.emplace_back("authkey", Secret(kKey));
  const Result<http::Response> answers[] = {http::Response{200, {}, ""},
                                            http::Response{500, {}, ""},
                                            absl::UnavailableError("reset"),
                                            absl::DeadlineExceededError("timeout")};
  for (const auto& answer : answers) {
    transport_.handlers["acme.example"] = [&](const http::Request&) { return answer; };
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const Status status = Session().Send(Call("/Api/V2/GetLeads")).status();
    const std::string shown = status.ToString() + registry_.Render() +
                              ::testing::internal::GetCapturedStdout() +
                              ::testing::internal::GetCapturedStderr();
    EXPECT_EQ(transport_.requests.back().url,
              "https://acme.example/Api/V2/GetLeads?authkey=" + std::string(kEncoded));
    EXPECT_EQ(shown.find("k3y"), std::string::npos) << shown;
  }
}

TEST_F(CallSessionTest, NotesOfAnAccountOutliveTheConversation) {
  CallSession first = Session();
  EXPECT_EQ(first.Noted("names", absl::Hours(1)), nullptr);
  first.Note("names", "1 new");
  CallSession second = Session();
  const std::string* noted = second.Noted("names", absl::Hours(1));
  ASSERT_NE(noted, nullptr);
  EXPECT_EQ(*noted, "1 new");
  clock_.Advance(absl::Hours(2));
  EXPECT_EQ(second.Noted("names", absl::Hours(1)), nullptr);
}

TEST_F(CallSessionTest, AValueWithoutNameStandsAlone) {
  crm::Session::Call call = Call("/{token}/obj");
  call.query = {{"", R"({"limit":5})"}};
  ASSERT_TRUE(Session().Send(call).ok());
  EXPECT_EQ(transport_.requests.at(0).url,
            "https://acme.example/p%2Fs/obj?%7B%22limit%22%3A5%7D&key=q%20s");
}

TEST_F(CallSessionTest, WaitsForTheRateLimit) {
  CallSession session = Session();
  absl::Time start = clock_.Now();
  for (int i = 0; i < 21; ++i) {
    ASSERT_TRUE(session.Send(Call()).ok());
  }
  EXPECT_GE(clock_.Now() - start, absl::Seconds(2));
  EXPECT_EQ(session.units(), 21);
}

TEST_F(CallSessionTest, GivesUpWhenTheWaitIsLong) {
  limits_.limiter.PauseUntil(clock_.Now() + absl::Seconds(9));
  Status status = Session().Send(Call()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(status), kOwnLimit);
  EXPECT_EQ(RetryAfter(status), absl::Seconds(9));
  EXPECT_TRUE(transport_.requests.empty());
}

TEST_F(CallSessionTest, FailingAccountIsLeftAlone) {
  Answer(502);
  CallSession session = Session();
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(session.Send(Call()).ok()) << "an answer is the adapter's to judge";
  }
  Status status = session.Send(Call()).status();
  EXPECT_EQ(ReasonOf(status), "circuit_open");
  EXPECT_EQ(transport_.requests.size(), 3u);
  clock_.Advance(absl::Seconds(5));
  Answer(200);
  EXPECT_TRUE(session.Send(Call()).ok());
  EXPECT_FALSE(limits_.breaker.tripped());
}

TEST_F(CallSessionTest, LostConnectionIsTriedOnceMore) {
  int calls = 0;
  transport_.handlers["acme.example"] = [&](const http::Request&) -> Result<http::Response> {
    if (++calls == 1) {
      return absl::UnavailableError("reset");
    }
    return http::Response{200, {}, ""};
  };
  EXPECT_TRUE(Session().Send(Call()).ok());
  EXPECT_EQ(calls, 2);

  calls = 0;
  crm::Session::Call write = Call();
  write.idempotent = false;
  EXPECT_FALSE(Session().Send(write).ok()) << "a write may have happened";
  EXPECT_EQ(calls, 1);
}

TEST_F(CallSessionTest, TimeoutIsNotTriedAgain) {
  transport_.handlers["acme.example"] = [&](const http::Request&) -> Result<http::Response> {
    return absl::DeadlineExceededError("slow");
  };
  EXPECT_FALSE(Session().Send(Call()).ok());
  EXPECT_EQ(transport_.requests.size(), 1u);
}

TEST_F(CallSessionTest, StoppingEndsIt) {
  stopping_ = true;
  EXPECT_EQ(Session().Send(Call()).status().code(), absl::StatusCode::kCancelled);
}

TEST_F(CallSessionTest, CallsAreCounted) {
  Answer(429);
  (void)Session().Send(Call());
  EXPECT_NE(registry_.Render().find("dealstream_crm_requests_total{crm=\"acme\",operation=\"get_"
                                    "object\",outcome=\"rate_limited\"} 1"),
            std::string::npos);
}

}  // namespace
}  // namespace dealstream::reader
