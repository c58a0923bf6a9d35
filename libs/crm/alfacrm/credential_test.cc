#include "libs/crm/alfacrm/credential.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "libs/crm/api/fixture.h"

namespace dealstream::crm::alfacrm {
namespace {

using fixture::Message;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kKey[] = "00000000-1111-2222-3333-444444444444";
const absl::Time kNow = absl::FromUnixSeconds(1'760'000'000);

// Answers every login alike.
class Login final : public http::Transport {
 public:
  Result<http::Response> Send(const http::Request& request) override {
    requests.push_back(request);
    return answer;
  }

  Result<http::Response> answer = http::Response{200, {}, R"({"token":"f3b1c0de"})"};
  std::vector<http::Request> requests;
};

CredentialFields Fields(std::string_view hostname = "school.s20.online",
                        std::string_view email = "api@school.example") {
  CredentialFields fields;
  fields.emplace_back("hostname", Secret(hostname));
  fields.emplace_back("email", Secret(email));
  fields.emplace_back("api_key", Secret(kKey));
  return fields;
}

CredentialFields With(std::string_view name, std::string_view value) {
  CredentialFields fields = Fields();
  fields.emplace_back(std::string(name), Secret(value));
  return fields;
}

Result<crm::Login> LogIn(const CredentialFields& fields, http::Transport& transport) {
  return Credential().LogIn(fields, {.state = {}, .now = kNow}, transport);
}

// A6: e-mail and key become a token for some minutes.
TEST(CredentialTest, LogsIn) {
  Login transport;
  auto login = LogIn(Fields(), transport);
  ASSERT_TRUE(login.ok()) << login.status();
  ASSERT_EQ(transport.requests.size(), 1u);
  const http::Request& request = transport.requests[0];
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.url, "https://school.s20.online/v2api/auth/login");
  EXPECT_EQ(request.body,
            R"({"email":"api@school.example","api_key":"00000000-1111-2222-3333-444444444444"})");
  EXPECT_EQ(http::FindHeader(request.headers, "X-ALFACRM-TOKEN"), "");
  EXPECT_EQ(login->access.base_url, "https://school.s20.online");
  ASSERT_EQ(login->access.headers.size(), 1u);
  EXPECT_EQ(login->access.headers[0].first, "X-ALFACRM-TOKEN");
  EXPECT_EQ(login->access.headers[0].second.Reveal(RevealToken{}), "f3b1c0de");
  EXPECT_EQ(login->access.expires_at, kNow + absl::Minutes(14));
  EXPECT_TRUE(login->state.empty()) << "there is nothing to renew it with";
}

// A6: the host in any form it is copied in; it is the account on the CRM's side.
TEST(CredentialTest, HostNamesTheAccount) {
  for (const char* given : {"school",
                            "School",
                            "school.s20.online",
                            " school.s20.online ",
                            "https://school.s20.online",
                            "https://school.s20.online/company/1/lead/index?x=1",
                            "SCHOOL.S20.ONLINE/"}) {
    const auto account = Credential().CrmAccountId(Fields(given));
    ASSERT_TRUE(account.ok()) << given << account.status();
    EXPECT_EQ(*account, "school.s20.online");
  }
  // Other hosts are the vault's business: it knows which may be called.
  EXPECT_EQ(*Credential().CrmAccountId(Fields("crm.school.ru")), "crm.school.ru");
}

TEST(CredentialTest, RefusesWhatCannotBe) {
  for (const char* host :
       {"", " ", "https://", ".s20.online", "s20.online", "a b", "школа", "a..b.c"}) {
    const Status status = Credential().CrmAccountId(Fields(host)).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << host;
    EXPECT_THAT(Message(status), HasSubstr("hostname: ")) << host;
  }
  for (const char* email : {"", "api", "@x", "a@", "a b@c", "a\"@b"}) {
    const Status status = Credential().CrmAccountId(Fields("school", email)).status();
    EXPECT_THAT(Message(status), HasSubstr("email: ")) << email;
  }
  for (const char* life : {"0", "59", "x", "100000", "-1"}) {
    EXPECT_THAT(Message(Credential().CrmAccountId(With("token_ttl_s", life)).status()),
                HasSubstr("token_ttl_s: "));
  }
  for (const char* url : {"127.0.0.1", "ftp://x", "https://", "http://a/v2api", "http://u@h"}) {
    EXPECT_THAT(Message(Credential().CrmAccountId(With("base_url", url)).status()),
                HasSubstr("base_url: "));
  }
}

// The limit of an account is kept by its host: calls go to no other school.
TEST(CredentialTest, TheAddressIsThatOfTheHost) {
  for (const char* url : {"https://other.s20.online", "https://school.s20.online.evil.example"}) {
    EXPECT_THAT(Message(Credential().CrmAccountId(With("base_url", url)).status()),
                HasSubstr("want https://school.s20.online or nothing"));
  }
  for (const char* url : {"https://school.s20.online", "http://localhost:8090"}) {
    EXPECT_TRUE(Credential().CrmAccountId(With("base_url", url)).ok()) << url;
  }
}

// What is pasted may hold a key.
TEST(CredentialTest, OfAnAddressOnlyTheHostIsShown) {
  for (const char* url : {"https://bad_host/v2api?key=s3cret",
                          "https://user:s3cret@school.s20.online",
                          "https://bad_host#s3cret",
                          "bad_host/s3cret"}) {
    for (const Status& status : {Credential().CrmAccountId(Fields(url)).status(),
                                 Credential().CrmAccountId(With("base_url", url)).status()}) {
      EXPECT_FALSE(status.ok()) << url;
      EXPECT_THAT(Message(status), testing::Not(HasSubstr("s3cret")));
    }
  }
}

TEST(CredentialTest, TakesWhatIsOptional) {
  Login transport;
  auto login = LogIn(With("token_ttl_s", "3600"), transport);
  ASSERT_TRUE(login.ok());
  EXPECT_EQ(login->access.expires_at, kNow + absl::Hours(1));
  login = LogIn(With("base_url", "http://127.0.0.1:8090/"), transport);
  ASSERT_TRUE(login.ok());
  EXPECT_EQ(transport.requests.back().url, "http://127.0.0.1:8090/v2api/auth/login");
  // A partner's host wants its own key, too.
  login = LogIn(With("app_key", "partner"), transport);
  ASSERT_TRUE(login.ok());
  EXPECT_EQ(http::FindHeader(transport.requests.back().headers, "X-APP-KEY"), "partner");
  EXPECT_EQ(login->access.headers.at(1).first, "X-APP-KEY");
}

TEST(CredentialTest, KeyIsEscaped) {
  Login transport;
  CredentialFields fields;
  fields.emplace_back("hostname", Secret("school"));
  fields.emplace_back("email", Secret("a@b"));
  fields.emplace_back("api_key", Secret("a\"b\\c"));
  ASSERT_TRUE(LogIn(fields, transport).ok());
  EXPECT_EQ(transport.requests[0].body, R"({"email":"a@b","api_key":"a\"b\\c"})");
}

struct Refusal {
  int status;
  const char* body;
  absl::StatusCode code;
  const char* words;
};

// A6: a refusal says what its owner can do.
TEST(CredentialTest, RefusalsAreInTheOwnersWords) {
  using Code = absl::StatusCode;
  const Refusal refusals[] = {
      {401, R"({"name":"Unauthorized","status":401})", Code::kUnauthenticated, "check both"},
      {403, R"({"name":"Forbidden","status":403})", Code::kPermissionDenied, "v2api"},
      {404, R"({"name":"Not Found"})", Code::kFailedPrecondition, "check the host name"},
      {404, "<html></html>", Code::kFailedPrecondition, "check the host name"},
      {429, "{}", Code::kResourceExhausted, "429"},
      {502, "<html></html>", Code::kUnavailable, "HTML"},
      {200, "<html></html>", Code::kUnavailable, "HTML"},
      {200, "", Code::kUnavailable, "no body"},
      {200, "{}", Code::kDataLoss, "token: got nothing"},
      {200, R"({"token":7})", Code::kDataLoss, "token"},
      {200, R"({"token":""})", Code::kDataLoss, "token"},
      {200, R"({"token":"a\r\nx: y"})", Code::kDataLoss, "token"},
      {200, "[]", Code::kDataLoss, "object"}};
  for (const Refusal& refusal : refusals) {
    Login transport;
    transport.answer = http::Response{refusal.status, {}, refusal.body};
    const Status status = LogIn(Fields(), transport).status();
    EXPECT_EQ(status.code(), refusal.code) << refusal.status << refusal.body << status;
    EXPECT_THAT(Message(status), HasSubstr(refusal.words));
    EXPECT_THAT(Message(status), Not(HasSubstr(kKey)));
  }
  Login away;
  away.answer = absl::DeadlineExceededError("timeout");
  EXPECT_TRUE(absl::IsDeadlineExceeded(LogIn(Fields(), away).status()));
}

}  // namespace
}  // namespace dealstream::crm::alfacrm
