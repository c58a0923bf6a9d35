#include "libs/crm/api/credential.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "libs/base/strings.h"

namespace dealstream::crm {
namespace {

using ::testing::EndsWith;
using ::testing::StartsWith;

constexpr ApiAddress kApi = {.origin = "https://api.example.ru", .path = "/api/v1"};

TEST(CredentialTest, AFieldIsFoundUnlessItIsEmpty) {
  CredentialFields fields;
  fields.emplace_back("login", Secret("ann"));
  fields.emplace_back("key", Secret(""));
  ASSERT_NE(FindField(fields, "login"), nullptr);
  EXPECT_EQ(FindField(fields, "login")->Reveal(RevealToken{}), "ann");
  EXPECT_EQ(FindField(fields, "key"), nullptr);
  EXPECT_EQ(FindField(fields, "log"), nullptr);
  EXPECT_EQ(PlainField(fields, "login"), "ann");
  EXPECT_EQ(PlainField(fields, "key"), "");
  EXPECT_EQ(PlainField(fields, "none"), "");
}

TEST(CredentialTest, VisibleAsciiHasNoBlanks) {
  EXPECT_TRUE(IsVisibleAscii(""));
  EXPECT_TRUE(IsVisibleAscii("!aZ09~"));
  for (const char* text : {"a b", "a\n", "\t", "\x7f", "ключ"}) {
    EXPECT_FALSE(IsVisibleAscii(text)) << text;
  }
}

TEST(CredentialTest, HostNamesHaveNoPort) {
  for (const std::string& host :
       {std::string("a"), std::string("my-school.example.ru"), std::string("127.0.0.1")}) {
    EXPECT_TRUE(IsHostName(host)) << host;
  }
  for (const std::string& host : {std::string(),
                                  std::string(".a"),
                                  std::string("-a"),
                                  std::string("a."),
                                  std::string("a..b"),
                                  std::string("a:80"),
                                  std::string("a/b"),
                                  std::string("a@b"),
                                  std::string("школа"),
                                  std::string(254, 'a')}) {
    EXPECT_FALSE(IsHostName(host)) << host;
  }
}

TEST(CredentialTest, BaseUrlGetsTheApisPath) {
  EXPECT_EQ(*BaseUrl("", kApi), "https://api.example.ru/api/v1");
  for (const char* given : {"http://127.0.0.1:8090",
                            "http://127.0.0.1:8090//",
                            "http://127.0.0.1:8090/api/v1",
                            "http://127.0.0.1:8090/api/v1/"}) {
    EXPECT_EQ(*BaseUrl(given, kApi), "http://127.0.0.1:8090/api/v1") << given;
  }
  // Behind a proxy.
  EXPECT_EQ(*BaseUrl("https://proxy.ru/crm/api/v1", kApi), "https://proxy.ru/crm/api/v1");
  const ApiAddress no_path = {.origin = "https://a.ru", .path = ""};
  EXPECT_EQ(*BaseUrl("", no_path), "https://a.ru");
  EXPECT_EQ(*BaseUrl("http://b.ru/", no_path), "http://b.ru");
  EXPECT_FALSE(BaseUrl("http://b.ru/api", no_path).ok());
}

TEST(CredentialTest, OtherBaseUrlsAreRefused) {
  for (const std::string given : {"api.example.ru",
                                  "ftp://api.example.ru",
                                  "HTTPS://api.example.ru",
                                  "/",
                                  "https://",
                                  "https:///api/v1",
                                  "https://user:pass@api.example.ru",
                                  "https://api.example.ru/other",
                                  "https://api.example.ru?x=/api/v1",
                                  "https://api.example.ru#/api/v1",
                                  "https://api.example.ru/{key}/api/v1",
                                  "https://a b",
                                  "https://a\\b",
                                  "https://a\r\nX: y"}) {
    const Status status = BaseUrl(given, kApi).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << given;
    EXPECT_THAT(std::string(ToStd(status.message())), StartsWith("base_url: got "));
    EXPECT_THAT(std::string(ToStd(status.message())),
                EndsWith(", want https://api.example.ru or nothing"));
  }
}

// What was pasted with an address, or in its place, is not shown.
TEST(CredentialTest, OfABadAddressTheHostIsShown) {
  const auto shown = [](std::string_view given) {
    return std::string(ToStd(BadAddress("url", given, "one").message()));
  };
  for (const char* given : {"school.ru",
                            " https://school.ru ",
                            "ftp://school.ru:8443/s3cret",
                            "https://school.ru?authkey=s3cret",
                            "https://school.ru#s3cret",
                            "https://school.ru\\s3cret"}) {
    EXPECT_EQ(shown(given), "url: got \"school.ru\", want one");
  }
  for (const char* given : {"s3cret",
                            "s3cret/+=",
                            "https://user:s3cret@school.ru",
                            "s3cret@school.ru",
                            "https://s3.cret/x@school.ru",
                            "https://user:s3cret",
                            "school ru/s3cret"}) {
    EXPECT_THAT(shown(given), EndsWith("bytes that begin with no host, want one"));
  }
  EXPECT_EQ(shown(""), "url: got \"\", want one");
}

TEST(CredentialTest, BearerTokenIsThatOfTheHeader) {
  EXPECT_TRUE(BearerToken("t0ken") == Secret("Bearer t0ken"));
  EXPECT_TRUE(BearerToken(std::string(5000, 'x')) == Secret("Bearer " + std::string(5000, 'x')));
}

}  // namespace
}  // namespace dealstream::crm
