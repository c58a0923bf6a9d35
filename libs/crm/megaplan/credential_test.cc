#include "libs/crm/megaplan/credential.h"

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "libs/crm/api/fixture.h"

namespace dealstream::crm::megaplan {
namespace {

using fixture::Message;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const absl::Time kNow = absl::FromUnixSeconds(1'772'000'000);

constexpr const char* kTokens =
    R"({"access_token":"t0ken","expires_in":172800,"token_type":"bearer","scope":null,)"
    R"("refresh_token":"r3fresh"})";

// Answers logins one after the other and remembers them.
class FakeLogin final : public http::Transport {
 public:
  std::deque<Result<http::Response>> answers;
  std::vector<http::Request> requests;

  void Answer(int status, std::string body, http::Headers headers = {}) {
    answers.push_back(http::Response{status, std::move(headers), std::move(body)});
  }
  Result<http::Response> Send(const http::Request& request) override {
    requests.push_back(request);
    if (answers.empty()) {
      ADD_FAILURE() << "one call more than expected";
      return absl::InternalError("unexpected");
    }
    auto answer = std::move(answers.front());
    answers.pop_front();
    return answer;
  }
};

CredentialFields Fields(std::string_view domain = "https://mp361546.megaplan.ru",
                        std::string_view username = "robot@example.com",
                        std::string_view password = "пароль & \"1\"",
                        std::string_view base_url = "") {
  CredentialFields fields;
  fields.emplace_back("username", Secret(username));
  fields.emplace_back("password", Secret(password));
  fields.emplace_back("domain", Secret(domain));
  if (!base_url.empty()) {
    fields.emplace_back("base_url", Secret(base_url));
  }
  return fields;
}

Result<Login> LogIn(FakeLogin& transport,
                    std::string_view state = "",
                    const CredentialFields& fields = Fields()) {
  return Credential().LogIn(fields, {.state = Secret(state), .now = kNow}, transport);
}

std::string_view Shown(const Secret& secret) { return secret.Reveal(RevealToken{}); }

// The fields of a form, by name.
std::vector<std::pair<std::string, std::string>> Form(const http::Request& request) {
  std::vector<std::pair<std::string, std::string>> fields;
  const std::string type(
      http::FindHeader({{"content-type", request.headers.at(1).second}}, "content-type"));
  const std::string boundary = "--" + type.substr(type.find("boundary=") + 9);
  EXPECT_THAT(type, HasSubstr("multipart/form-data; boundary="));
  EXPECT_TRUE(request.body.ends_with(boundary + "--\r\n"));
  for (size_t at = request.body.find(boundary + "\r\n"); at != std::string::npos;
       at = request.body.find(boundary + "\r\n", at + 1)) {
    const size_t name = request.body.find("name=\"", at) + 6;
    const size_t value = request.body.find("\r\n\r\n", name) + 4;
    const size_t end = request.body.find("\r\n" + boundary, value);
    fields.emplace_back(request.body.substr(name, request.body.find('"', name) - name),
                        request.body.substr(value, end - value));
  }
  return fields;
}

// G5: the first login is by password; what it leaves is for the next one.
TEST(CredentialTest, FirstLoginIsByPassword) {
  FakeLogin transport;
  transport.Answer(200, kTokens);
  const auto login = LogIn(transport);
  ASSERT_TRUE(login.ok()) << login.status();
  const http::Request& request = transport.requests.at(0);
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.url, "https://mp361546.megaplan.ru/api/v3/auth/access_token");
  EXPECT_FALSE(request.idempotent);
  EXPECT_THAT(Form(request),
              ElementsAre(std::pair<std::string, std::string>("username", "robot@example.com"),
                          std::pair<std::string, std::string>("password", "пароль & \"1\""),
                          std::pair<std::string, std::string>("grant_type", "password")));
  EXPECT_EQ(login->access.base_url, "https://mp361546.megaplan.ru/api/v3");
  ASSERT_EQ(login->access.headers.size(), 1u);
  EXPECT_EQ(login->access.headers[0].first, "Authorization");
  EXPECT_EQ(Shown(login->access.headers[0].second), "Bearer t0ken");
  EXPECT_TRUE(login->access.query.empty());
  EXPECT_EQ(login->access.expires_at, kNow + absl::Hours(46));
  EXPECT_EQ(Shown(login->state), "r3fresh");
}

// G5
TEST(CredentialTest, NextLoginIsByRefreshToken) {
  FakeLogin transport;
  transport.Answer(200, R"({"access_token":"t2","expires_in":100,"refresh_token":"r2"})");
  const auto login = LogIn(transport, "r1");
  ASSERT_TRUE(login.ok()) << login.status();
  EXPECT_THAT(Form(transport.requests.at(0)),
              ElementsAre(std::pair<std::string, std::string>("refresh_token", "r1"),
                          std::pair<std::string, std::string>("grant_type", "refresh_token")));
  EXPECT_EQ(Shown(login->access.headers[0].second), "Bearer t2");
  EXPECT_EQ(Shown(login->state), "r2");
  // A short life is used to its half.
  EXPECT_EQ(login->access.expires_at, kNow + absl::Seconds(50));
}

// G5: whatever renewal says, but "slower", the password is tried in the same login. A server that
// fails at a grant that it doesn't know would else keep us out for good.
TEST(CredentialTest, RefusedRenewalFallsBackToThePassword) {
  for (const auto& [status, body] : std::vector<std::pair<int, std::string>>{
           {400, R"({"error":"invalid_grant","error_description":"Refresh token has expired"})"},
           {401, ""},
           {404, "<html></html>"},
           {200, R"({"error":"invalid_grant"})"},
           {200, R"({"meta":{"status":422,"errors":[]},"data":null})"},
           {200, "{}"},
           {200, "[]"},
           {200, "<html></html>"},
           {200, R"({"access_token":"t)"},
           {302, ""},
           {408, "{}"},
           {500, "{}"},
           {502, "<html></html>"}}) {
    FakeLogin transport;
    transport.Answer(status, body);
    transport.Answer(200, kTokens);
    const auto login = LogIn(transport, "old");
    ASSERT_TRUE(login.ok()) << login.status() << body;
    EXPECT_EQ(Form(transport.requests.at(1)).back().second, "password") << body;
    EXPECT_EQ(Shown(login->state), "r3fresh");
  }
}

TEST(CredentialTest, RenewalThatMustWaitWaits) {
  for (const Result<http::Response>& answer :
       std::vector<Result<http::Response>>{http::Response{429, {}, "{}"},
                                           absl::DeadlineExceededError("timeout"),
                                           absl::UnavailableError("refused")}) {
    FakeLogin transport;
    transport.answers.push_back(answer);
    const auto login = LogIn(transport, "old");
    const Disposition disposition = DispositionOf(login.status());
    EXPECT_TRUE(disposition == Disposition::kRetry || disposition == Disposition::kSlowDown)
        << login.status();
  }
}

// What the password then comes to is what counts.
TEST(CredentialTest, PasswordMayFailAfterRenewal) {
  FakeLogin transport;
  transport.Answer(500, "{}");
  transport.Answer(503, "{}");
  EXPECT_TRUE(absl::IsUnavailable(LogIn(transport, "old").status()));
  transport.Answer(500, "{}");
  transport.Answer(400, "{}");
  EXPECT_TRUE(absl::IsUnauthenticated(LogIn(transport, "old").status()));
}

TEST(CredentialTest, LoginWithoutRefreshTokenKeepsNothing) {
  FakeLogin transport;
  transport.Answer(200, R"({"access_token":"t","expires_in":172800,"refresh_token":null})");
  const auto login = LogIn(transport);
  ASSERT_TRUE(login.ok()) << login.status();
  EXPECT_TRUE(login->state.empty());
}

// G5: the words are for the owner; none of them is a secret.
TEST(CredentialTest, RefusedLoginsSayWhatToCheck) {
  for (
      const auto& [status, body] : std::vector<std::pair<int, std::string>>{
          {400,
           R"({"error":"invalid_grant","error_description":"Invalid пароль & \"1\" combination"})"},
          {401, R"({"meta":{"status":401,"errors":[]},"data":null})"},
          {403, "<html></html>"},
          {404, "<html></html>"},
          {200, R"({"error":"invalid_grant"})"},
          {200, R"({"meta":{"status":401,"errors":[]},"data":null})"}}) {
    FakeLogin transport;
    transport.Answer(status, body);
    const Status refused = LogIn(transport).status();
    EXPECT_TRUE(absl::IsUnauthenticated(refused)) << refused << body;
    EXPECT_THAT(Message(refused), HasSubstr("check the user name, the password and the domain"));
    EXPECT_THAT(Message(refused), Not(HasSubstr("пароль")));
  }
}

TEST(CredentialTest, FailuresAreNoRefusals) {
  using Code = absl::StatusCode;
  for (const auto& [status, body, code] : std::vector<std::tuple<int, std::string, Code>>{
           {429, "{}", Code::kResourceExhausted},
           {408, "{}", Code::kUnavailable},
           {500, "{}", Code::kUnavailable},
           {502, "<html></html>", Code::kUnavailable},
           {200, "<html></html>", Code::kUnavailable},
           {200, "", Code::kUnavailable},
           {302, "", Code::kUnavailable},
           {200, R"({"access_token":"t)", Code::kUnavailable},
           {200, "{}", Code::kDataLoss},
           {200, "[]", Code::kDataLoss},
           {200, R"({"access_token":7,"expires_in":1})", Code::kDataLoss},
           {200, R"({"access_token":"","expires_in":1})", Code::kDataLoss},
           {200, R"({"access_token":"t"})", Code::kDataLoss},
           {200, R"({"access_token":"t","expires_in":0})", Code::kDataLoss},
           {200, R"({"access_token":"t","expires_in":"1"})", Code::kDataLoss}}) {
    FakeLogin transport;
    transport.Answer(status, body);
    const Status failed = LogIn(transport).status();
    EXPECT_EQ(failed.code(), code) << status << " " << body << " " << failed;
    EXPECT_THAT(Message(failed), Not(HasSubstr("\"t\"")));
  }
  FakeLogin transport;
  transport.answers.push_back(absl::DeadlineExceededError("timeout"));
  EXPECT_TRUE(absl::IsDeadlineExceeded(LogIn(transport).status()));
}

// A value that holds the boundary doesn't end its part.
TEST(CredentialTest, PasswordMayHoldAnything) {
  for (const char* password :
       {"----dealstream-form", "------dealstream-form--\r\n", "a\r\n\r\nb", "%&=+ "}) {
    FakeLogin transport;
    transport.Answer(200, kTokens);
    ASSERT_TRUE(LogIn(transport, "", Fields("https://a.megaplan.ru", "u", password)).ok());
    EXPECT_EQ(Form(transport.requests.at(0)).at(1).second, password);
  }
}

// G5: the account is what stands before .megaplan.ru.
TEST(CredentialTest, AccountIsOfTheDomain) {
  for (const char* domain : {"https://mp361546.megaplan.ru",
                             "https://MP361546.Megaplan.ru/",
                             "mp361546.megaplan.ru",
                             "https://mp361546.megaplan.ru/api/v3",
                             "https://mp361546.megaplan.ru/api/v3/"}) {
    EXPECT_EQ(*Credential().CrmAccountId(Fields(domain)), "mp361546") << domain;
    FakeLogin transport;
    transport.Answer(200, kTokens);
    EXPECT_EQ(LogIn(transport, "", Fields(domain))->access.base_url,
              "https://mp361546.megaplan.ru/api/v3");
  }
  EXPECT_EQ(*Credential().CrmAccountId(Fields("https://crm.firma.ru")), "crm.firma.ru");
}

TEST(CredentialTest, RefusesWhatIsNoDomain) {
  for (const char* domain : {"",
                             "mp361546",
                             "megaplan.ru",
                             "https://",
                             "https:///x",
                             "ftp://mp361546.megaplan.ru",
                             "https://user:pass@mp361546.megaplan.ru",
                             "https://mp361546.megaplan.ru/other",
                             "https://mp361546.megaplan.ru?x=/api/v3",
                             "https://mp 1.megaplan.ru",
                             "https://mp1.megaplan.ru\n",
                             ".megaplan.ru",
                             "https://a\\b.megaplan.ru"}) {
    const Status status = Credential().CrmAccountId(Fields(domain)).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << domain << status;
    EXPECT_THAT(Message(status), HasSubstr("want https://<account>.megaplan.ru")) << domain;
    FakeLogin transport;
    EXPECT_FALSE(LogIn(transport, "", Fields(domain)).ok()) << domain;
  }
}

// Where the API isn't at the domain: tests and demos.
TEST(CredentialTest, BaseUrlIsWhereTheApiIs) {
  const auto fields = Fields("https://mp1.megaplan.ru", "u", "p", "http://127.0.0.1:8090/");
  EXPECT_EQ(*Credential().CrmAccountId(fields), "mp1");
  FakeLogin transport;
  transport.Answer(200, kTokens);
  EXPECT_EQ(LogIn(transport, "", fields)->access.base_url, "http://127.0.0.1:8090/api/v3");
  EXPECT_FALSE(Credential().CrmAccountId(Fields("https://mp1.megaplan.ru", "u", "p", "x")).ok());
}

TEST(CredentialTest, WantsUserNameAndPassword) {
  FakeLogin transport;
  EXPECT_THAT(Message(LogIn(transport, "", Fields("a.megaplan.ru", "u", "")).status()),
              HasSubstr("password: got nothing"));
  EXPECT_THAT(Message(LogIn(transport, "", Fields("a.megaplan.ru", "")).status()),
              HasSubstr("username: got \"\""));
  EXPECT_THAT(Message(LogIn(transport, "", Fields("a.megaplan.ru", "a\r\nb")).status()),
              HasSubstr("control characters"));
}

}  // namespace
}  // namespace dealstream::crm::megaplan
