#include "libs/crm/klientiks/credential.h"

#include <map>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "libs/base/strings.h"

namespace dealstream::crm::klientiks {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

class NoCalls final : public http::Transport {
 public:
  Result<http::Response> Send(const http::Request&) override {
    ADD_FAILURE() << "a call";
    return absl::InternalError("a call");
  }
};

using Texts = std::map<std::string, std::string>;

const Texts kGood = {{"account_id", "0A1b2c3d4e5f"},
                     {"user_id", "f5e4d3c2b1a0"},
                     {"access_token", "00112233445566778899aabbccddeeff"}};

CredentialFields Fields(const Texts& changes = {}) {
  Texts texts = kGood;
  for (const auto& [name, value] : changes) {
    texts[name] = value;
  }
  CredentialFields fields;
  for (const auto& [name, value] : texts) {
    fields.emplace_back(name, Secret(value));
  }
  return fields;
}

std::string Refused(const Texts& changes) {
  NoCalls transport;
  const Status status = Credential().MakeAccess(Fields(changes), transport).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  return std::string(ToStd(status.message()));
}

std::string Shown(const Secret& secret) { return std::string(secret.Reveal(RevealToken{})); }

// K14: account_id, user_id and access_token; the name is every credential's own.
TEST(CredentialTest, BecomesHeaderAndPath) {
  NoCalls transport;
  const auto access = Credential().MakeAccess(Fields(), transport);
  ASSERT_TRUE(access.ok()) << access.status();
  EXPECT_EQ(access->base_url, "https://klientiks.ru/clientix/Restapi");
  ASSERT_EQ(access->headers.size(), 1u);
  EXPECT_EQ(access->headers[0].first, "Authorization");
  EXPECT_EQ(Shown(access->headers[0].second), "Bearer 00112233445566778899aabbccddeeff");
  Texts path;
  for (const auto& [name, value] : access->path) {
    path[name] = Shown(value);
  }
  EXPECT_THAT(path,
              ElementsAre(Pair("access_token", "00112233445566778899aabbccddeeff"),
                          Pair("account_id", "0A1b2c3d4e5f"),
                          Pair("user_id", "f5e4d3c2b1a0")));
  EXPECT_EQ(access->expires_at, absl::InfiniteFuture());
}

// K14: both integrations of an account, by whatever user, share it.
TEST(CredentialTest, TheAccountIsTheCrmAccount) {
  EXPECT_EQ(*Credential().CrmAccountId(Fields()), "0a1b2c3d4e5f");
  EXPECT_EQ(*Credential().CrmAccountId(Fields({{"user_id", "abc"}, {"account_id", " 77 "}})), "77");
}

TEST(CredentialTest, WhatIsCopiedHasSpaces) {
  NoCalls transport;
  const auto access = Credential().MakeAccess(
      Fields({{"access_token", " aabb\u00a0\n"}, {"user_id", "\tcc "}}), transport);
  ASSERT_TRUE(access.ok()) << access.status();
  EXPECT_EQ(Shown(access->headers[0].second), "Bearer aabb");
}

TEST(CredentialTest, RefusalsNameTheField) {
  EXPECT_THAT(Refused({{"account_id", ""}}), HasSubstr("account_id: got \"\", want letters"));
  EXPECT_THAT(Refused({{"account_id", "a/b"}}), HasSubstr("account_id: got \"a/b\""));
  EXPECT_THAT(Refused({{"user_id", "{x}"}}), HasSubstr("user_id: got \"{x}\""));
  EXPECT_THAT(Refused({{"access_token", ""}}), HasSubstr("access_token: got nothing"));
  const std::string refusal = Refused({{"access_token", "s3cret key"}});
  EXPECT_THAT(refusal, HasSubstr("access_token: got another text"));
  EXPECT_THAT(refusal, Not(HasSubstr("s3cret")));
  EXPECT_THAT(Refused({{"base_url", "ftp://x"}}), HasSubstr("base_url: got "));
  EXPECT_THAT(Refused({{"base_url", "https://x/other"}}), HasSubstr("base_url"));
}

TEST(CredentialTest, AddressOfASimulator) {
  NoCalls transport;
  for (const char* url : {"http://127.0.0.1:8080",
                          "http://127.0.0.1:8080/",
                          "http://127.0.0.1:8080/clientix/Restapi/"}) {
    const auto access = Credential().MakeAccess(Fields({{"base_url", url}}), transport);
    ASSERT_TRUE(access.ok()) << access.status();
    EXPECT_EQ(access->base_url, "http://127.0.0.1:8080/clientix/Restapi");
  }
}

}  // namespace
}  // namespace dealstream::crm::klientiks
