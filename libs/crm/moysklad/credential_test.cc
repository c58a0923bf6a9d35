#include "libs/crm/moysklad/credential.h"

#include <string>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "libs/base/strings.h"
#include "libs/crm/api/fixture.h"

namespace dealstream::crm::moysklad {
namespace {

using fixture::Message;
using ::testing::HasSubstr;
using ::testing::Not;

// No call is ever made: minting a token would revoke those of the customer's other integrations.
class NoCalls final : public http::Transport {
 public:
  Result<http::Response> Send(const http::Request&) override {
    ADD_FAILURE() << "a call";
    return absl::InternalError("a call");
  }
};

CredentialFields Fields(std::string_view login,
                        std::string_view password,
                        std::string_view base_url = "") {
  CredentialFields fields;
  fields.emplace_back("login", Secret(login));
  fields.emplace_back("password", Secret(password));
  if (!base_url.empty()) {
    fields.emplace_back("base_url", Secret(base_url));
  }
  return fields;
}

// M4: login and password.
TEST(CredentialTest, BecomesBasic) {
  NoCalls transport;
  auto access = Credential().MakeAccess(Fields("admin@romashka", "пароль:1"), transport);
  ASSERT_TRUE(access.ok()) << access.status();
  EXPECT_EQ(access->base_url, "https://api.moysklad.ru/api/remap/1.2");
  ASSERT_EQ(access->headers.size(), 1u);
  EXPECT_EQ(access->headers[0].first, "Authorization");
  std::string pair;
  const std::string_view value = access->headers[0].second.Reveal(RevealToken{});
  ASSERT_EQ(value.substr(0, 6), "Basic ");
  ASSERT_TRUE(absl::Base64Unescape(ToAbsl(value.substr(6)), &pair));
  EXPECT_EQ(pair, "admin@romashka:пароль:1");
  EXPECT_EQ(access->expires_at, absl::InfiniteFuture());
}

// M4: the company is the account on the CRM's side, whatever the user.
TEST(CredentialTest, CompanyIsTheAccount) {
  EXPECT_EQ(*Credential().CrmAccountId(Fields("admin@Romashka-Opt", "x")), "romashka-opt");
  EXPECT_EQ(*Credential().CrmAccountId(Fields("d.vetrova@romashka-opt", "y")), "romashka-opt");
  EXPECT_EQ(*Credential().CrmAccountId(Fields("a@b@c", "y")), "c");
}

TEST(CredentialTest, RefusesWhatIsNoLogin) {
  NoCalls transport;
  for (const char* login : {"", "admin", "@company", "admin@", "ad min@c", "a:b@c", "a@b\n"}) {
    const Status status = Credential().CrmAccountId(Fields(login, "s3cret")).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << login;
    EXPECT_THAT(Message(status), HasSubstr("want user@company")) << login;
    EXPECT_FALSE(Credential().MakeAccess(Fields(login, "s3cret"), transport).ok()) << login;
  }
}

TEST(CredentialTest, WantsAPassword) {
  NoCalls transport;
  const Status status = Credential().MakeAccess(Fields("admin@romashka", ""), transport).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(Message(status), HasSubstr("password: got nothing"));
}

TEST(CredentialTest, BaseUrlGetsTheApisPath) {
  NoCalls transport;
  for (const char* given : {"http://127.0.0.1:8090",
                            "http://127.0.0.1:8090/",
                            "http://127.0.0.1:8090/api/remap/1.2",
                            "http://127.0.0.1:8090/api/remap/1.2/"}) {
    auto access = Credential().MakeAccess(Fields("a@b", "x", given), transport);
    ASSERT_TRUE(access.ok()) << access.status();
    EXPECT_EQ(access->base_url, "http://127.0.0.1:8090/api/remap/1.2");
  }
}

TEST(CredentialTest, RefusesOtherBaseUrls) {
  for (const char* given : {"api.moysklad.ru",
                            "ftp://api.moysklad.ru",
                            "https://",
                            "https:///x",
                            "https://user:pass@api.moysklad.ru",
                            "https://api.moysklad.ru/other",
                            "https://api.moysklad.ru?x=/api/remap/1.2",
                            "https://a b",
                            "https://a\\b"}) {
    const Status status = Credential().CrmAccountId(Fields("a@b", "s3cret", given)).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << given;
    EXPECT_THAT(Message(status), Not(HasSubstr("s3cret")));
  }
}

}  // namespace
}  // namespace dealstream::crm::moysklad
